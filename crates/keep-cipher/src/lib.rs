//! Encryption of Nostr payloads.
//!
//! - [`nip44`]: version 2 (ChaCha20 and HMAC-SHA256 under a conversation key), with the extended lengths of 2026-06-28.
//! - [`age`]: files that a stock `age` opens, for backups.
//! - [`nip44v3`]: version 3 (draft), which authenticates what a message is for.
//! - [`nip04`]: the old AES-CBC form, unauthenticated, for clients that still speak it.
//! - [`nip49`]: secret keys encrypted under a passphrase (`ncryptsec1…`).
//! - [`sealed`]: XChaCha20-Poly1305 for what Keep seals for itself in bulk.
//!
//! Nonces come from the caller, so that an answer can be computed again, byte for byte. All keys are wiped on drop
//! and show nothing in `Debug`.
//!
//! ```
//! use keep_cipher::{ConversationKey, nip44};
//! use nostr::PublicKey;
//! use secp256k1::SecretKey;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let alice = SecretKey::from_slice(&[1; 32])?;
//! let bob = SecretKey::from_slice(&[2; 32])?;
//! let to_bob = PublicKey::from(bob.x_only_public_key(secp256k1::SECP256K1).0);
//! let to_alice = PublicKey::from(alice.x_only_public_key(secp256k1::SECP256K1).0);
//!
//! let payload = nip44::encrypt_randomly(&ConversationKey::derive(&alice, &to_bob)?, "hello")?;
//! let text = nip44::decrypt(&ConversationKey::derive(&bob, &to_alice)?, &payload)?;
//! assert_eq!(text.expose(), "hello");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod age;
mod error;
mod key;
pub mod nip04;
pub mod nip44;
pub mod nip44v3;
pub mod nip49;
mod padding;
pub mod sealed;

pub use error::CipherError;
pub use key::{ConversationKey, SharedX};
