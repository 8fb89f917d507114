//! The grammar of threshold keys.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use keep_sdk::bitcoin::Network;
use keep_sdk::frost::ProposalView;
use keep_sdk::{ErrorCode, Fault};

use crate::lifetime::Lifetime;

/// Threshold keys: any t of n shares sign, t−1 cannot.
#[derive(Debug, Subcommand)]
pub enum Frost {
    /// Make a key that is shared out
    ///
    /// This device makes the key and all shares, and so knows the whole key while it does. Export the shares to their
    /// holders, then delete them here.
    Generate(Generate),
    /// Share out a key that is in the vault
    ///
    /// The key is deleted once every share was read back and has signed. It existed whole before: other copies of it still
    /// sign alone.
    Split(Split),
    /// List the groups
    List,
    /// Show one group: members, public shares, epoch, xpub
    Show(Group),
    /// Delete a share from this vault
    DeleteShare(DeleteShare),
    /// Say that shares which came from a backup are the group's present ones
    Confirm(Confirm),
    /// Let a member in another vault have things signed here although nobody is asked
    ///
    /// Within the grant, `keep frost sign --interactive` and `sign-psbt --join` answer that member's proposals without a
    /// question. It is for the member's present device, and takes the place of an earlier grant. See `keep frost show`.
    /// It survives renewals of the shares. Of messages it covers those under the group's plain key, not under child keys
    /// (--path) or Taproot output keys (--tweak).
    Grant(GrantCosigner),
    /// Take such a grant away
    Revoke(RevokeCosigner),
    /// Hand out a share, sealed under a passphrase of its own
    Export(Export),
    /// Take in shares: kshare1…, its JSON or QR frames, bfgroup1… with bfshare1…, FROST key packages, BIP-445
    ///
    /// From files, from stdin, or you are asked.
    Import(Import),
    /// Sign with the shares that are here, or together with others
    Sign(Box<Sign>),
    /// Sign a Bitcoin transaction (PSBT) that spends from the group's tr(XPUB/<0;1>/*)
    SignPsbt(Box<SignPsbt>),
    /// Verify a signature; needs no vault when the key itself is given
    Verify(Verify),
    /// Renew the shares: same key, next epoch; the old shares are of no use beside the new ones
    ///
    /// A threshold of old shares still signs, wherever it survives: delete every copy.
    Refresh(Refresh),
    /// Make a lost share again with the help of a threshold of others
    Repair(Repair),
    /// Put the whole secret key together and print it
    Recover(Recover),
    /// The keys by which the members' devices know each other
    Device(Device),
}

/// Which group.
#[derive(Debug, Args)]
pub struct Group {
    /// The group: its name, npub or public key in hex; without it, the only one
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
}

/// How many.
#[derive(Debug, Args)]
pub struct Size {
    /// How many must sign together
    #[arg(long, short = 't', value_name = "T")]
    pub threshold: u16,
    /// How many shares there are
    #[arg(long, short = 's', value_name = "N")]
    pub shares: u16,
    /// The group's name
    #[arg(long)]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    pub size: Size,
    /// An Ed25519 key, for signing files as minisign does
    #[arg(long)]
    pub ed25519: bool,
    /// Write the minisign public key into this file
    #[arg(long, value_name = "FILE", requires = "ed25519")]
    pub pubkey_out: Option<PathBuf>,
    /// Overwrite that file
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Split {
    #[command(flatten)]
    pub size: Size,
    /// Keep the key itself, which signs alone
    #[arg(long)]
    pub keep_original: bool,
    /// Do not ask before the key is deleted
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct DeleteShare {
    #[command(flatten)]
    pub group: Group,
    /// Whose share
    #[arg(long, value_name = "INDEX")]
    pub share: u16,
    /// Also while a renewal that this vault has certified is not done
    ///
    /// What the member has of it is gone with the share.
    #[arg(long)]
    pub abandon: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Confirm {
    #[command(flatten)]
    pub group: Group,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// The form of an exported share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// kshare1…
    #[default]
    Bech32,
    /// JSON
    Json,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub group: Group,
    /// Whose share
    #[arg(long, value_name = "INDEX", required_unless_present = "public")]
    pub share: Option<u16>,
    /// Its form
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// As QR codes on the terminal: one, or several animated ones (UR, BCR-2024-001) where it does not fit
    #[arg(long, conflicts_with_all = ["output", "public"])]
    pub qr: bool,
    /// What is public about the group instead, for a vault that has none of its shares
    #[arg(long, conflicts_with = "share")]
    pub public: bool,
    /// Write it into this file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite that file
    #[arg(long)]
    pub force: bool,
    /// A file with the share's passphrase; without it, KEEP_PASSPHRASE, or you are asked
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub kdf: super::Kdf,
}

#[derive(Debug, Args)]
pub struct Import {
    /// Files with shares; without any, stdin, or you are asked
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The group's name, if it is not here yet
    #[arg(long)]
    pub name: Option<String>,
    /// Let shares of a later epoch take the place of those that are here
    #[arg(long)]
    pub replace: bool,
    /// Even if nothing proves that they are the group's: you vouch for them, and the shares here are deleted
    #[arg(long, requires = "replace")]
    pub unproved: bool,
    /// Take device keys of other members that are not known here on the word of whoever made the shares
    #[arg(long)]
    pub trust_roster: bool,
    /// Give up a renewal that is under way here, and that these shares are not the end of, or their device keys do not fit
    ///
    /// Only when no member has gone over to its end, and all give it up.
    #[arg(long)]
    pub abandon: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// A file with the shares' passphrase; without it, KEEP_PASSPHRASE, or you are asked
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// What is signed.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Message {
    /// The message: hex if it is an even number of at least 64 hex digits, else text
    #[arg(long, allow_hyphen_values = true)]
    pub message: Option<String>,
    /// Bytes in hex
    #[arg(long, value_name = "HEX")]
    pub message_hex: Option<String>,
    /// Text, whatever it looks like
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message_text: Option<String>,
    /// The content of a file (up to 1 MiB)
    #[arg(long, value_name = "FILE")]
    pub message_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct GrantCosigner {
    #[command(flatten)]
    pub group: Group,
    /// The member
    #[arg(long, value_name = "INDEX")]
    pub to: u16,
    /// What may be signed: event, event:1,7, raw, or transactions (within the limits on the group); may be given several times
    #[arg(long, value_name = "WHAT", required = true)]
    pub allow: Vec<Grantable>,
    /// How long: 8h, 30d, seconds, or forever
    #[arg(long, value_name = "DURATION", default_value = "forever")]
    pub duration: Lifetime,
    /// How many times; without it, any number
    #[arg(long, value_name = "N")]
    pub uses: Option<u32>,
}

#[derive(Debug, Args)]
pub struct RevokeCosigner {
    #[command(flatten)]
    pub group: Group,
    /// The member
    #[arg(long, value_name = "INDEX")]
    pub to: u16,
}

/// What a member may be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grantable {
    /// As agreed to for one command.
    Allowed(Allowed),
    /// Bitcoin transactions within the limits on the group.
    Transactions,
}

impl std::str::FromStr for Grantable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "transactions" => Ok(Self::Transactions),
            _ => text
                .parse()
                .map(Self::Allowed)
                .map_err(|_: String| "give event, event:1,7, raw or transactions".to_owned()),
        }
    }
}

/// How co-signers in other vaults take part.
#[derive(Debug, Args)]
pub struct Together {
    /// Together with shares in other vaults, by pasted text, or by files with --exchange
    ///
    /// The command stays alive through both rounds: nonces are never written down. If it ends, start again.
    #[arg(long)]
    pub interactive: bool,
    /// A directory in which the messages lie as files, on a stick or shared
    #[arg(long, value_name = "DIR", requires = "interactive")]
    pub exchange: Option<PathBuf>,
    /// The members that sign from here; without it, as many as are needed
    #[arg(long, value_name = "INDEX", value_delimiter = ',')]
    pub signers: Vec<u16>,
    /// Agree to whatever is proposed without asking
    #[arg(long, requires = "interactive")]
    pub yes: bool,
    /// Agree without asking to what is of this kind only: event, event:1,7 or raw; may be given several times
    #[arg(long, value_name = "WHAT", requires = "interactive")]
    pub allow: Vec<Allowed>,
    /// Take part only in what these members propose
    #[arg(long, value_name = "INDEX", value_delimiter = ',', requires = "interactive")]
    pub from: Vec<u16>,
}

/// What a co-signer may have signed without asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Nostr events of these kinds; of any kind if there are none.
    Events(Vec<u16>),
    /// Bytes whose meaning nobody checked.
    Raw,
}

impl std::str::FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "raw" => Ok(Self::Raw),
            None if text == "event" => Ok(Self::Events(Vec::new())),
            Some(("event", kinds)) => {
                let kinds: Result<Vec<u16>, _> = kinds.split(',').map(str::parse).collect();
                kinds.map(Self::Events).map_err(|_| "kinds are numbers, as in event:1,7".to_owned())
            }
            _ => Err("give event, event:1,7 or raw".to_owned()),
        }
    }
}

impl Together {
    /// Whether the owner has agreed to proposals of this kind beforehand.
    pub fn allows(&self, view: &ProposalView) -> bool {
        self.allow.iter().any(|allowed| match allowed {
            Allowed::Events(kinds) => {
                let kind = view.event_kind;
                kind.is_some_and(|kind| kinds.is_empty() || kinds.contains(&kind))
            }
            Allowed::Raw => view.kind == "raw",
        })
    }

    /// Refuses proposals of others than the members that the owner named.
    pub fn expect_from(&self, member: u16) -> Result<(), Fault> {
        if self.from.is_empty() || self.from.contains(&member) {
            return Ok(());
        }
        let message = format!("member {member} proposes this, and you take part in what others propose");
        Err(Fault::new(ErrorCode::RefusedByPolicy, message).with_hint("see --from"))
    }
}

#[derive(Debug, Args)]
pub struct Sign {
    #[command(flatten)]
    pub group: Group,
    #[command(flatten)]
    pub message: Message,
    /// A BIP-32 child of the group key: unhardened steps as in 0/5
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// Under the Taproot tweak: key-path (BIP-86), or the Merkle root of a script tree
    #[arg(long, value_name = "TWEAK")]
    pub tweak: Option<String>,
    #[command(flatten)]
    pub together: Together,
}

#[derive(Debug, Args)]
pub struct SignPsbt {
    #[command(flatten)]
    pub group: Group,
    /// The PSBT: a file in base64, hex or binary; - for stdin
    #[arg(long, value_name = "FILE")]
    pub psbt: PathBuf,
    /// The network: mainnet, testnet3, testnet4, signet or regtest; without it, the configured one, or mainnet
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<Network>,
    /// Take part in what another holder proposes: it must be about this very transaction
    #[arg(long, requires = "interactive")]
    pub join: bool,
    #[command(flatten)]
    pub together: Together,
    /// Also make the transaction that can be sent
    #[arg(long)]
    pub finalize: bool,
    /// Where the signed PSBT goes; without it, stdout
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite it
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// The key: a minisign public key file, an npub, 64 hex digits, or the name of a group in the vault
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    #[command(flatten)]
    pub message: Message,
    /// The signature: 128 hex digits
    #[arg(long, value_name = "HEX")]
    pub signature: String,
}

/// By files among vaults.
#[derive(Debug, Args)]
pub struct Exchange {
    /// Shares in different vaults: a directory in which the messages lie as files. Every holder runs the same command with
    /// it, again and again until it says that it is done.
    #[arg(long, value_name = "DIR")]
    pub exchange: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Refresh {
    #[command(flatten)]
    pub group: Group,
    /// Members that get no new share; may be given several times
    #[arg(long, value_name = "INDEX", value_delimiter = ',')]
    pub drop: Vec<u16>,
    /// Give up another renewal that is under way here
    ///
    /// Only when no member has gone over to its end, and all give it up: else some end with shares that do not sign with the
    /// others'.
    #[arg(long)]
    pub abandon: bool,
    #[command(flatten)]
    pub exchange: Exchange,
}

#[derive(Debug, Args)]
pub struct Repair {
    #[command(flatten)]
    pub group: Group,
    /// Whose share is lost
    #[arg(long, value_name = "INDEX")]
    pub share: u16,
    /// Who helps; without it, the first of the others. Said by the member whose share is lost
    #[arg(long, value_name = "INDEX", value_delimiter = ',', requires = "exchange")]
    pub helpers: Vec<u16>,
    /// This is the vault that lost the share: it asks the others for help
    #[arg(long, requires = "exchange")]
    pub mine: bool,
    /// Also in the middle of a renewal that this vault has begun with another device key of that member, and that is given up here
    ///
    /// Only when no member has gone over to its end, and all give it up.
    #[arg(long)]
    pub abandon: bool,
    #[command(flatten)]
    pub exchange: Exchange,
}

#[derive(Debug, Args)]
pub struct Recover {
    #[command(flatten)]
    pub group: Group,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").args(["rotate", "accept", "trust"]).multiple(true)))]
pub struct Device {
    #[command(flatten)]
    pub group: Group,
    /// Give this member, whose share is here, a new device key, and print the notice for the others
    #[arg(long, value_name = "INDEX")]
    pub rotate: Option<u16>,
    /// Also in the middle of a renewal that this vault has begun, and that is given up here
    ///
    /// Only when no member has gone over to its end, and all give it up.
    #[arg(long, requires = "change")]
    pub abandon: bool,
    /// Do not ask
    #[arg(long, requires = "abandon")]
    pub yes: bool,
    /// Take another member's new key from its notice; - for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "rotate")]
    pub accept: Option<PathBuf>,
    /// Take another member's key on your own word, for groups that have no roster yet: INDEX=HEX
    #[arg(long, value_name = "INDEX=HEX", conflicts_with_all = ["rotate", "accept"])]
    pub trust: Vec<String>,
}

#[derive(Debug, Args)]
pub struct SignFile {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The Ed25519 group: its name, npub or public key in hex; without it, the only group
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// The trusted comment, which is signed; without it, time and name of the file
    #[arg(long, short = 't', value_name = "TEXT", allow_hyphen_values = true)]
    pub trusted_comment: Option<String>,
    /// The untrusted comment, for people only
    #[arg(long, short = 'c', value_name = "TEXT", allow_hyphen_values = true)]
    pub comment: Option<String>,
    /// Where the signature goes; without it, beside the file as FILE.minisig
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite it
    #[arg(long)]
    pub force: bool,
    /// Take part in what another holder proposes: it must be about your own copy of the file, with your comment
    #[arg(long, requires = "interactive", requires = "trusted_comment")]
    pub join: bool,
    #[command(flatten)]
    pub together: Together,
}

#[derive(Debug, Args)]
pub struct VerifyFile {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Its signature; without it, FILE.minisig
    #[arg(value_name = "SIG")]
    pub signature: Option<PathBuf>,
    /// The key: a minisign public key file, its one line, an npub, 64 hex digits, or the name of a group in the vault
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Accept minisign's legacy signatures, which are not over a hash
    #[arg(long)]
    pub legacy: bool,
}
