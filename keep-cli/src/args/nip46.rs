//! `keep nip46`: clients of the bunker.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Nip46 {
    /// Let a client do something, or change what it may do; holds at once
    ///
    /// A client that is not connected yet is granted it ahead, and needs no secret to connect. What --permissions does
    /// not name is refused. A sign_event permission signs the kinds of --auto-approve-kinds, and asks for the others.
    Grant(Grant),
    /// List connected clients
    Apps,
    /// Disconnect a client, also for requests that wait
    Revoke {
        /// Its name, npub or public key in hex
        client: String,
    },
    /// Let clients sign kinds of events without asking
    AutoApprove(AutoApprove),
    /// Addresses to hand out, whose secret carries a policy
    #[command(subcommand)]
    Token(Token),
    /// Have clients use other relays
    ///
    /// They are told when they ask, which most do after connecting and now and then. The bunker goes on listening on the
    /// relays of before, for clients that do not ask.
    Relays {
        /// A client (its name, npub or public key in hex), or a token (its id, name or address)
        whose: String,
        /// A relay to use from now on; several may be named
        #[arg(long, value_name = "URL", required = true)]
        relay: Vec<String>,
    },
    /// Answer a client that shows a nostrconnect:// address
    Connect(Connect),
    /// Ask another bunker something, as a client
    Call(Call),
    /// The kill switch: stop answering all clients, until `keep nip46 resume`
    Stop,
    /// Answer clients again
    Resume,
    /// List requests that wait for a person, or show one whole
    Pending {
        #[command(subcommand)]
        which: Option<PendingCommand>,
    },
    /// Approve a request that waits
    ///
    /// Shows all of it first; at a terminal it asks whether you mean it.
    Approve(Approve),
    /// Refuse a request that waits
    Deny(Decide),
}

#[derive(Debug, Args)]
pub struct Bounds {
    /// At most so many uses in all
    #[arg(long, value_name = "N")]
    pub max_uses: Option<u64>,
    /// At most so many in each minute of the clock
    #[arg(long, value_name = "N")]
    pub per_minute: Option<u32>,
    /// At most so many in each hour of the clock
    #[arg(long, value_name = "N")]
    pub per_hour: Option<u32>,
    /// At most so many in each day (universal time)
    #[arg(long, value_name = "N")]
    pub per_day: Option<u32>,
}

#[derive(Debug, Args)]
pub struct Grant {
    /// The client's npub or public key in hex; one that is connected also by its name
    pub client: String,
    /// Your name for it
    #[arg(long)]
    pub name: Option<String>,
    /// Methods with commas between, such as get_public_key,sign_event,nip44_encrypt, or all
    #[arg(long, value_name = "METHODS", conflicts_with = "policy")]
    pub permissions: Option<String>,
    /// Kinds that it may sign without asking, with commas between
    #[arg(long, value_name = "KINDS", value_delimiter = ',', requires = "permissions")]
    pub auto_approve_kinds: Vec<u16>,
    /// A policy instead, by name
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// For how long: seconds, 15m, 24h, 30d, session (until it logs out or the bunker ends), or forever; as before, if it is
    /// not said
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    #[command(flatten)]
    pub bounds: Bounds,
    /// Lift all limits on uses and rates
    #[arg(long)]
    pub unlimited: bool,
    /// Refuse it everything, until it is granted something again
    #[arg(long)]
    pub suspend: bool,
}

#[derive(Debug, Args)]
pub struct AutoApprove {
    /// Kinds with commas between
    #[arg(long, value_name = "KINDS", value_delimiter = ',', required = true)]
    pub kinds: Vec<u16>,
    /// Only this client: its name, npub or public key in hex; without it, every one that is connected
    #[arg(long)]
    pub client: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a bunker:// address whose secret carries a policy
    Create(TokenCreate),
    /// List tokens
    List,
    /// Withdraw a token, with the clients that took it
    Revoke {
        /// Its id or the beginning of it, its name, or its address
        token: String,
    },
}

#[derive(Debug, Args)]
pub struct TokenCreate {
    /// The policy of whoever connects with it
    #[arg(long, default_value = "social", value_name = "NAME")]
    pub policy: String,
    /// Your name for it, and for the client that takes it
    #[arg(long)]
    pub name: Option<String>,
    /// How many clients may connect with it
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub uses: u32,
    /// When it, and what was granted for it, ends: seconds, 24h, 30d, or never
    #[arg(long, default_value = "never", value_name = "TIME")]
    pub expires: String,
    /// A relay to listen on; without one, those of the latest address that you made for the key
    #[arg(long, value_name = "URL")]
    pub relay: Vec<String>,
    #[command(flatten)]
    pub bounds: Bounds,
}

#[derive(Debug, Args)]
pub struct Connect {
    /// The client's nostrconnect:// address, or - to read it from stdin
    #[arg(required_unless_present = "qr")]
    pub uri: Option<String>,
    /// Read the address from a picture of its QR code instead, such as a screenshot or a photograph (PNG, JPEG)
    #[arg(long, value_name = "FILE", conflicts_with = "uri")]
    pub qr: Option<PathBuf>,
    /// Take an address without a secret too, as applications made with rust-nostr before 0.45 show it; whoever answers
    /// first on its relays is then taken for your bunker
    #[arg(long)]
    pub without_secret: bool,
    /// What it may do without asking
    #[arg(long, default_value = "social", value_name = "NAME")]
    pub policy: String,
    /// Your name for it
    #[arg(long)]
    pub name: Option<String>,
    /// For how long: seconds, 24h, 30d, or forever
    #[arg(long, default_value = "forever", value_name = "TIME")]
    pub duration: String,
    #[command(flatten)]
    pub bounds: Bounds,
}

#[derive(Debug, Args)]
pub struct Call {
    /// The bunker:// address, or - to read it from stdin; or the name of a key that another bunker holds
    pub uri: String,
    /// The method: ping, get_public_key, sign_event, nip44_encrypt, …
    pub method: String,
    /// Its parameters: for sign_event the event as JSON; for nip44v3_encrypt and nip44v3_decrypt the peer, a kind, a scope and
    /// base64; for the others the peer and the text
    pub params: Vec<String>,
    /// Keeps the client's key in this file, so that the next call is from the same client
    #[arg(long, value_name = "FILE")]
    pub client_key_file: Option<PathBuf>,
    /// How long to wait for each answer
    #[arg(long, default_value = "60", value_name = "TIME")]
    pub timeout: String,
}

#[derive(Debug, Subcommand)]
pub enum PendingCommand {
    /// Show all of one request: nothing is cut
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct Approve {
    #[command(flatten)]
    pub decide: Decide,
    /// Do not ask whether it is meant; the request is shown on stderr nevertheless
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Decide {
    /// The request's id, or the beginning of it; see `keep pending`
    pub id: String,
    /// For longer than this once: 5m, 1h, 24h, or always
    #[arg(long = "for", value_name = "TIME")]
    pub lasting: Option<String>,
    /// What else it holds for: the same kind of request, or everything that this client asks
    #[arg(long, value_enum, default_value_t, requires = "lasting")]
    pub scope: ScopeName,
    /// Decide as another person than the owner; the code is asked for, or comes from KEEP_APPROVAL_CODE
    #[arg(long = "as", value_name = "PERSON", conflicts_with = "lasting")]
    pub person: Option<String>,
}

/// What a lasting decision is about.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum ScopeName {
    /// The same method, and for events the same kind
    #[default]
    Kind,
    /// Everything that this client asks
    Client,
}
