//! The command line's grammar. Only its form is checked here; what values mean is checked where they are used.

pub mod agent;
mod audit;
mod backup;
pub mod bitcoin;
pub mod frost;
mod keys;
pub mod nip46;
pub mod policy;
#[cfg(test)]
mod tests;
mod vault;

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand};

use self::frost::{Frost, SignFile, VerifyFile};

pub use audit::{
    Audit, AuditAcceptRollback, AuditAnchor, AuditExport, AuditList, AuditRetention, AuditVerify,
};
pub use backup::{Backup, BackupCommand, BackupOpened, Restore};
pub use keys::{
    Delete, Derived, Export, Generate, Import, List, Named, Note, PathName, Rename, Secret, SecretAdd,
    SignEvent,
};
pub use vault::{
    Config, Damaged, Doctor, Init, Kdf, Migrate, Reserve, RotateDataKey, RotatePassword, Stanza, StanzaAdd,
    StanzaRemove, Unlock, Vault,
};

/// Keeps your Nostr keys on this machine, and signs with them: here, and for the applications that you allow.
#[derive(Debug, Parser)]
#[command(name = "keep", version, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "The vault is in the directory KEEP_HOME, or in ~/.keep.\n\
                  `keep quickstart` shows everything in one minute; `keep help exit-codes` is for scripts.")]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Print one JSON value on stdout (one per line where there are several), and errors as JSON on stderr
    #[arg(long, global = true)]
    pub json: bool,

    /// Which key: its name, npub or public key in hex; without it, the only key there is
    #[arg(long, global = true, value_name = "NAME")]
    pub key: Option<String>,

    /// A file with the vault's passphrase; without it, KEEP_PASSWORD, or you are asked
    #[arg(long, global = true, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Use the hidden vault, and no other
    ///
    /// Without this the passphrase decides which vault opens. With it, KEEP_HIDDEN_PASSWORD counts before KEEP_PASSWORD.
    #[arg(long, global = true)]
    pub hidden: bool,

    /// Answer yes to questions that destroy nothing
    #[arg(long, global = true, env = "KEEP_YES", hide_env_values = true, value_parser = FalseyValueParser::new())]
    #[arg(action = ArgAction::SetTrue)]
    pub yes_safe: bool,

    /// Say only what was asked for, and what went wrong
    #[arg(long, short, global = true)]
    pub quiet: bool,

    /// Say more on stderr; twice and thrice for details (RUST_LOG chooses them one by one)
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Accept a vault whose key derivation was made cheap for tests
    #[arg(long, global = true, hide = true, env = "KEEP_ALLOW_WEAK_KDF", value_parser = FalseyValueParser::new())]
    #[arg(action = ArgAction::SetTrue)]
    pub allow_weak_kdf: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a vault
    ///
    /// With --hidden also a hidden vault in its reserve, or a hidden vault in the reserve of the vault that is there. The passphrase of
    /// the vault comes from --password-file or KEEP_PASSWORD, that of the hidden one from --hidden-password-file or
    /// KEEP_HIDDEN_PASSWORD, or you are asked.
    Init(Init),
    /// Unlock the vault for the commands that follow
    ///
    /// A process in the background holds it unlocked: until the time is over, the machine sleeps, or `keep lock`. What
    /// hands out or deletes keys, or changes what others may do, wants the passphrase again all the same.
    Unlock(Unlock),
    /// Lock the vault that `keep unlock` or `keep serve` holds unlocked
    Lock,
    /// Whether the vault is unlocked, by which process, and for how long
    Status,
    /// The process that `keep unlock` starts
    #[command(hide = true)]
    DaemonProcess,
    /// Make a new key
    ///
    /// With --mnemonic from a new list of words (BIP-39), which is shown and kept: Bitcoin keys follow from the same words.
    Generate(Generate),
    /// Take in a key that you have: nsec1…, 64 hex digits, ncryptsec1…, or the words of a mnemonic
    ///
    /// The key is asked for, or read from stdin. It is never taken from the arguments, which other users of this machine
    /// could read. The passphrase of an ncryptsec1… is asked for, or comes from KEEP_PASSPHRASE or --passphrase-file.
    Import(Import),
    /// Hand out a secret key
    ///
    /// In a terminal as nsec1…; with --ncryptsec also in scripts, encrypted under a passphrase of its own (NIP-49). With
    /// --mnemonic the words that it follows from.
    Export(Export),
    /// Give a key another name
    Rename(Rename),
    /// Note something about a key
    Note(Note),
    /// Keep other secrets beside the keys: passphrases, tokens, notes
    #[command(subcommand)]
    Secret(Secret),
    /// Look after the vault itself
    #[command(subcommand)]
    Vault(Vault),
    /// Replace the vault's passphrase
    ///
    /// The new one is asked for, or comes from KEEP_NEW_PASSWORD or --new-password-file. Nothing is encrypted anew: whoever
    /// has an old copy of the vault and the old passphrase can still open it. See `keep rotate-data-key`.
    RotatePassword(RotatePassword),
    /// Write everything in the vault into one encrypted file
    ///
    /// The file has the age format: `age -d` opens it, too. Whoever opens it has every key; a share of a threshold key beside
    /// a backup with another share undoes the threshold, so keep them apart. `keep backup verify FILE` checks a backup.
    Backup(Backup),
    /// Make a vault of a backup, in a directory of its own
    ///
    /// Nothing is overwritten. Clients, bunker addresses and agents' sessions come back suspended, because the vault that was
    /// backed up may still be in use; with --take-over they go on working. The new vault's passphrase is asked for, or comes
    /// from KEEP_NEW_PASSWORD, --new-password-file, or else KEEP_PASSWORD.
    Restore(Restore),
    /// Give the vault a new data key and encrypt every record anew
    ///
    /// Passphrases that are not presented, and old recovery codes, do not open the vault afterwards; a new recovery code is
    /// printed. Other processes that have the vault open must unlock it again.
    RotateDataKey(RotateDataKey),
    /// List the keys
    List(List),
    /// Remove a key for good
    Delete(Delete),
    /// Sign a Nostr event and print it
    SignEvent(SignEvent),
    /// Threshold keys (FROST): make, share out, sign, renew, repair
    #[command(subcommand)]
    Frost(Frost),
    /// Sign a file with a threshold key, as minisign does
    Sign(SignFile),
    /// Verify a file's signature, of a threshold key or of minisign
    Verify(VerifyFile),
    /// Run a bunker (NIP-46): sign for applications until you stop it
    ///
    /// Prints a bunker:// address whose secret works once. In a terminal you are asked about what the policy does not
    /// cover (Y approves, N rejects, Q quits), and `keep approve` decides it from elsewhere; with --headless it is refused at once.
    Serve(Serve),
    /// Clients of the bunker: what they may do, tokens, connections
    #[command(subcommand)]
    Nip46(nip46::Nip46),
    /// Policies: what clients may do without asking, with asking, and not at all
    #[command(subcommand)]
    Policy(policy::Policy),
    /// List requests that wait for a person, of every origin, or show one whole
    Pending {
        #[command(subcommand)]
        which: Option<nip46::PendingCommand>,
    },
    /// Approve a request that waits
    ///
    /// Shows all of it first; at a terminal it asks whether you mean it.
    Approve(nip46::Approve),
    /// Refuse a request that waits
    Deny(nip46::Decide),
    /// Bitcoin: addresses, transactions, messages
    #[command(subcommand)]
    Bitcoin(crate::args::bitcoin::Bitcoin),
    /// Sign for a Bitcoin wallet that takes Keep for a hardware wallet (HWI's protocol, as Bitcoin Core calls it)
    Hwi(crate::args::bitcoin::Hwi),
    /// Look at the audit log
    #[command(subcommand)]
    Audit(Audit),
    /// Let AI agents use a key, within limits that they cannot move
    #[command(subcommand)]
    Agent(agent::Agent),
    /// The 16 MiB of random bytes beside the vault, in which a hidden vault may lie
    #[command(subcommand)]
    Reserve(Reserve),
    /// See it work: vault, key, relay, bunker and a signed event in one go, without a network
    ///
    /// Uses the vault in KEEP_HOME, or makes one; without a terminal and a passphrase, or with --ephemeral, a vault that
    /// is thrown away at the end.
    Quickstart(Quickstart),
    /// The settings: what holds, where the file is, a file to begin with
    #[command(subcommand)]
    Config(Config),
    /// Look whether everything is in order here: permissions, memory, socket, settings, the vault itself
    Doctor(Doctor),
    /// Old vaults: whether this one needs to be brought to a newer format
    #[command(subcommand)]
    Migrate(Migrate),
    /// The JSON schemas of what is printed with --json
    Schema {
        /// One call only, for example keys.list
        call: Option<String>,
    },
    /// Completions for a shell, to be sourced
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The manual page
    Man {
        /// A directory for the pages of all commands
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Explain a command, or the exit codes (`keep help exit-codes`)
    Help {
        /// A command, or exit-codes
        topic: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub struct Serve {
    /// A relay to listen on: wss://… or ws://…; may be given several times; without it, those of the settings
    #[arg(long, value_name = "URL")]
    pub relay: Vec<String>,
    /// What the application that connects may do without asking; `keep policy list` names the choices
    #[arg(long, default_value = "social", value_name = "NAME")]
    pub policy: String,
    /// Serve every key of the vault, each at an address of its own
    #[arg(long, conflicts_with = "key")]
    pub all_keys: bool,
    /// Ask nobody: refuse at once what the policy does not cover
    #[arg(long)]
    pub headless: bool,
    /// Also ask about what other `keep` commands do with keys while it serves
    #[arg(long, conflicts_with = "headless")]
    pub confirm: bool,
    /// Tell clients of a page on this machine where their requests can be decided (auth_url)
    ///
    /// Clients open it for their user. Whoever decides there shows the code that is printed at the start.
    #[arg(long, conflicts_with = "headless")]
    pub auth_url: bool,
    /// The port of that page on 127.0.0.1; without it, a free one
    #[arg(long, value_name = "PORT", requires = "auth_url")]
    pub auth_port: Option<u16>,
}

#[derive(Debug, Args)]
pub struct Quickstart {
    /// Use a vault that is thrown away at the end
    #[arg(long)]
    pub ephemeral: bool,
    /// Stop after the round trip, and print the signed event
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub kdf: Kdf,
}
