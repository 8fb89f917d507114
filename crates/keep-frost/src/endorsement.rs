//! The word for a sharing of a key.
//!
//! Whoever knows the public key alone can make up public shares that fit it, and t−1 secret shares beside them. A vault
//! must not give its shares up for such an invention. What nobody can make up without a threshold of real shares:
//!
//! - the group's own signature over the name of the sharing, made where enough of the new shares are in one vault;
//! - signatures of a threshold of members over it, each under its own public share. Public shares and group key lie on one
//!   polynomial, so whoever knows that many of the secrets behind them knows the group's. Members sign so in a renewal among
//!   vaults, where a joint signature would need nonces that outlive a process. These are ordinary signatures of one signer:
//!   their nonces come from the share and the name of the sharing, so that saying it again gives the same bytes.

use std::collections::BTreeMap;
use std::fmt;

use frost_core::round2::SignatureShare;
use frost_core::{CheaterDetection, SigningKey};
use minicbor::{Decode, Encode};
use rand_core::{CryptoRng, RngCore};

use crate::seed::SeedRng;
use crate::sign::{encode, partial, signing_package, verify_bytes};
use crate::suite::{Curve, identifier, with_curve};
use crate::{
    Commitment, FrostError, Group, Index, KeySpec, NonceId, Nonces, SecretShare, SessionId, Signature,
};

/// What the bytes begin with that a group signs. Nothing else that begins so is ever signed.
const PREFIX: &[u8] = b"keep frost: these are the next shares of this key: ";
/// What the bytes begin with that a member signs.
const MEMBER_PREFIX: &[u8] = b"keep frost: this is my part of these next shares: ";
/// Of a member's signature: its index, and the signature.
const ENTRY: usize = 65;

/// The word for a sharing of a key. It proves that a threshold of these very shares exists, and that their secret is the
/// group's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endorsement {
    /// The group's signature, BIP-340 or Ed25519.
    Group(Signature),
    /// Signatures of at least a threshold of members, under their public shares.
    Members(BTreeMap<Index, Signature>),
}

impl Endorsement {
    /// Signs the sharing with a threshold of its shares. The ids of the nonces are returned for the burn table.
    ///
    /// # Errors
    /// Those of [`Group::check_signers`] and [`SecretShare::check`]; [`FrostError::InconsistentGroup`] when the shares do
    /// not sign.
    pub fn sign(
        group: &Group,
        shares: &[&SecretShare],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(Self, Vec<NonceId>), FrostError> {
        crate::dealer::check_shares(group, shares)?;
        let enough = &shares[..usize::from(group.threshold()).min(shares.len())];
        let (signature, burns) = with_curve!(group.suite(), C => signed::<C>(group, enough, rng)?);
        let endorsement = Self::Group(signature);
        endorsement.check(group)?;
        Ok((endorsement, burns))
    }

    /// Of what all members said, as much as is needed.
    pub(crate) fn of_members(group: &Group, said: &BTreeMap<Index, Signature>) -> Self {
        let enough = said.iter().take(usize::from(group.threshold()));
        Self::Members(enough.map(|(index, signature)| (*index, *signature)).collect())
    }

    /// Whether this is the word for this very sharing.
    ///
    /// # Errors
    /// [`FrostError::NotEndorsed`]; those of [`Group::check`].
    pub fn check(&self, group: &Group) -> Result<(), FrostError> {
        match self {
            Self::Group(signature) => {
                verify_bytes(group.suite(), group.key().as_bytes(), &message(PREFIX, group), signature)
                    .map_err(|_| FrostError::NotEndorsed)
            }
            Self::Members(said) => {
                // Only then do enough shares amount to the key.
                group.check()?;
                let all = said.iter().all(|(index, signature)| vouches(group, *index, signature));
                let enough = said.len() >= usize::from(group.threshold());
                if all && enough { Ok(()) } else { Err(FrostError::NotEndorsed) }
            }
        }
    }

    /// As bytes: the group's signature (64), or for each member in ascending order its index (1) and its signature (64).
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Group(signature) => signature.as_bytes().to_vec(),
            Self::Members(said) => {
                let mut out = Vec::with_capacity(ENTRY * said.len());
                for (index, signature) in said {
                    // An index is at most 255.
                    out.extend(index.get().to_be_bytes().get(1..).unwrap_or_default());
                    out.extend(signature.as_bytes());
                }
                out
            }
        }
    }

    /// Reads [`Endorsement::to_bytes`].
    ///
    /// # Errors
    /// [`FrostError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrostError> {
        let bad = || FrostError::malformed("word for a sharing", "not of the documented form");
        if let Ok(signature) = <[u8; 64]>::try_from(bytes) {
            return Ok(Self::Group(Signature::from_bytes(signature)));
        }
        if bytes.is_empty() || !bytes.len().is_multiple_of(ENTRY) {
            return Err(bad());
        }
        let mut said = BTreeMap::new();
        for entry in bytes.chunks_exact(ENTRY) {
            let (index, signature) = entry.split_first().ok_or_else(bad)?;
            let index = Index::new(u64::from(*index)).map_err(|_| bad())?;
            let signature: [u8; 64] = signature.try_into().map_err(|_| bad())?;
            if said.last_key_value().is_some_and(|(last, _)| *last >= index) {
                return Err(bad());
            }
            said.insert(index, Signature::from_bytes(signature));
        }
        Ok(Self::Members(said))
    }
}

impl<C> Encode<C> for Endorsement {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.to_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Endorsement {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::from_bytes(d.bytes()?).map_err(|e| minicbor::decode::Error::message(e.to_string()))
    }
}

impl fmt::Display for Endorsement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

/// Whether these bytes are reserved for the words about sharings.
pub(crate) fn is_reserved(message: &[u8]) -> bool {
    message.starts_with(PREFIX) || message.starts_with(MEMBER_PREFIX)
}

fn message(prefix: &[u8], group: &Group) -> Vec<u8> {
    [prefix, group.sharing().as_bytes()].concat()
}

/// A member's own signature over the sharing that its share is of. The same bytes every time.
pub(crate) fn vouch(group: &Group, share: &SecretShare) -> Result<Signature, FrostError> {
    share.check(group)?;
    let sharing = SessionId::from_bytes(*group.sharing().as_bytes());
    let rng = SeedRng::of_share(share, sharing, "keep/frost/vouch")?;
    let signature = with_curve!(group.suite(), C => {
        let key = SigningKey::<C>::from_scalar(share.scalar::<C>()?)
            .map_err(|_| FrostError::BadScalar(C::SUITE))?;
        encode::<C>(&key.sign(rng, &message(MEMBER_PREFIX, group)))?
    });
    // What a fault has bent must not leave: it could tell the share.
    if vouches(group, share.index(), &signature) { Ok(signature) } else { Err(FrostError::OwnShareInvalid) }
}

/// Whether the member has signed for this sharing.
pub(crate) fn vouches(group: &Group, index: Index, signature: &Signature) -> bool {
    group.member(index).is_ok_and(|member| {
        let key = member.verifying_share.as_bytes();
        verify_bytes(group.suite(), key, &message(MEMBER_PREFIX, group), signature).is_ok()
    })
}

fn signed<C: Curve>(
    group: &Group,
    shares: &[&SecretShare],
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(Signature, Vec<NonceId>), FrostError> {
    let mut commitments: BTreeMap<Index, Commitment> = BTreeMap::new();
    let mut nonces = Vec::with_capacity(shares.len());
    for share in shares {
        let made = Nonces::generate(share, rng)?;
        commitments.insert(share.index(), made.commitment().clone());
        nonces.push(made);
    }
    let burns = commitments.values().map(Commitment::id).collect();
    let package = signing_package::<C>(&commitments, &message(PREFIX, group))?;
    let mut partials = BTreeMap::new();
    for (share, nonces) in shares.iter().zip(nonces) {
        let bytes = partial::<C>(group, share, &KeySpec::plain(), &package, nonces, false)?;
        let partial = SignatureShare::deserialize(&bytes).map_err(|_| FrostError::Internal("endorsement"))?;
        partials.insert(identifier::<C>(share.index())?, partial);
    }
    let keys = group.bare_keys::<C>()?;
    let signature = frost_core::aggregate_custom(&package, &partials, &keys, CheaterDetection::Disabled)
        .map_err(|_| FrostError::InconsistentGroup)?;
    Ok((encode::<C>(&signature)?, burns))
}

#[cfg(test)]
mod tests {
    use frost_core::keys::{PublicKeyPackage, VerifyingShare};
    use frost_core::{Field as _, Group as _, Scalar, VerifyingKey};
    use rand_core::OsRng;

    use super::*;
    use crate::group::Provenance;
    use crate::{Suite, dealer};

    fn said(group: &Group, shares: &[&SecretShare]) -> BTreeMap<Index, Signature> {
        shares.iter().map(|share| (share.index(), vouch(group, share).unwrap())).collect()
    }

    #[test]
    fn a_threshold_of_members_speaks_for_its_own_sharing() {
        for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
            let dealt = dealer::generate(suite, 3, 5, &mut OsRng).unwrap();
            let shares: Vec<&SecretShare> = dealt.shares.iter().collect();
            let all = said(&dealt.group, &shares);
            assert_eq!(all, said(&dealt.group, &shares));
            let word = Endorsement::of_members(&dealt.group, &all);
            word.check(&dealt.group).unwrap();
            Endorsement::Members(all.clone()).check(&dealt.group).unwrap();
            let bytes = word.to_bytes();
            assert_eq!((bytes.len(), Endorsement::from_bytes(&bytes).as_ref()), (3 * 65, Ok(&word)));
            // One fewer, one that is another's, one bent, one of a stranger.
            let few = Endorsement::Members(all.iter().take(2).map(|(i, s)| (*i, *s)).collect());
            let mut swapped = all.clone();
            swapped.insert(Index::new(1).unwrap(), all[&Index::new(2).unwrap()]);
            let mut stranger = all.clone();
            stranger.insert(Index::new(9).unwrap(), all[&Index::new(2).unwrap()]);
            for wrong in [few, Endorsement::Members(swapped), Endorsement::Members(stranger)] {
                assert_eq!(wrong.check(&dealt.group), Err(FrostError::NotEndorsed));
            }
            let mut bent = bytes.clone();
            bent[70] ^= 1;
            assert_eq!(
                Endorsement::from_bytes(&bent).unwrap().check(&dealt.group),
                Err(FrostError::NotEndorsed)
            );
            for wrong in [&bytes[..66], &[], &[bytes[65..].to_vec(), bytes.clone()].concat()] {
                assert!(matches!(Endorsement::from_bytes(wrong), Err(FrostError::Malformed { .. })));
            }
        }
    }

    /// Public shares on one polynomial through the key and `chosen` secrets, as anybody can make them up.
    fn made_up<C: Curve>(real: &Group, chosen: &BTreeMap<Index, Scalar<C>>) -> Group {
        type Field<C> = <<C as frost_core::Ciphersuite>::Group as frost_core::Group>::Field;
        let number =
            |index: u16| (0..index).fold(Field::<C>::zero(), |sum: Scalar<C>, _| sum + Field::<C>::one());
        // The key stands at 0.
        let mut points = vec![(0, real.key_element::<C>().unwrap())];
        points.extend(chosen.iter().map(|(index, secret)| (index.get(), C::Group::generator() * *secret)));
        let mut shares = BTreeMap::new();
        for index in real.indices() {
            let mut sum = C::Group::identity();
            for (at, point) in &points {
                let mut weight = Field::<C>::one();
                for (other, _) in points.iter().filter(|(other, _)| other != at) {
                    let below = Field::<C>::invert(&(number(*at) - number(*other))).unwrap();
                    weight = weight * (number(index.get()) - number(*other)) * below;
                }
                sum = sum + *point * weight;
            }
            shares.insert(identifier::<C>(index).unwrap(), VerifyingShare::new(sum));
        }
        let key = VerifyingKey::new(real.key_element::<C>().unwrap());
        let public = PublicKeyPackage::<C>::new(shares, key, Some(real.threshold()));
        let parts = Group::from_keys::<C>(&public, real.threshold(), 1, Provenance::Dkg).unwrap();
        Group::try_from(parts).unwrap()
    }

    /// Somebody knows the public key, and two secrets of a polynomial that was chosen through it: the third is missing.
    #[test]
    fn made_up_shares_have_no_word() {
        for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
            let real = dealer::generate(suite, 3, 4, &mut OsRng).unwrap().group;
            let chosen = dealer::generate(suite, 3, 4, &mut OsRng).unwrap();
            let (group, mut words) = with_curve!(suite, C => {
                let secrets: BTreeMap<Index, Scalar<C>> = chosen.shares[..2]
                    .iter()
                    .map(|share| (share.index(), share.scalar::<C>().unwrap()))
                    .collect();
                let group = made_up::<C>(&real, &secrets);
                let words: BTreeMap<Index, Signature> = secrets
                    .iter()
                    .map(|(index, secret)| {
                        let share = SecretShare::from_scalar::<C>(&group, *index, secret).unwrap();
                        (*index, vouch(&group, &share).unwrap())
                    })
                    .collect();
                (group, words)
            });
            // Nothing tells it from a real one, but for the word.
            assert_eq!((group.check(), group.key()), (Ok(()), real.key()));
            assert_eq!(Endorsement::Members(words.clone()).check(&group), Err(FrostError::NotEndorsed));
            // Another member's signature, or any bytes, in the place of the third.
            let third = Index::new(3).unwrap();
            for forged in [words[&Index::new(1).unwrap()], Signature::from_bytes([7; 64])] {
                words.insert(third, forged);
                assert_eq!(Endorsement::Members(words.clone()).check(&group), Err(FrostError::NotEndorsed));
            }
            assert!(SecretShare::new(&group, third, &mut chosen.shares[2].secret().to_owned()).is_err());
        }
    }

    #[test]
    fn a_word_is_for_one_sharing() {
        let dealt = dealer::generate(Suite::Secp256k1Tr, 3, 4, &mut OsRng).unwrap();
        let all: Vec<&SecretShare> = dealt.shares.iter().collect();
        let keep = dealt.group.indices().collect();
        let (next, _) = dealer::refresh(&dealt.group, &all, &keep, &mut OsRng).unwrap();
        let old = Endorsement::Members(said(&dealt.group, &all));
        assert_eq!(old.check(&next), Err(FrostError::NotEndorsed));
    }
}
