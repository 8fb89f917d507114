//! Threshold signatures against the bare FROST crate, and the hashing of files against bare BLAKE2b.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, Result};
use frost_secp256k1_tr as crate_frost;
use keep_frost::sign::{LocalSession, Proposal};
use keep_frost::{FrostError, KeySpec, Message, SecretShare, Suite, dealer};
use keep_sdk::Name;
use keep_sdk::frost::{GroupKey, ToSign, hash_file};
use keep_store::{Row as StoreRow, SqliteStore, Store as _};
use keep_types::{RecordId, Revision};
use rand_core::OsRng;

use super::fixture::Place;
use crate::measure::Measure;
use crate::table::Row;

/// Threshold and members.
const SIZES: [(u16, u16); 5] = [(2, 3), (3, 5), (7, 10), (15, 20), (67, 100)];
/// What is hashed: so many pieces of a MiB.
const PIECES: usize = 1024;

pub fn rows() -> Result<Vec<Row>> {
    let mut rows = recorded()?;
    for (threshold, members) in SIZES {
        let (mut ours, mut bare) = (ours(threshold, members)?, bare(threshold, members)?);
        let (ours, bare) = Measure::LONG.both(|| drop(ours()), || drop(bare()));
        let what = format!("FROST {threshold}-of-{members}, all signers here");
        rows.push(Row::new(what, ours, "round 1, round 2, aggregate of the crate", bare));
    }
    rows.extend(hashing());
    Ok(rows)
}

/// In a vault: judged, recorded, nonces burnt; against the crate and one bare commit on the same disk.
fn recorded() -> Result<Vec<Row>> {
    let place = Place::new()?;
    let (keep, _) = place.keep("frost")?;
    let frost = keep.frost();
    frost.generate(Some(Name::new("group")?), Suite::Secp256k1Tr, 2, 3)?;
    let store = SqliteStore::create(place.path("bare")?.join("bare.db"))?;
    let mut bare = bare(2, 3)?;
    let mut number = 0;
    let mut reference = || -> Result<()> {
        bare()?;
        number += 1;
        let id = RecordId::from_bytes(u128::from(number).to_be_bytes());
        let (sealed, revision) = (vec![0; 256], Revision::new(number));
        let row = StoreRow { collection: 1, id, revision, name: None, sealed };
        Ok(store.write(&mut |tx| tx.put(&row))?)
    };
    let sign = || frost.sign(None, ToSign::Raw("07".repeat(32)), GroupKey::default(), vec![]);
    let (ours, theirs) = Measure::DISK.both(|| drop(sign()), || drop(reference()));
    Ok(vec![Row::new("FROST 2-of-3 in a vault, recorded", ours, "the crate and one bare commit", theirs)])
}

/// Proposal, checks, nonces that wait between the rounds, and signature, without a vault.
fn ours(threshold: u16, members: u16) -> Result<impl FnMut() -> Result<()>> {
    let dealt = dealer::generate(Suite::Secp256k1Tr, threshold, members, &mut OsRng)?;
    Ok(move || {
        let shares: Vec<&SecretShare> = dealt.shares.iter().take(threshold.into()).collect();
        let message = Message::Raw(vec![7; 32]);
        let proposal = Proposal::new(&dealt.group, KeySpec::plain(), message, &mut OsRng)?;
        let session = LocalSession::new(&dealt.group, &shares, proposal, &mut OsRng)?;
        let waiting = session.park(|secret| Ok::<_, FrostError>(*secret))?;
        let session = waiting.unpark(|secret| Ok::<_, FrostError>((*secret).into()))?;
        black_box(session.finish(&dealt.group, &shares)?);
        Ok(())
    })
}

/// Round 1, round 2 and aggregation of the crate alone.
fn bare(threshold: u16, members: u16) -> Result<impl FnMut() -> Result<()>> {
    let list = crate_frost::keys::IdentifierList::Default;
    let (shares, public) = crate_frost::keys::generate_with_dealer(members, threshold, list, OsRng)?;
    let keys = shares
        .into_values()
        .take(threshold.into())
        .map(crate_frost::keys::KeyPackage::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(move || {
        let (mut nonces, mut commitments) = (BTreeMap::new(), BTreeMap::new());
        for key in &keys {
            let (nonce, commitment) = crate_frost::round1::commit(key.signing_share(), &mut OsRng);
            nonces.insert(*key.identifier(), nonce);
            commitments.insert(*key.identifier(), commitment);
        }
        let package = crate_frost::SigningPackage::new(commitments, &[7; 32]);
        let mut shares = BTreeMap::new();
        for key in &keys {
            let nonce = nonces.get(key.identifier()).context("a nonce is missing")?;
            shares.insert(*key.identifier(), crate_frost::round2::sign(&package, nonce, key)?);
        }
        black_box(crate_frost::aggregate(&package, &shares, &public)?);
        Ok(())
    })
}

fn hashing() -> Vec<Row> {
    use blake2::{Blake2b512, Digest as _};
    use std::io::Read as _;
    let piece = vec![0x5a; 1 << 20];
    let content = || std::io::repeat(0x5a).take((PIECES << 20) as u64);
    let (ours, bare): (Duration, Duration) = Measure::LONG.both(
        || drop(black_box(hash_file(content(), |_| {}))),
        || {
            let mut hash = Blake2b512::new();
            (0..PIECES).for_each(|_| hash.update(black_box(&piece)));
            black_box(hash.finalize());
        },
    );
    vec![Row::new(format!("hash a file of {PIECES} MiB for minisign"), ours, "BLAKE2b-512 alone", bare)]
}
