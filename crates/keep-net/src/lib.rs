//! Nostr relays: the transport that bunkers and clients speak through, and a relay to embed.
#![forbid(unsafe_code)]

mod auth;
mod backoff;
mod dial;
mod error;
mod event;
mod filter;
mod hex_field;
mod inbox;
mod mailbox;
mod message;
mod policy;
mod pool;
mod publication;
mod relay;
mod relay_url;
mod rng;
mod subscription;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod transport;
mod wire;

pub use auth::{AuthChallenge, AuthSigner};
pub use error::NetError;
pub use event::{EventError, RawEvent};
pub use filter::Filter;
pub use inbox::InboxLimits;
pub use policy::RelayPolicy;
pub use pool::{PoolOptions, RelayPool};
pub use publication::{Outcome, Publication, Report};
pub use relay::{EmbeddedRelay, LocalTransport, RelayOptions};
pub use relay_url::{RelayUrl, UrlError};
pub use subscription::Subscription;
pub use transport::{Received, RelayState, RelayStatus, Relays, Transport};
