//! The grammar of the vault: making it, opening it, its ways of being opened, its care.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::lifetime::Lifetime;

#[derive(Debug, Args)]
pub struct Init {
    /// With --hidden: a file with the passphrase of the hidden vault
    #[arg(long, value_name = "FILE")]
    pub hidden_password_file: Option<PathBuf>,
    /// With --hidden: do not ask before what may be in the reserve is overwritten
    #[arg(long)]
    pub yes: bool,
    /// Where keep.db was lost: make a new vault beside the reserve that is there, so that a hidden vault in it opens again
    #[arg(long)]
    pub keep_reserve: bool,
    #[command(flatten)]
    pub kdf: Kdf,
}

#[derive(Debug, Args)]
pub struct Unlock {
    /// For how long: 15m, 8h, 2d, so many seconds, or forever
    #[arg(long = "for", value_name = "TIME")]
    pub lifetime: Option<Lifetime>,
    /// Ask a person about each use of a key; without one at hand it is refused
    #[arg(long)]
    pub confirm: bool,
    /// For a program that needs the vault: as it was unlocked last. Refused after `keep lock`, asks if --confirm was said then, and
    /// changes nothing where it is unlocked
    #[arg(long)]
    pub again: bool,
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// What holds, and where it comes from
    Show,
    /// Where the file is
    Path,
    /// Write a file to begin with
    Init {
        /// Also if there is one
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Also connect to the relays of --relay and of the settings
    #[arg(long)]
    pub network: bool,
    /// A relay to connect to; may be given several times
    #[arg(long, value_name = "URL", requires = "network")]
    pub relay: Vec<String>,
    /// Go on with what is left of a vault that something else than Keep changed: what does not open is removed, clients,
    /// bunker addresses and agents' sessions are suspended
    #[arg(long, conflicts_with_all = ["network", "relay"])]
    pub accept: bool,
    /// Do not ask
    #[arg(long, requires = "accept")]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum Migrate {
    /// The format of the vault, and what this version reads and writes
    Status,
}

/// A cheaper key derivation, for tests.
#[derive(Debug, Args)]
pub struct Kdf {
    /// Memory of the key derivation in KiB
    #[arg(long, hide = true, value_name = "KIB")]
    pub kdf_memory_kib: Option<u32>,
    /// Passes over it
    #[arg(long, hide = true, value_name = "N", requires = "kdf_memory_kib")]
    pub kdf_iterations: Option<u32>,
    /// Lanes
    #[arg(long, hide = true, value_name = "N", requires = "kdf_memory_kib")]
    pub kdf_lanes: Option<u32>,
}

/// Reading a vault that is too damaged to be opened.
#[derive(Debug, Clone, Copy, Args)]
pub struct Damaged {
    /// Search the files of a vault that is too damaged to be opened. What is exported so cannot be recorded in its log.
    #[arg(long)]
    pub rescue: bool,
}

#[derive(Debug, Subcommand)]
pub enum Vault {
    /// What can be told of it as a whole: its id, its fingerprint, its revision
    Info,
    /// The ways to unlock it
    #[command(subcommand)]
    Stanza(Stanza),
}

#[derive(Debug, Subcommand)]
pub enum Stanza {
    /// List them
    List,
    /// Add one: another passphrase, or a recovery code to print
    Add(StanzaAdd),
    /// Remove one, but never the last
    Remove(StanzaRemove),
}

#[derive(Debug, Args)]
pub struct StanzaAdd {
    /// A new recovery code of 24 words, which is shown this once
    #[arg(long, conflicts_with = "new_password_file")]
    pub recovery_code: bool,
    /// What to call it; stands in clear in the vault
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    /// A file with the additional passphrase; without it, KEEP_NEW_PASSWORD, or you are asked
    #[arg(long, value_name = "FILE")]
    pub new_password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StanzaRemove {
    /// Which one, as `keep vault stanza list` shows it
    #[arg(value_name = "ID")]
    pub stanza: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct RotatePassword {
    /// A file with the new passphrase; without it, KEEP_NEW_PASSWORD, or you are asked
    #[arg(long, value_name = "FILE")]
    pub new_password_file: Option<PathBuf>,
    /// Which passphrase to replace; without it, the one that opens the vault now
    #[arg(long, value_name = "ID")]
    pub stanza: Option<String>,
}

#[derive(Debug, Args)]
pub struct RotateDataKey {
    /// A file with another passphrase or recovery code that is to go on working; may be given several times
    #[arg(long, value_name = "FILE")]
    pub also_password_file: Vec<PathBuf>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum Reserve {
    /// Overwrite it with new random bytes
    ///
    /// Destroys a hidden vault, if there is one, and makes the reserve if it was lost. The salt of the passphrases lies in it, too: only
    /// the one that you give opens the vault afterwards, and recovery codes are replaced by a new one.
    Reset {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}
