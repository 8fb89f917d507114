//! `keep agent`: its grammar.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum Agent {
    /// Make a session: a narrow, revocable ability to use a key
    ///
    /// Its token goes to a file that only you can read, and is shown nowhere. Give it to the agent as KEEP_SESSION or
    /// with --session-file.
    Create(Create),
    /// List the sessions
    List,
    /// Show one session, and what is left of its limits
    Show {
        /// The session's name
        name: String,
    },
    /// Revoke a session, and all that narrow it; it holds at once
    Revoke {
        /// The session's name
        name: String,
    },
    /// Offer tools to an agent over the Model Context Protocol (MCP)
    ///
    /// Started by the agent's program, with its stdin and stdout; with --http it listens on this machine instead. Without
    /// a session the agent may know the public key, and everything else is asked: of you in the agent's program if that
    /// can ask, else in the vault. The flags only narrow what a session may do.
    Mcp(Mcp),
}

/// What a session may do.
#[derive(Debug, Args)]
pub struct Scope {
    /// The operations: public, nostr, bitcoin or full
    #[arg(long, value_enum)]
    pub scope: Option<ScopeName>,
    /// The kinds of events that may be signed, with commas between; without them, common kinds
    #[arg(long, value_name = "KINDS")]
    pub kinds: Option<String>,
    /// Exchange messages with this person only, and name nobody else in events (npub or hex); may be given several times
    #[arg(long = "to", value_name = "NPUB")]
    pub recipients: Vec<String>,
    /// How often it may be used: 10/m, 30/h, 100/d; without a unit, in all; may be given several times
    #[arg(long = "rate", value_name = "RATE")]
    pub rates: Vec<String>,
    /// How much Bitcoin may leave in a window of time, fees included: 50000sat/day; may be given several times
    #[arg(long = "budget", value_name = "BUDGET")]
    pub budgets: Vec<String>,
    /// How much Bitcoin may leave with one transaction, fee included: 10000sat
    #[arg(long, value_name = "AMOUNT")]
    pub max_amount: Option<String>,
    /// Ask a person about transactions above this: 1000sat
    #[arg(long, value_name = "AMOUNT")]
    pub ask_above: Option<String>,
    /// Pay only to this address; may be given several times
    #[arg(long = "pay-to", value_name = "ADDRESS")]
    pub pay_to: Vec<String>,
    /// For how long: 15m, 24h, 30d
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<String>,
    /// Ask a person about what the scope does not cover, instead of refusing it
    #[arg(long)]
    pub ask: bool,
}

#[derive(Debug, Args)]
pub struct Create {
    /// The session's name
    #[arg(long)]
    pub name: String,
    #[command(flatten)]
    pub scope: Scope,
    /// A relay to which notes may be published, and no others; may be given several times
    #[arg(long, value_name = "URL")]
    pub relay: Vec<String>,
    /// Who is asked: you at the vault, or the person at the agent's program (then its token is enough to say yes)
    #[arg(long, value_enum, default_value_t)]
    pub asks: AsksName,
    /// Where the token goes; without it, a new file in the directory sessions beside the vault
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Mcp {
    /// A file with a session's token; without it, KEEP_SESSION
    #[arg(long, value_name = "FILE")]
    pub session_file: Option<PathBuf>,
    /// A file with the bunker:// URL of a bunker elsewhere that signs in place of a vault here; without it, KEEP_BUNKER
    #[arg(long, value_name = "FILE", conflicts_with = "session_file")]
    pub bunker_file: Option<PathBuf>,
    #[command(flatten)]
    pub scope: Scope,
    /// A relay to publish notes to, and no others; may be given several times; without it, those of the session or settings
    #[arg(long, value_name = "URL")]
    pub relay: Vec<String>,
    /// Listen here instead, for streamable HTTP: 127.0.0.1:0 for a free port
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<std::net::SocketAddr>,
    /// A web page that may use it, by its origin; may be given several times
    #[arg(long, value_name = "ORIGIN", requires = "http")]
    pub origin: Vec<String>,
}

/// Sets of operations, by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ScopeName {
    /// The public key, and nothing else
    Public,
    /// Also sign events of common kinds (or of --kinds), encrypt and decrypt
    Nostr,
    /// Bitcoin addresses, transactions and messages; without --budget or --max-amount each transaction is asked about
    Bitcoin,
    /// Everything but handing out the key, events of every kind
    Full,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum AsksName {
    /// You, at the vault
    #[default]
    Vault,
    /// The person at the agent's program
    Client,
}
