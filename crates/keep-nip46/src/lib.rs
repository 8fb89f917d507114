//! NIP-46 (remote signing), as pure functions and state machines.
//!
//! Nothing here opens a socket, reads a clock or draws a random number: time, random bytes and events come in as
//! arguments, and what has to be done comes out as values.
//!
//! - [`BunkerUri`], [`NostrConnectUri`], [`RelayUrl`], [`ConnectSecret`]: how the two sides find each other.
//! - [`Permissions`]: the words for what a client may do.
//! - [`message`]: requests and answers, read as leniently and written as strictly as real clients need.
//! - [`envelope`]: the encrypted, signed events around them, and [`TransportKey`].
//! - [`server`]: the bunker's state machine. [`client`]: the client's.
//!
//! ```
//! use keep_nip46::client::{Answered, Ask, Client, ClientEffect, Random};
//! use keep_nip46::envelope::{self, Seal};
//! use keep_nip46::message::Reply;
//! use keep_nip46::server::{Effect, Limits, Server, Standing};
//! use keep_nip46::{BunkerUri, ConnectSecret, RelayUrl, TransportKey};
//! use keep_types::{EndpointId, SecretKey32, Timestamp};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Timestamp::from_secs(1_795_166_574);
//! let endpoint = EndpointId::from_bytes([1; 16]);
//! let ours = TransportKey::new(&SecretKey32::take(&mut [1; 32]))?;
//! let mut server = Server::new(Limits::default());
//!
//! // A client is invited, and asks.
//! let secret = ConnectSecret::from_random(&[7; 24]);
//! let uri = BunkerUri::new(*ours.public_key(), vec![RelayUrl::parse("wss://relay.example")?], Some(&secret))?;
//! let mut client = Client::new(&uri, TransportKey::new(&SecretKey32::take(&mut [2; 32]))?);
//! let random = Random { id: [3; 16], nonce: [4; 32], aux_rand: [5; 32] };
//! let (_, request) = client.call(Ask::Ping, &random, now)?;
//!
//! // The bunker lets it in, and answers once.
//! let admission = server.admit(&request, endpoint, Standing::Known, now).map_err(|reason| reason.as_str())?;
//! let message = envelope::open(&request, &ours)?.verify()?;
//! let Effect::Handle(job) = server.receive(admission, message, now) else { panic!("not handled") };
//! assert_eq!(job.method.name(), "ping");
//! let reply = Reply::pong(job.ticket.call_id.clone());
//! let seal = Seal {
//!     to: job.ticket.client,
//!     scheme: job.ticket.scheme,
//!     created_at: now,
//!     nonce: [6; 32],
//!     aux_rand: [7; 32],
//! };
//! let event = envelope::seal(&ours, reply.to_json().expose(), &seal)?;
//! let effects = server.answer(job.ticket, event, now);
//!
//! let Some(Effect::Publish(answer)) = effects.first() else { panic!("not sent") };
//! let outcome = client.receive(&answer.event, now);
//! assert!(matches!(outcome, Some(ClientEffect::Done(_, Ok(Answered::Pong)))));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod client;
pub mod envelope;
mod error;
mod json;
pub mod message;
mod metadata;
mod permissions;
mod secret;
pub mod server;
mod transport_key;
pub mod uri;

pub use envelope::EnvelopeError;
pub use error::Nip46Error;
pub use keep_types::{RelayUrl, RelayUrlError};
pub use message::MessageError;
pub use metadata::ClientMetadata;
pub use permissions::{Permission, PermissionError, Permissions};
pub use secret::ConnectSecret;
pub use transport_key::TransportKey;
pub use uri::{BunkerUri, NostrConnectUri, UriError};
