//! How a group signs a file: two sessions, the second about the first's signature.

use rand_core::{CryptoRng, RngCore};

use super::{PublicKeyFile, SignatureFile, check_comment, check_trusted_comment};
use crate::ed25519::verify_strict;
use crate::sign::{Proposal, sign_local};
use crate::{FrostError, Group, KeySpec, Message, NonceId, SecretShare, Signature};

/// A file to be signed: what goes into the first session.
#[derive(Debug, Clone)]
pub struct Release {
    key: PublicKeyFile,
    digest: [u8; 64],
    comment: String,
    trusted_comment: String,
}

impl Release {
    /// A release of the file with this BLAKE2b-512 hash.
    ///
    /// # Errors
    /// [`FrostError::Message`] for a group of another suite and for comments that minisign would not take.
    pub fn new(
        group: &Group,
        digest: [u8; 64],
        trusted_comment: impl Into<String>,
        comment: Option<String>,
    ) -> Result<Self, FrostError> {
        let (key, trusted_comment) = (PublicKeyFile::of_group(group)?, trusted_comment.into());
        let comment = comment.unwrap_or_else(|| format!("signature from minisign key {}", key.id()));
        check_comment(&comment)?;
        check_trusted_comment(&trusted_comment)?;
        Ok(Self { key, digest, comment, trusted_comment })
    }

    /// What the first session signs.
    pub const fn message(&self) -> Message {
        Message::FileDigest(self.digest)
    }

    /// Takes the first session's signature.
    ///
    /// # Errors
    /// [`FrostError::BadSignature`].
    pub fn signed(self, signature: Signature) -> Result<SignedFile, FrostError> {
        verify_strict(self.key.key(), &self.digest, signature.as_bytes())?;
        Ok(SignedFile { release: self, signature })
    }
}

/// A file whose hash is signed; its trusted comment is not, yet.
#[derive(Debug, Clone)]
pub struct SignedFile {
    release: Release,
    signature: Signature,
}

impl SignedFile {
    /// What the second session signs.
    pub fn message(&self) -> Message {
        Message::TrustedComment { signature: self.signature, comment: self.release.trusted_comment.clone() }
    }

    /// Takes the second session's signature and gives the finished file, verified.
    ///
    /// # Errors
    /// [`FrostError::TrustedComment`].
    pub fn signed(self, global: Signature) -> Result<SignatureFile, FrostError> {
        let Release { key, digest, comment, trusted_comment } = self.release;
        let signature = self.signature;
        let file = SignatureFile { comment, legacy: false, id: key.id(), signature, trusted_comment, global };
        file.verify(&key, &digest)?;
        Ok(file)
    }
}

/// A co-signer's own knowledge of a release, against which it checks both proposals. It has hashed the file itself and
/// approved the comment; without this a coordinator could have any message signed.
#[derive(Debug, Clone)]
pub struct ReleaseCheck {
    key: PublicKeyFile,
    digest: [u8; 64],
    trusted_comment: String,
}

impl ReleaseCheck {
    /// For the file with this hash and the comment that this signer approves.
    ///
    /// # Errors
    /// [`FrostError::Message`].
    pub fn new(
        group: &Group,
        digest: [u8; 64],
        trusted_comment: impl Into<String>,
    ) -> Result<Self, FrostError> {
        Ok(Self { key: PublicKeyFile::of_group(group)?, digest, trusted_comment: trusted_comment.into() })
    }

    /// Whether this proposal is one of the two of the release. The second is accepted only with a valid signature over
    /// this signer's own hash, and with the approved comment.
    ///
    /// # Errors
    /// [`FrostError::Message`] saying what differs.
    pub fn check(&self, message: &Message) -> Result<(), FrostError> {
        match message {
            Message::FileDigest(digest) if *digest == self.digest => Ok(()),
            Message::FileDigest(_) => Err(FrostError::Message("it is the hash of another file than yours")),
            Message::TrustedComment { signature, comment } => {
                if *comment != self.trusted_comment {
                    return Err(FrostError::Message("the trusted comment is not the one that you approved"));
                }
                verify_strict(self.key.key(), &self.digest, signature.as_bytes())
                    .map_err(|_| FrostError::Message("its signature is not over your file"))
            }
            Message::Event(_) | Message::Raw(_) => Err(FrostError::Message("it is no part of a release")),
        }
    }
}

/// Signs a file with shares that are all in this process. Returns the ids of all nonces, for the burn table.
///
/// # Errors
/// Those of [`Release::new`] and [`sign_local`].
pub fn sign_release_local(
    group: &Group,
    shares: &[&SecretShare],
    release: Release,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(SignatureFile, Vec<NonceId>), FrostError> {
    let first = Proposal::new(group, KeySpec::plain(), release.message(), rng)?;
    let (signature, mut burnt) = sign_local(group, shares, &first, rng)?;
    let signed = release.signed(signature)?;
    let second = Proposal::new(group, KeySpec::plain(), signed.message(), rng)?;
    let (global, more) = sign_local(group, shares, &second, rng)?;
    burnt.extend(more);
    Ok((signed.signed(global)?, burnt))
}
