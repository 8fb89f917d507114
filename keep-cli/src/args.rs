//! The command line's grammar. Only its form is checked here; what values mean is checked where they are used.

pub mod agent;
pub mod nip46;
pub mod policy;

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::frost_args::{Frost, SignFile, VerifyFile};
use crate::lifetime::Lifetime;

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
    Approve(nip46::Decide),
    /// Refuse a request that waits
    Deny(nip46::Decide),
    /// Bitcoin: addresses, transactions, messages
    #[command(subcommand)]
    Bitcoin(crate::bitcoin_args::Bitcoin),
    /// Sign for a Bitcoin wallet that takes Keep for a hardware wallet (HWI's protocol, as Bitcoin Core calls it)
    Hwi(crate::bitcoin_args::Hwi),
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
#[command(args_conflicts_with_subcommands = true)]
pub struct Backup {
    /// The file to write; without it, keep-backup-DATE.age here
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file if there is one
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub with: BackupPassphrase,
    /// For whom instead: age1…; may be given several times
    #[arg(long, value_name = "AGE1…", conflicts_with = "passphrase_file")]
    pub recipient: Vec<String>,
    /// Make a passphrase of twelve random words and print it
    #[arg(long, conflicts_with_all = ["recipient", "passphrase_file"])]
    pub generate_passphrase: bool,
    #[command(subcommand)]
    pub command: Option<BackupCommand>,
}

/// Where the passphrase of a backup comes from.
#[derive(Debug, Args)]
pub struct BackupPassphrase {
    /// A file with the backup's passphrase; without it, KEEP_PASSPHRASE, or you are asked
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// What opens a backup.
#[derive(Debug, Args)]
pub struct BackupOpened {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub with: BackupPassphrase,
    /// A file with the secret key of a recipient, as age-keygen writes it
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub identity_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Open a backup and check everything in it
    Verify(BackupOpened),
}

#[derive(Debug, Args)]
pub struct Restore {
    #[command(flatten)]
    pub opened: BackupOpened,
    /// The directory of the new vault
    #[arg(long, value_name = "DIR")]
    pub target: PathBuf,
    /// The old device is gone: clients and sessions go on working
    #[arg(long)]
    pub take_over: bool,
    /// A file with the new vault's passphrase
    #[arg(long, value_name = "FILE")]
    pub new_password_file: Option<PathBuf>,
    #[command(flatten)]
    pub kdf: Kdf,
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
    pub together: crate::frost_args::Together,
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

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// What was asked, decided and done; with --key, of that key
    List(AuditList),
    /// Check the log and every record of the vault; or, with --file, an exported log without its vault
    Verify(AuditVerify),
    /// How large the log is, and what it is made of
    Stats,
    /// Write the log as JSON Lines that end in a signed head
    ///
    /// Anyone can check the file without the vault: `keep audit verify --file FILE --signer FINGERPRINT`.
    Export(AuditExport),
    /// Remove old entries; a signed checkpoint stands for them, and the rest still verifies
    ///
    /// Without --apply it says what would be removed.
    Retention(AuditRetention),
    /// Make a signed checkpoint of the log, to be kept away from this machine
    ///
    /// It is a Nostr event by a key that serves nothing else; with --relay it is published, too. `keep audit verify --anchor FILE`
    /// shows whether the vault was put back to an older state since.
    Anchor(AuditAnchor),
    /// Go on with a vault that is older than the one that was last used on this machine
    AcceptRollback(AuditAcceptRollback),
}

#[derive(Debug, Args)]
pub struct AuditList {
    /// The last so many entries
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: usize,
    /// Only of this origin: cli, nip46 or agent; may be given several times
    #[arg(long, value_name = "WORD")]
    pub origin: Vec<String>,
    /// Only of this client: its npub or public key in hex; may be given several times
    #[arg(long, value_name = "NPUB")]
    pub client: Vec<String>,
    /// Only so decided: allowed, approved, refused, declined, …; may be given several times
    #[arg(long, value_name = "WORD")]
    pub decision: Vec<String>,
    /// Only this action: sign_event, export, unlocked, …; may be given several times
    #[arg(long, value_name = "WORD")]
    pub action: Vec<String>,
    /// Only from this time on: 2026-11-20, 2026-11-20T09:30:00Z, Unix seconds, or how long ago (24h, 30d)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only up to this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

#[derive(Debug, Args)]
pub struct AuditVerify {
    /// Check this exported log instead; needs no vault and no passphrase (- for stdin)
    #[arg(long, value_name = "FILE", conflicts_with = "anchor")]
    pub file: Option<PathBuf>,
    /// The fingerprint of the vault that must have signed it
    #[arg(long, value_name = "FINGERPRINT", requires = "file")]
    pub signer: Option<String>,
    /// Check also that the vault goes on from this anchor
    #[arg(long, value_name = "FILE")]
    pub anchor: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct AuditExport {
    /// The file; without it, stdout
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct AuditRetention {
    /// Remove entries older than this
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_days: u32,
    /// Do it
    #[arg(long)]
    pub apply: bool,
    /// Do not ask
    #[arg(long, requires = "apply")]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct AuditAnchor {
    /// A relay to publish it on; may be given several times
    #[arg(long, value_name = "URL")]
    pub relay: Vec<String>,
}

#[derive(Debug, Args)]
pub struct AuditAcceptRollback {
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// The lines that other people's scripts have, as far as the commands exist.
    #[test]
    #[allow(clippy::too_many_lines, reason = "it is a list")]
    fn lines_that_must_work_as_written_do() {
        for line in [
            "keep init",
            "keep unlock",
            "keep unlock --for 15m --confirm",
            "keep lock",
            "keep status",
            "keep vault info",
            "keep config show",
            "keep config path",
            "keep config init",
            "keep migrate status",
            "keep doctor",
            "keep doctor --accept --yes",
            "keep init --keep-reserve",
            "keep unlock --again",
            "keep doctor --network --relay wss://relay.example",
            "keep schema",
            "keep schema keys.list",
            "keep completions bash",
            "keep man",
            "keep generate --name main",
            "keep list",
            "keep import --name n",
            "keep export --name n",
            "keep delete --name n",
            "keep serve --relay wss://relay.example",
            "keep audit list --limit 50",
            "keep audit verify",
            "keep audit list --key main --origin nip46 --decision refused --action sign_event --since 24h --until 2026-11-20",
            "keep audit verify --file F --signer 00112233445566778899aabbccddeeff00112233",
            "keep audit verify --anchor F",
            "keep audit stats",
            "keep audit export --output F",
            "keep audit retention --max-days 90 --apply",
            "keep audit anchor --relay wss://relay.example",
            "keep audit accept-rollback --yes",
            "keep --json list",
            "keep sign-event --kind 1 --content hello",
            "keep --json serve --headless --relay wss://relay.example",
            "keep bitcoin address --key main",
            "keep bitcoin address --key main --change",
            "keep bitcoin address --key main --network regtest --index 3 --count 2 --qr",
            "keep bitcoin descriptor --key main --account 1",
            "keep bitcoin analyze --psbt F",
            "keep bitcoin sign --key main --psbt F",
            "keep bitcoin sign --key main --psbt - -o G --finalize",
            "keep bitcoin sign-message --key main --message hello",
            "keep bitcoin verify-message --address A --message hello --signature smpX",
            "keep bitcoin balance --esplora https://esplora.example/api",
            "keep bitcoin limits --budget 1000/24h --per-transaction none",
            "keep hwi enumerate",
            "keep hwi --fingerprint 73c5da0a --chain regtest getdescriptors --account 0",
            "keep hwi --fingerprint 73c5da0a --chain main displayaddress --desc tr(X)",
            "keep hwi --stdin --fingerprint 73c5da0a --chain test",
            "keep hwi --fingerprint 73c5da0a --chain main getxpub m/86h/0h/0h",
            "keep hwi --fingerprint 73c5da0a --chain main signmessage hello m/86h/0h/0h/0/0",
            "keep quickstart --check",
            "keep sign-event --group family --kind 1 --content hello",
            "keep frost generate --threshold 2 --shares 3",
            "keep frost generate -t 2 -s 3 --name G --ed25519 --pubkey-out F",
            "keep frost split --key main -t 2 -s 3",
            "keep frost split --key main -t 2 -s 3 --keep-original",
            "keep frost list",
            "keep frost show --group G",
            "keep frost delete-share --group G --share 3",
            "keep frost grant --group G --to 2 --allow event:1,7 --allow transactions --duration 30d --uses 100",
            "keep frost revoke --group G --to 2",
            "keep frost export --share 1 --group npub1xyz",
            "keep frost export --share 1 --group npub1xyz --format json --qr",
            "keep frost import",
            "keep frost sign --group npub1xyz --message aabb",
            "keep frost sign --group G --message hello --interactive",
            "keep frost sign --group G --interactive --exchange DIR",
            "keep frost sign-psbt --psbt F --network signet --finalize",
            "keep frost sign-psbt --psbt F --interactive --join --exchange DIR --from 1 --yes",
            "keep frost sign --interactive --allow event:1,7 --allow raw --from 2,3",
            "keep frost import F --replace --unproved --yes --trust-roster",
            "keep bitcoin limits --group G --budget 1000/24h --allow bc1xyz",
            "keep frost verify --group G --message aabb --signature ccdd",
            "keep frost refresh",
            "keep frost refresh --group G --exchange DIR --drop 3",
            "keep frost repair --group G --share 3",
            "keep frost recover --group G",
            "keep sign FILE --group G -t comment",
            "keep sign FILE --group G -t comment -c untrusted -o F",
            "keep verify FILE SIG --group F",
            "keep quickstart --ephemeral",
            "keep --hidden init",
            "keep --hidden list",
            "keep reserve reset",
            "keep help exit-codes",
            "keep agent mcp --key main",
            "keep agent create --name bot --scope nostr --kinds 1,7 --rate 30/h --budget 50000sat/day --for 24h",
            "keep agent create --name bot --ask --asks client --output bot.token",
            "keep agent create --name pen-pal --scope nostr --to npub1qqqqqq --to npub1pppppp",
            "keep agent mcp --bunker-file bunker.txt",
            "keep agent list",
            "keep agent show bot",
            "keep agent revoke bot",
            "keep agent mcp --session-file bot.token --scope public --relay wss://relay.example",
            "keep agent mcp --key main --http 127.0.0.1:0 --origin http://localhost:3000",
            "keep nip46 grant npub1x --name my-client --permissions get_public_key,sign_event --auto-approve-kinds 1,7 --duration forever",
            "keep nip46 grant npub1x --policy social --duration session",
            "keep serve --relay wss://x --auth-url --auth-port 4600",
            "keep nip46 apps",
            "keep nip46 revoke npub1x",
            "keep nip46 auto-approve --kinds 1,7",
            "keep nip46 token create --policy P --uses 1 --expires 30d",
            "keep nip46 token list",
            "keep nip46 token revoke abcd",
            "keep nip46 relays my-client --relay wss://a --relay wss://b",
            "keep nip46 connect nostrconnect://x",
            "keep nip46 connect -",
            "keep nip46 connect --qr code.png",
            "keep nip46 call bunker://x sign_event {}",
            "keep import --name remote --bunker bunker://x",
            "keep import --name remote --bunker -",
            "keep nip46 pending",
            "keep nip46 approve ab --for 5m --scope client",
            "keep nip46 deny ab",
            "keep pending",
            "keep approve ab --for always",
            "keep approve ab --as bob",
            "keep deny ab",
            "keep policy list",
            "keep policy show social",
            "keep policy add p.toml",
            "keep policy edit p --file -",
            "keep policy remove p",
            "keep policy check p.toml",
            "keep policy explain --policy social --kind 1",
            "keep policy simulate --policy p --since 30d",
            "keep policy person add bob",
            "keep generate --name main --mnemonic",
            "keep generate --name main --mnemonic --words 12 --path nip06 --account 1",
            "keep export --name n --mnemonic",
            "keep rename --name a --to b",
            "keep note --name a text",
            "keep note --name a --clear",
            "keep secret add --name token --note mine",
            "keep secret get --name token",
            "keep secret list",
            "keep secret remove --name token --yes",
            "keep vault stanza list",
            "keep vault stanza add --recovery-code",
            "keep vault stanza add --label laptop",
            "keep vault stanza remove 0a1b2c3d --yes",
            "keep rotate-password",
            "keep rotate-data-key",
            "keep backup",
            "keep backup --output F",
            "keep backup --output F --recipient age1x --force",
            "keep backup verify F",
            "keep restore F --target DIR",
            "keep restore F --target DIR --take-over",
        ] {
            let parsed = Arguments::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    /// No argument takes a secret. One that is new has to be looked at here.
    #[test]
    #[allow(clippy::too_many_lines, reason = "it is a list")]
    fn arguments_take_no_secrets() {
        let harmless = [
            "name",
            "key",
            "password_file",
            "hidden_password_file",
            "passphrase_file",
            "new_password_file",
            "target",
            "identity_file",
            "recipient",
            "also_password_file",
            "words",
            "path",
            "account",
            "to",
            "text",
            "note",
            "label",
            "stanza",
            "kind",
            "content",
            "tags",
            "created_at",
            "file",
            "relay",
            "policy",
            "client",
            "permissions",
            "auto_approve_kinds",
            "duration",
            "max_uses",
            "per_minute",
            "per_hour",
            "per_day",
            "kinds",
            "token",
            "uses",
            "expires",
            // One-time addresses, which the ecosystem pastes; - reads them from stdin.
            "uri",
            "method",
            "params",
            "client_key_file",
            "timeout",
            "id",
            "lasting",
            "scope",
            "person",
            "peer",
            "at",
            "since",
            "limit",
            "origin",
            "client",
            "decision",
            "action",
            "since",
            "until",
            "signer",
            "anchor",
            "output",
            "max_days",
            "topic",
            "scope",
            "kinds",
            "rates",
            "duration",
            "asks",
            "output",
            "session_file",
            "budgets",
            "max_amount",
            "ask_above",
            "pay_to",
            "http",
            "origin",
            "network",
            "account",
            "count",
            "index",
            "psbt",
            "max_fee",
            "max_fee_rate",
            "esplora",
            "address",
            "message",
            "message_file",
            "coins",
            "signature",
            "per_transaction",
            "budgets",
            "allow",
            "block",
            "ask_above",
            "fingerprint",
            "chain",
            "device_type",
            "device_path",
            "addr_type",
            "desc",
            "path",
            "kdf_memory_kib",
            "kdf_iterations",
            "kdf_lanes",
            "group",
            "threshold",
            "shares",
            "share",
            "pubkey_out",
            "format",
            "output",
            "files",
            "message",
            "message_hex",
            "message_text",
            "message_file",
            "path",
            "tweak",
            "exchange",
            "signers",
            "signature",
            "drop",
            "helpers",
            "rotate",
            "accept",
            "trust",
            "trusted_comment",
            "network",
            "psbt",
            "comment",
            "lifetime",
            "shell",
            "directory",
            "call",
            "bunker_file",
            "bunker",
            "from",
            "auth_port",
            "whose",
            "qr",
            "recipients",
        ];
        let mut commands = vec![Arguments::command()];
        while let Some(command) = commands.pop() {
            for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
                let id = argument.get_id().as_str();
                assert!(harmless.contains(&id), "{} {id}", command.get_name());
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
