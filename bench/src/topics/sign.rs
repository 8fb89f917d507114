//! Signing as the owner, recorded, against a raw signature and one bare commit on the same disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use keep_sdk::{EventTemplate, KeyView, Sign};
use keep_store::{Row as StoreRow, SqliteStore, Store as _};
use keep_types::{RecordId, Revision};
use secp256k1::{Keypair, Message, SECP256K1, SecretKey, rand::rngs::OsRng};

use super::fixture::Place;
use crate::measure::Measure;
use crate::table::Row;

/// What may come on top of the signature and the commit.
const GOAL: Duration = Duration::from_micros(100);

pub fn rows() -> Result<Vec<Row>> {
    let place = Place::new()?;
    let (keep, key) = place.keep("sign")?;
    let sign = keep.sign();
    let bare = Bare::new(&place)?;
    let reference = "raw signature and one bare commit";
    let (ours, raw) = Measure::DISK.both(|| drop(event(&sign, &key)), || drop(bare.sign_and_commit()));
    let (computed, raw_computed) =
        Measure::PROCESS.both(|| drop(event(&sign, &key)), || drop(bare.sign_and_commit()));
    let (more, more_computed) = (ours.saturating_sub(raw), computed.saturating_sub(raw_computed));
    Ok(vec![
        Row::new("sign an event as the owner, recorded", ours, reference, raw),
        Row::new("  what comes on top", more, "the goal", GOAL),
        Row::new("  the same in CPU time of all threads", computed, reference, raw_computed),
        Row::new("  what comes on top, in CPU time", more_computed, "the goal", GOAL),
    ])
}

fn event(sign: &Sign, key: &KeyView) -> Result<()> {
    static TIME: AtomicU64 = AtomicU64::new(1_700_000_000);
    let template = EventTemplate::new(1, "hello", Vec::new(), TIME.fetch_add(1, Ordering::Relaxed));
    sign.event(key, template)?;
    Ok(())
}

/// The least that a durable signature can cost: BIP-340, and a row in a store that does nothing else.
struct Bare {
    store: SqliteStore,
    pair: Keypair,
    count: AtomicU64,
}

impl Bare {
    fn new(place: &Place) -> Result<Self> {
        let store = SqliteStore::create(place.path("bare")?.join("bare.db"))?;
        let pair = Keypair::from_secret_key(SECP256K1, &SecretKey::new(&mut OsRng));
        Ok(Self { store, pair, count: AtomicU64::new(1) })
    }

    fn sign_and_commit(&self) -> Result<()> {
        let message = Message::from_digest([7; 32]);
        let signature = SECP256K1.sign_schnorr_with_aux_rand(&message, &self.pair, &[9; 32]);
        let mut sealed = vec![0_u8; 256];
        sealed[..64].copy_from_slice(&signature.serialize());
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let id = RecordId::from_bytes(u128::from(number).to_be_bytes());
        let row = StoreRow { collection: 1, id, revision: Revision::new(number), name: None, sealed };
        Ok(self.store.write(&mut |tx| tx.put(&row))?)
    }
}
