//! Threshold keys of Keep (FROST, RFC 9591): a key that any t of n members use together, and no t−1.
//!
//! - [`Group`] is what is public about a shared key, [`SecretShare`] what one member holds.
//! - [`dealer`] makes, splits and puts together keys on one device.
//! - [`sign`]: a [`sign::Proposal`] is judged, committed to, signed and aggregated; [`NoncePool`] saves a round.
//! - [`ceremony`]: distributed key generation and share renewal; [`repair`] of a lost share.
//! - [`wire`]: shares as text (`kshare1…`) and authenticated round messages; [`import`] from other software.
//! - [`minisign`]: release signatures that stock minisign verifies.
//!
//! Everything here is a state machine without input or output: time and randomness are arguments, messages are values.
//! Secrets are wiped on drop and appear in no `Debug` output and no error. Nonces exist in memory only.
//!
//! ```
//! use keep_frost::{dealer, sign, KeySpec, Message, Suite};
//! use rand_core::OsRng;
//!
//! let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng)?;
//! let message = Message::Raw(b"hello".to_vec());
//! let proposal = sign::Proposal::new(&dealt.group, KeySpec::plain(), message.clone(), &mut OsRng)?;
//! let shares = [&dealt.shares[0], &dealt.shares[2]];
//! let (signature, burnt) = sign::sign_local(&dealt.group, &shares, &proposal, &mut OsRng)?;
//! assert_eq!(burnt.len(), 2);
//! sign::verify(&dealt.group, &KeySpec::plain(), &message, &signature)?;
//! # Ok::<(), keep_frost::FrostError>(())
//! ```
#![forbid(unsafe_code)]

mod bytes;
pub mod ceremony;
mod complaint;
pub mod dealer;
mod derive;
mod device;
mod ed25519;
mod endorsement;
mod error;
mod group;
pub mod import;
mod index;
mod mailbox;
mod message;
pub mod minisign;
mod nonce;
mod place;
mod pool;
pub mod repair;
mod seed;
mod share;
pub mod sign;
mod suite;
pub mod wire;

pub use bytes::{GroupId, NonceId, Point, SessionId, SharingId, Signature};
pub use derive::{KeySpec, Network, Tweak};
pub use device::{DeviceKey, DevicePublic};
pub use endorsement::Endorsement;
pub use error::FrostError;
pub use group::{Group, GroupParts, Member, Provenance, Status};
pub use index::Index;
pub use message::Message;
pub use nonce::{Commitment, Nonces};
pub use place::Place;
pub use pool::NoncePool;
pub use share::SecretShare;
pub use suite::Suite;
