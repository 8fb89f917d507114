//! Nostr relays: the transport that bunkers and clients speak through, and a relay to embed.
//!
//! - [`Transport`] is all that the rest of Keep knows of the network: [`Transport::subscribe`] gives a
//!   [`Subscription`] to receive from, [`Transport::publish`] a [`Publication`] that tells what each relay did.
//! - [`RelayPool`] is that transport over real relays, [`LocalTransport`] over an [`EmbeddedRelay`] of the same process.
//! - What arrives is a [`RawEvent`]: parsed and bounded, but only claimed. [`RawEvent::verify`] is the one way to an
//!   [`keep_types::Event`].
//!
//! Three rules hold everywhere. **Nothing is unbounded**: every queue has a limit, and what does not fit is counted or
//! reported. **Nothing waits for a stranger**: events of preferred authors ([`Subscription::prefer`]) overtake all
//! others, and a flood on one connection takes turns with the rest. **No relay is believed**: copies of an event are
//! recognised by all of its fields, so that a forgery under the id of another event cannot hide that event.
//!
//! ```
//! use keep_net::{EmbeddedRelay, Filter, PoolOptions, RelayOptions, RelayPolicy, RelayPool, Relays, Transport};
//! use keep_types::Kind;
//! use nostr::{EventBuilder, Keys};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let relay = EmbeddedRelay::bind("127.0.0.1:0".parse()?, RelayOptions::default()).await?;
//! let pool = RelayPool::new(PoolOptions::default())?;
//! pool.add(relay.url().clone(), RelayPolicy::OWNER);
//!
//! let inbox = pool.subscribe(vec![Filter::new().kinds([Kind::TextNote])], &Relays::All);
//! inbox.subscribed().await?;
//! let event = EventBuilder::text_note("hello").sign_with_keys(&Keys::generate())?;
//! let accepted_by = pool.publish(&event, &Relays::All).accepted().await?;
//! assert_eq!(accepted_by, *relay.url());
//!
//! let received = inbox.recv().await.ok_or("shut down")?;
//! assert_eq!(received.event.verify()?, event);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod auth;
mod backoff;
mod dial;
mod error;
mod event;
mod filter;
mod hex_field;
mod http;
mod inbox;
mod mailbox;
mod message;
mod policy;
mod pool;
mod publication;
mod relay;
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
pub use http::{HttpAnswer, HttpClient, HttpError};
pub use inbox::InboxLimits;
pub use keep_types::{RelayUrl, RelayUrlError};
pub use policy::RelayPolicy;
pub use pool::{PoolOptions, RelayPool};
pub use publication::{Outcome, Publication, Report};
pub use relay::{EmbeddedRelay, LocalTransport, RelayOptions};
pub use subscription::Subscription;
pub use transport::{Received, RelayState, RelayStatus, Relays, Transport};
