//! Connection URIs: `bunker://` (a signer invites clients) and `nostrconnect://` (a client asks for a signer).

mod bunker;
mod nostrconnect;
mod query;

pub use bunker::BunkerUri;
pub use nostrconnect::NostrConnectUri;

use keep_types::DisplayText;

use crate::{RelayUrl, RelayUrlError};

/// The longest URI that is read, in bytes.
pub const MAX_URI: usize = 8_192;

/// The most relays in one URI.
pub const MAX_RELAYS: usize = 16;

/// Why a text is not a connection URI. Never holds the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another scheme.
    #[error("the address starts with {expected}, not with \"{found}\"")]
    Scheme {
        /// How it should start.
        expected: &'static str,
        /// How it starts.
        found: DisplayText,
    },
    /// Longer than [`MAX_URI`].
    #[error("the address has {0} characters; at most {MAX_URI} are read")]
    TooLong(usize),
    /// No public key after the scheme.
    #[error("after {0} a public key of 64 hex digits must follow")]
    PublicKey(&'static str),
    /// No relay.
    #[error("the address names no relay; at least one relay is required")]
    NoRelay,
    /// More relays than [`MAX_RELAYS`].
    #[error("the address names more than {MAX_RELAYS} relays")]
    TooManyRelays,
    /// A relay whose address is none.
    #[error("{0}")]
    Relay(#[from] RelayUrlError),
    /// A relay whose address cannot stand in a `bunker://` URI that every client can read.
    #[error("{0} cannot stand in a bunker:// address: clients stumble over & % + and the like")]
    UnsafeRelay(RelayUrl),
    /// A `nostrconnect://` URI without a secret.
    #[error("the address has no secret; a secret is required")]
    NoSecret,
}
