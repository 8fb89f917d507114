//! What a permitted use of a secret gives back.

use nostr::{Event, PublicKey};

use crate::{SecretKey32, SecretText};

/// The result of a permitted use. It reaches a caller only after the record of the use is durable.
#[derive(Debug)]
pub enum Answer {
    /// The public key of the identity.
    PublicKey(PublicKey),
    /// The signed event.
    Event(Box<Event>),
    /// An encrypted payload, in the text form of its scheme.
    Ciphertext(String),
    /// A decrypted payload, the words of a mnemonic, or a stored secret.
    Plaintext(SecretText),
    /// The secret key itself.
    SecretKey(SecretKey32),
}
