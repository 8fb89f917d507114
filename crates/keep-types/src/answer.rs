//! What a permitted use of a secret gives back.

use nostr::{Event, PublicKey};

use crate::{CeremonyStep, DisplayText, SecretBytes, SecretKey32, SecretText};

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
    /// A group's finished signature (64 bytes, BIP-340 or Ed25519).
    Signature(Box<[u8; 64]>),
    /// Signature shares (32 bytes each) of members of a group.
    SignatureShares(Vec<(u16, [u8; 32])>),
    /// The same for each signature of a transaction.
    SpendShares(Vec<Vec<(u16, [u8; 32])>>),
    /// A share of a group as a record, with its device key.
    Share(SecretBytes),
    /// A step of a ceremony among vaults.
    Ceremony(CeremonyStep),
    /// What was asked for is done, and is in the vault.
    Done,
    /// The public side of a Bitcoin account, as the descriptor `tr([origin]xpub/<0;1>/*)` (BIP-389).
    BitcoinAccount(String),
    /// A transaction with our signatures.
    Psbt(Box<SignedPsbt>),
    /// A signature of a message (BIP-322), with its prefix.
    MessageSignature(String),
}

/// A Bitcoin transaction with our signatures in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPsbt {
    /// The PSBT, in the version and encoding of the one that was to be signed.
    pub psbt: Vec<u8>,
    /// How many signatures were added.
    pub signatures: usize,
    /// The inputs that got none, each with the reason.
    pub skipped: Vec<(usize, DisplayText)>,
}
