//! Who signs: the one place where a secret is used.

use bitcoin::key::XOnlyPublicKey;
use bitcoin::secp256k1::PublicKey;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::taproot::{TapLeafHash, TapNodeHash};
use bitcoin::{TapSighash, TapSighashType};

use crate::KeyLocation;

/// How the key at a location becomes the key that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyTweak {
    /// As it is: in scripts, and for `rawtr(KEY)`.
    None,
    /// Tweaked as internal key (BIP-341), with the root of the script tree if there is one. Without one it is BIP-86.
    Taproot(Option<TapNodeHash>),
}

/// One signature to be made, complete in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignJob {
    /// The input that it is for.
    pub input: usize,
    /// What is signed (BIP-341, BIP-342).
    pub sighash: TapSighash,
    /// Where the key is.
    pub location: KeyLocation,
    /// How the key is tweaked.
    pub tweak: KeyTweak,
    /// The key before the tweak, where inspection has derived it. It spares a signer the computation; a wrong one
    /// leads to another key than [`SignJob::public_key`], which the signer notices.
    pub untweaked: Option<PublicKey>,
    /// The key under which the signature must verify. The signer compares it with the one that it holds.
    pub public_key: XOnlyPublicKey,
    /// The signature type.
    pub sighash_type: TapSighashType,
    /// The script, if it is not a key path signature.
    pub leaf_hash: Option<TapLeafHash>,
}

/// Whoever can make BIP-340 signatures with a key of ours: a key in this process, or a group of co-signers behind the
/// same descriptor.
///
/// A signer that cannot answer at once (a group over a network) need not implement this: it takes the jobs from
/// [`crate::Inspection::jobs`] and brings the signatures to [`crate::Inspection::attach`].
pub trait TaprootSigner {
    /// Signs every job; one signature per job, in their order.
    ///
    /// # Errors
    /// [`SignerError`]; then none of them is used.
    fn sign_taproot(&self, jobs: &[SignJob]) -> Result<Vec<Signature>, SignerError>;

    /// Whether the signatures need no verification, because they were made in this process by libsecp256k1.
    fn is_trusted(&self) -> bool {
        false
    }
}

/// Why a signer did not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The signer has another key tree, or no identity key.
    #[error("the signer does not hold the key for input {0}")]
    UnknownKey(usize),
    /// The derived and tweaked key is not the one that the output demands.
    #[error("the signer's key for input {0} is not the one that its output demands")]
    KeyMismatch(usize),
    /// A signature does not verify.
    #[error("the signature for input {0} does not verify")]
    BadSignature(usize),
    /// There are not as many signatures as jobs.
    #[error("the signer returned a wrong number of signatures")]
    Count,
    /// The transaction was inspected as the owner of another wallet.
    #[error("the transaction was inspected for another key than the one that is to sign")]
    ForeignWallet,
    /// Something else, in words that hold no secret.
    #[error("the signer failed: {0}")]
    Failed(String),
}
