//! The arithmetic of a repair: pieces, what is shown of them, sums.

use std::collections::{BTreeMap, BTreeSet};

use frost_core::keys::repairable::{
    Delta, Sigma, repair_share_part1, repair_share_part2, repair_share_part3,
};
use frost_core::{Element, Group as _, Identifier};
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::suite::{Curve, element, identifier, index_of, point, public_of, scalar};
use crate::{FrostError, Group, Index, Point, SecretShare};

/// A secret number and who it came from.
pub(super) type Piece = (Index, Zeroizing<[u8; 32]>);

/// What a helper shows of its pieces: each times the generator, by whom it is for.
pub(super) type Shown = BTreeMap<Index, Point>;

/// A helper's pieces, by whom they are for.
pub(super) fn deltas<C: Curve>(
    helpers: &[Identifier<C>],
    group: &Group,
    share: &SecretShare,
    lost: Index,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<BTreeMap<Index, Zeroizing<[u8; 32]>>, FrostError> {
    let package = share.key_package::<C>(group)?;
    let out = repair_share_part1(helpers, &package, rng, identifier::<C>(lost)?)
        .map_err(|_| FrostError::Internal("repair"))?;
    let mut deltas = BTreeMap::new();
    for (id, delta) in &out {
        let bytes: [u8; 32] = delta.serialize().try_into().map_err(|_| FrostError::Internal("repair"))?;
        deltas.insert(index_of::<C>(id)?, Zeroizing::new(bytes));
    }
    Ok(deltas)
}

pub(super) fn shown<C: Curve>(deltas: &BTreeMap<Index, Zeroizing<[u8; 32]>>) -> Result<Shown, FrostError> {
    let public = |(to, delta): (&Index, &Zeroizing<[u8; 32]>)| {
        Ok((*to, point::<C>(&public_of::<C>(&scalar::<C>(&**delta)?))?))
    };
    deltas.iter().map(public).collect()
}

/// Whether what each helper shows is a piece for every helper, and adds up to its part of the lost share.
pub(super) fn check_shown<C: Curve>(
    group: &Group,
    helpers: &[Identifier<C>],
    lost: Index,
    all: &BTreeMap<Index, Shown>,
) -> Result<(), FrostError> {
    let set: BTreeSet<Identifier<C>> = helpers.iter().copied().collect();
    let lost = identifier::<C>(lost)?;
    let mut wrong = Vec::new();
    for (from, shown) in all {
        let id = identifier::<C>(*from)?;
        let part = frost_core::compute_lagrange_coefficient(&set, Some(lost), id)
            .map_err(|_| FrostError::Internal("interpolation"))?;
        let expected = group.verifying_share::<C>(*from)?.to_element() * part;
        let mut to = BTreeSet::new();
        let mut total = Some(C::Group::identity());
        for (index, bytes) in shown {
            to.insert(identifier::<C>(*index)?);
            total = total.zip(element::<C>(bytes.as_bytes()).ok()).map(|(sum, piece)| sum + piece);
        }
        if to != set || total != Some(expected) {
            wrong.push(*from);
        }
    }
    blamed(wrong)
}

/// Whether the pieces that came are the ones that were shown.
pub(super) fn check_pieces<C: Curve>(
    all: &BTreeMap<Index, Shown>,
    me: Index,
    pieces: &[Piece],
) -> Result<(), FrostError> {
    let fits = |(from, bytes): &&Piece| {
        let shown = all.get(from).and_then(|shown| shown.get(&me));
        shown.is_some_and(|shown| is_secret_of::<C>(bytes, element::<C>(shown.as_bytes()).ok()))
    };
    blamed(pieces.iter().filter(|piece| !fits(piece)).map(|(from, _)| *from).collect())
}

/// Whose sums are not those of the pieces that everybody was shown for them.
pub(super) fn wrong_sums<C: Curve>(all: &BTreeMap<Index, Shown>, sums: &[Piece]) -> Vec<Index> {
    let fits = |(from, bytes): &&Piece| {
        let mut total = Some(C::Group::identity());
        for shown in all.values() {
            let piece = shown.get(from).and_then(|piece| element::<C>(piece.as_bytes()).ok());
            total = total.zip(piece).map(|(sum, piece)| sum + piece);
        }
        is_secret_of::<C>(bytes, total)
    };
    sums.iter().filter(|sum| !fits(sum)).map(|(from, _)| *from).collect()
}

fn is_secret_of<C: Curve>(bytes: &[u8; 32], public: Option<Element<C>>) -> bool {
    scalar::<C>(bytes).is_ok_and(|secret| Some(public_of::<C>(&secret)) == public)
}

fn blamed(wrong: Vec<Index>) -> Result<(), FrostError> {
    if wrong.is_empty() { Ok(()) } else { Err(FrostError::BadContribution(wrong)) }
}

pub(super) fn sum<C: Curve>(pieces: &[Piece]) -> Result<Zeroizing<[u8; 32]>, FrostError> {
    let mut deltas = Vec::with_capacity(pieces.len());
    for (from, bytes) in pieces {
        deltas.push(Delta::<C>::deserialize(&**bytes).map_err(|_| FrostError::BadContribution(vec![*from]))?);
    }
    let sum = repair_share_part2(&deltas).serialize();
    Ok(Zeroizing::new(sum.try_into().map_err(|_| FrostError::Internal("repair"))?))
}

pub(super) fn finish<C: Curve>(
    group: &Group,
    lost: Index,
    sums: &[Piece],
) -> Result<SecretShare, FrostError> {
    let mut sigmas = Vec::with_capacity(sums.len());
    for (from, bytes) in sums {
        sigmas.push(Sigma::<C>::deserialize(&**bytes).map_err(|_| FrostError::BadContribution(vec![*from]))?);
    }
    let package = repair_share_part3(&sigmas, identifier::<C>(lost)?, &group.bare_keys::<C>()?)
        .map_err(|_| FrostError::Internal("repair"))?;
    SecretShare::from_scalar::<C>(group, lost, &package.signing_share().to_scalar())
        .map_err(|_| FrostError::RepairFailed)
}
