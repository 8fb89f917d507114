//! What can go wrong, without secrets and without text of a stranger.

use keep_types::{ErrorCode, Fault};

use crate::inspect::Warning;
use crate::sign::Skipped;

/// A failure of this crate. No variant holds a secret, and none repeats unfiltered input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BitcoinError {
    /// Not one of the networks that Keep knows.
    #[error("unknown Bitcoin network; use mainnet, testnet3, testnet4, signet or regtest")]
    Network,
    /// Not a BIP-39 mnemonic.
    #[error("not a valid mnemonic: {0}")]
    Mnemonic(&'static str),
    /// A seed whose length BIP-32 does not allow (16 to 64 bytes).
    #[error("a BIP-32 seed has 16 to 64 bytes")]
    SeedLength,
    /// A derivation step that does not exist: a hardened step of a public key, an index of 2³¹ or more, or the one
    /// case in 2¹²⁷ that BIP-32 leaves without a key.
    #[error("this key cannot be derived: {0}")]
    Derivation(&'static str),
    /// A descriptor that cannot be read, or that is not of the form that Keep owns.
    #[error("not a usable descriptor: {0}")]
    Descriptor(&'static str),
    /// Not an address of this network.
    #[error("not an address of {0}")]
    Address(crate::Network),
    /// The file is not a PSBT of version 0 (BIP-174) or 2 (BIP-370).
    #[error("not a valid PSBT: {0}")]
    Psbt(String),
    /// The PSBT is larger than Keep reads.
    #[error("the PSBT has more than {limit} {unit}")]
    PsbtTooLarge {
        /// How many are read at most.
        limit: usize,
        /// Of what.
        unit: &'static str,
    },
    /// Signing is refused, for these reasons.
    #[error("refused to sign: {}", list(.0))]
    Refused(Vec<Warning>),
    /// Not one input can be signed; each with its reason.
    #[error("nothing was signed: {}", list(.0))]
    NothingSigned(Vec<Skipped>),
    /// Inputs that cannot be finalised; each with its reason.
    #[error("not final: {}", list(.0))]
    NotFinal(Vec<Skipped>),
    /// The signer failed.
    #[error(transparent)]
    Signer(#[from] crate::sign::SignerError),
    /// A signature of a message that cannot be read (BIP-322).
    #[error("not a valid BIP-322 signature: {0}")]
    MessageSignature(&'static str),
    /// A message that cannot be signed as asked.
    #[error("cannot sign this message: {0}")]
    Message(&'static str),
}

/// At most five reasons, the rest counted.
fn list<T: std::fmt::Display>(reasons: &[T]) -> String {
    const SHOWN: usize = 5;
    let mut text = reasons.iter().take(SHOWN).map(T::to_string).collect::<Vec<_>>().join("; ");
    if reasons.len() > SHOWN {
        text.push_str(&format!("; and {} more", reasons.len() - SHOWN));
    }
    text
}

impl From<BitcoinError> for Fault {
    fn from(error: BitcoinError) -> Self {
        let text = error.to_string();
        match error {
            BitcoinError::Network => Self::new(ErrorCode::Usage, text),
            BitcoinError::Mnemonic(_) => Self::new(ErrorCode::InvalidKey, text)
                .with_hint("give the 12 to 24 words in their order, separated by spaces"),
            BitcoinError::SeedLength => Self::new(ErrorCode::InvalidKey, text),
            BitcoinError::Derivation(_) => Self::new(ErrorCode::InvalidKey, text)
                .with_hint("check the index, the number of the account and the path"),
            BitcoinError::Refused(_) => Self::new(ErrorCode::InvalidInput, text)
                .with_hint("see `keep bitcoin analyze` for what the transaction would do"),
            BitcoinError::NothingSigned(_) => Self::new(ErrorCode::InvalidInput, text)
                .with_hint("check the key, the account and the network that made this PSBT"),
            BitcoinError::NotFinal(_) => {
                Self::new(ErrorCode::InvalidInput, text).with_hint("collect the missing signatures first")
            }
            BitcoinError::Signer(_) => Self::new(ErrorCode::Bug, text),
            BitcoinError::Descriptor(_)
            | BitcoinError::Address(_)
            | BitcoinError::Psbt(_)
            | BitcoinError::PsbtTooLarge { .. }
            | BitcoinError::MessageSignature(_)
            | BitcoinError::Message(_) => Self::new(ErrorCode::InvalidInput, text),
        }
    }
}
