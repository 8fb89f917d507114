//! The grammar of keys and secrets, and of signing with them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Damaged;

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub damaged: Damaged,
}

#[derive(Debug, Args)]
pub struct Named {
    /// The key's name
    #[arg(long)]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    pub named: Named,
    /// From a new mnemonic
    #[arg(long)]
    pub mnemonic: bool,
    /// How many words it has: 12 or 24
    #[arg(long, default_value_t = 24, value_name = "N", requires = "mnemonic")]
    pub words: u8,
    #[command(flatten)]
    pub path: Derived,
}

/// Where in the tree of a mnemonic the Nostr key is.
#[derive(Debug, Clone, Copy, Args)]
pub struct Derived {
    /// By which rule the Nostr key follows from the words
    #[arg(long, value_enum, default_value_t)]
    pub path: PathName,
    /// Which account of that rule; without it, the first
    #[arg(long, value_name = "N")]
    pub account: Option<u32>,
}

/// The rules, by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PathName {
    /// BIP-85, application 128002': the key says nothing about the words
    #[default]
    Bip85,
    /// NIP-06, as most Nostr applications do
    Nip06,
}

#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    pub named: Named,
    /// A file with the passphrase of the ncryptsec1… or of the mnemonic
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// A key that another bunker holds and goes on holding: its bunker:// address, or - to read it from stdin
    #[arg(long, value_name = "URI", conflicts_with = "passphrase_file")]
    pub bunker: Option<String>,
    #[command(flatten)]
    pub path: Derived,
}

#[derive(Debug, Args)]
pub struct Rename {
    #[command(flatten)]
    pub named: Named,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    pub to: String,
}

#[derive(Debug, Args)]
pub struct Note {
    #[command(flatten)]
    pub named: Named,
    /// What to note; it is not treated as a secret
    #[arg(required_unless_present = "clear", conflicts_with = "clear")]
    pub text: Option<String>,
    /// Take the note away
    #[arg(long)]
    pub clear: bool,
}

#[derive(Debug, Subcommand)]
pub enum Secret {
    /// Store a secret text: asked for, or read from stdin
    Add(SecretAdd),
    /// Print a stored secret
    Get(Named),
    /// List what is stored, without the secrets
    List,
    /// Remove a stored secret for good
    Remove(Delete),
}

#[derive(Debug, Args)]
pub struct SecretAdd {
    #[command(flatten)]
    pub named: Named,
    /// What to note about it; this is not treated as a secret
    #[arg(long)]
    pub note: Option<String>,
    /// Take the place of one that has this name
    #[arg(long)]
    pub replace: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub named: Named,
    /// Encrypted (NIP-49), under a passphrase of its own
    #[arg(long)]
    pub ncryptsec: bool,
    /// The words that it follows from
    #[arg(long, conflicts_with_all = ["ncryptsec", "rescue"])]
    pub mnemonic: bool,
    /// A file with that passphrase; without it, KEEP_PASSPHRASE, or you are asked
    #[arg(long, value_name = "FILE", requires = "ncryptsec")]
    pub passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub damaged: Damaged,
}

#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    pub named: Named,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct SignEvent {
    /// Sign with this group instead of a key: its name, npub or public key in hex
    #[arg(long, value_name = "GROUP", conflicts_with = "key")]
    pub group: Option<String>,
    #[command(flatten)]
    pub together: crate::args::frost::Together,
    /// The event's kind
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    pub kind: Option<u16>,
    /// Its content
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        conflicts_with = "file",
        allow_hyphen_values = true
    )]
    pub content: String,
    /// A tag: name and values with commas between; may be given several times
    #[arg(long = "tag", value_name = "NAME,VALUE,…", conflicts_with = "file")]
    pub tags: Vec<String>,
    /// Its time in Unix seconds; without it, now
    #[arg(long, value_name = "SECONDS", conflicts_with = "file")]
    pub created_at: Option<u64>,
    /// The event as JSON instead, from a file or from stdin (-): kind, content, tags, created_at
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Also send it to relays
    #[arg(long)]
    pub publish: bool,
    /// A relay to send it to; may be given several times; without it, those of the settings
    #[arg(long, value_name = "URL", requires = "publish")]
    pub relay: Vec<String>,
}
