//! Who asks.

use std::fmt;

use nostr::PublicKey;

use crate::{EndpointId, SessionId};

/// Who asks for a use of a key. Policy judges by it, and the audit log names it.
///
/// A new front end adds its variant here; every exhaustive match then says where a decision is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The owner at the command line, or a program that embeds Keep and acts for the owner.
    Cli,
    /// A NIP-46 client, known by the key that signs its requests, through one bunker endpoint.
    Nip46 {
        /// The client's public key (disposable, but the same for the life of a connection).
        client: PublicKey,
        /// The endpoint (transport key) that it wrote to.
        endpoint: EndpointId,
    },
    /// An agent with a session of its own, known by the token that it showed.
    Agent {
        /// The session.
        session: SessionId,
    },
}

impl Origin {
    /// Every [`label`](Self::label).
    pub const LABELS: [&'static str; 3] = ["cli", "nip46", "agent"];

    /// A short stable word for logs and JSON: `cli`, `nip46`, `agent`.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Nip46 { .. } => "nip46",
            Self::Agent { .. } => "agent",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cli => f.write_str("cli"),
            Self::Nip46 { client, .. } => write!(f, "nip46:{}", client.to_hex()),
            Self::Agent { session } => write!(f, "agent:{session}"),
        }
    }
}
