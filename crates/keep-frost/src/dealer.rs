//! One device makes all shares: from a fresh key, from an existing one, and back to the key.

use std::collections::{BTreeMap, BTreeSet};

use frost_core::keys::{self, IdentifierList, PublicKeyPackage};
use frost_core::{Group as _, Identifier, SigningKey};
use keep_types::SecretKey32;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::group::Provenance;
use crate::share::scalar_bytes;
use crate::suite::{Curve, index_of, scalar, with_curve};
use crate::{DeviceKey, FrostError, Group, Index, SecretShare, Suite};

/// What a dealer makes: the group, all its shares, and a first device key for each member, which is in the group's
/// roster. The dealer has seen all of it; members rotate their device key at first contact.
#[derive(Debug)]
pub struct Dealt {
    /// The group.
    pub group: Group,
    /// One share per member, ascending.
    pub shares: Vec<SecretShare>,
    /// One device key per member, ascending.
    pub devices: Vec<DeviceKey>,
}

/// Makes a fresh key and shares it out among members 1 to `members`.
///
/// # Errors
/// [`FrostError::Threshold`], [`FrostError::Random`].
pub fn generate(
    suite: Suite,
    threshold: u16,
    members: u16,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Dealt, FrostError> {
    with_curve!(suite, C => {
        let key = SigningKey::<C>::new(rng);
        deal::<C>(&key, threshold, members, Provenance::Dealer, rng)
    })
}

/// Shares out an existing secret: a Nostr or Bitcoin secret key, or an Ed25519 scalar (little-endian, reduced). The
/// public key stays the same, with the parity that it has. The secret existed whole before; splitting does not undo
/// that.
///
/// # Errors
/// [`FrostError::Threshold`], [`FrostError::BadScalar`], [`FrostError::Random`].
pub fn split(
    suite: Suite,
    secret: &SecretKey32,
    threshold: u16,
    members: u16,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Dealt, FrostError> {
    with_curve!(suite, C => {
        let key = SigningKey::<C>::from_scalar(scalar::<C>(secret.expose())?)
            .map_err(|_| FrostError::BadScalar(suite))?;
        deal::<C>(&key, threshold, members, Provenance::Split, rng)
    })
}

fn deal<C: Curve>(
    key: &SigningKey<C>,
    threshold: u16,
    members: u16,
    provenance: Provenance,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Dealt, FrostError> {
    if threshold < 2 || threshold > members || members > Index::MAX {
        return Err(FrostError::Threshold { threshold, members: usize::from(members), max: Index::MAX });
    }
    let (shares, public) = keys::split(key, members, threshold, IdentifierList::Default, rng)
        .map_err(|_| FrostError::Internal("dealer"))?;
    let devices: Vec<DeviceKey> =
        (0..members).map(|_| DeviceKey::generate(rng)).collect::<Result<_, FrostError>>()?;
    let group = dealt_group::<C>(&public, threshold, provenance, &devices, rng)?;
    let mut out = Vec::with_capacity(shares.len());
    for (id, share) in &shares {
        out.push(SecretShare::from_scalar::<C>(
            &group,
            index_of::<C>(id)?,
            &share.signing_share().to_scalar(),
        )?);
    }
    out.sort_by_key(SecretShare::index);
    Ok(Dealt { group, shares: out, devices })
}

fn dealt_group<C: Curve>(
    public: &PublicKeyPackage<C>,
    threshold: u16,
    provenance: Provenance,
    devices: &[DeviceKey],
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Group, FrostError> {
    let mut parts = Group::from_keys::<C>(public, threshold, 0, provenance)?;
    parts.members.sort_by_key(|m| m.index);
    for (member, device) in parts.members.iter_mut().zip(devices) {
        member.device = Some(device.public());
    }
    if C::SUITE == Suite::Secp256k1Tr {
        let mut chain_code = [0; 32];
        rng.try_fill_bytes(&mut chain_code).map_err(|_| FrostError::Random)?;
        parts.chain_code = Some(chain_code);
    }
    Group::try_from(parts)
}

/// Puts the secret key together again from at least a threshold of shares, and checks that it is the group's. From
/// then on whoever holds it can sign alone.
///
/// # Errors
/// The errors of [`SecretShare::check`]; [`FrostError::Duplicate`]; [`FrostError::TooFewSigners`].
pub fn recover(group: &Group, shares: &[&SecretShare]) -> Result<SecretKey32, FrostError> {
    check_shares(group, shares)?;
    with_curve!(group.suite(), C => recover_on::<C>(group, shares))
}

fn recover_on<C: Curve>(group: &Group, shares: &[&SecretShare]) -> Result<SecretKey32, FrostError> {
    let packages = shares.iter().map(|s| s.key_package::<C>(group)).collect::<Result<Vec<_>, _>>()?;
    let key = keys::reconstruct(&packages).map_err(|_| FrostError::Internal("recovery"))?;
    let secret = key.to_scalar();
    if C::Group::generator() * secret != group.key_element::<C>()? {
        return Err(FrostError::InconsistentGroup);
    }
    let mut bytes = Zeroizing::new(scalar_bytes::<C>(&secret));
    Ok(SecretKey32::take(&mut bytes))
}

/// Enough shares, each once, each the group's.
pub(crate) fn check_shares(group: &Group, shares: &[&SecretShare]) -> Result<(), FrostError> {
    let mut seen = BTreeSet::new();
    for share in shares {
        share.check(group)?;
        if !seen.insert(share.index()) {
            return Err(FrostError::Duplicate(share.index()));
        }
    }
    group.check_signers(seen.iter())
}

/// Renews all shares at once, on a device that holds them all: same key, next epoch, new shares for the members in
/// `keep` only. `MustReshare` ends here. The old shares still sign, if a threshold of them survives anywhere: delete
/// every copy.
///
/// # Errors
/// The errors of [`SecretShare::check`]; [`FrostError::ShareMissing`] for a kept member whose share is not given;
/// [`FrostError::TooFewSigners`] when fewer than a threshold are kept; [`FrostError::Threshold`] for 1-of-n.
pub fn refresh(
    group: &Group,
    shares: &[&SecretShare],
    keep: &BTreeSet<Index>,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(Group, Vec<SecretShare>), FrostError> {
    check_shares(group, shares)?;
    group.check_signers(keep.iter())?;
    with_curve!(group.suite(), C => refresh_on::<C>(group, shares, keep, rng))
}

fn refresh_on<C: Curve>(
    group: &Group,
    shares: &[&SecretShare],
    keep: &BTreeSet<Index>,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(Group, Vec<SecretShare>), FrostError> {
    let held: BTreeMap<Index, &SecretShare> = shares.iter().map(|s| (s.index(), *s)).collect();
    let ids =
        keep.iter().map(|i| crate::suite::identifier::<C>(*i)).collect::<Result<Vec<Identifier<C>>, _>>()?;
    let (zeros, public) =
        keys::refresh::compute_refreshing_shares(group.keys::<C>()?, &ids, rng).map_err(|_| {
            FrostError::Threshold { threshold: group.threshold(), members: keep.len(), max: Index::MAX }
        })?;
    let next = next_epoch::<C>(group, &public)?;
    let mut out = Vec::with_capacity(zeros.len());
    for zero in zeros {
        let index = index_of::<C>(zero.identifier())?;
        let old = held.get(&index).ok_or(FrostError::ShareMissing(index))?;
        let new = keys::refresh::refresh_share(zero, &old.key_package::<C>(group)?)
            .map_err(|_| FrostError::Internal("refresh"))?;
        out.push(SecretShare::from_scalar::<C>(&next, index, &new.signing_share().to_scalar())?);
    }
    next.check()?;
    Ok((next, out))
}

/// The group after a refresh: new public shares, next epoch; key, threshold, chain code and device keys stay.
pub(crate) fn next_epoch<C: Curve>(group: &Group, public: &PublicKeyPackage<C>) -> Result<Group, FrostError> {
    let epoch = group.epoch().checked_add(1).ok_or(FrostError::Internal("epoch"))?;
    let mut parts = Group::from_keys::<C>(public, group.threshold(), epoch, group.provenance())?;
    for member in &mut parts.members {
        member.device = group.member(member.index)?.device;
    }
    parts.chain_code = group.chain_code().copied();
    if parts.key != *group.key() {
        return Err(FrostError::InconsistentGroup);
    }
    Group::try_from(parts)
}
