//! Checking the whole vault: every row against the sealed sums, and the audit chain.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use keep_audit::{Action, Draft, Outcome};
use keep_policy::Usage;
use keep_store::{MemoryStore, SqliteStore};
use keep_types::{KeyId, Origin, RecordId};
use keep_vault::Vault;
use sha2::{Digest, Sha256};

use super::fixture::{Place, vault};
use crate::measure::Measure;
use crate::table::{Quantity, Row};

/// Rows in the vault that is checked.
const ROWS: u32 = 100_000;
/// Rows that one commit writes.
const PER_COMMIT: u32 = 2_000;
/// Entries of the log.
const ENTRIES: u32 = 64_000;
/// Entries of one commit, as a busy bunker has them.
const PER_BATCH: u32 = 32;
/// About what the encoding of an entry has, in bytes.
const ENTRY: usize = 128;

pub fn rows() -> Result<Vec<Row>> {
    let place = Place::new()?;
    let path = place.path("rows")?.join("keep.db");
    let full = vault(Arc::new(SqliteStore::create(&path)?))?;
    for batch in 0..ROWS / PER_COMMIT {
        fill(&full, batch)?;
    }
    ensure!(full.verify()?.rows >= u64::from(ROWS), "rows are missing");
    let check = Measure::LONG.of(|| drop(black_box(full.verify())));

    let log = vault(Arc::new(MemoryStore::new()))?;
    for _ in 0..ENTRIES / PER_BATCH {
        write_entries(&log)?;
    }
    ensure!(log.verify_audit()?.entries >= u64::from(ENTRIES), "entries are missing");
    let (chain, hashes) = Measure::LONG.both(|| drop(black_box(log.verify_audit())), hash_chain);
    let rate = |count: u32, time: Duration| Quantity::Rate(f64::from(count) / time.as_secs_f64());
    let (bare, goal) = ("SHA-256 of as many entries", "one scan in tens of ms per 100,000");
    Ok(vec![
        Row::alone(format!("check {ROWS} rows"), check, goal),
        Row::alone("  rows", rate(ROWS, check), "in each second"),
        Row::new("verify the audit log: entries", rate(ENTRIES, chain), bare, rate(ENTRIES, hashes)),
    ])
}

fn fill(vault: &Vault, batch: u32) -> Result<()> {
    vault
        .submit(move |tx| {
            for number in batch * PER_COMMIT..(batch + 1) * PER_COMMIT {
                // Spread as random ids are.
                let digest = Sha256::digest(number.to_be_bytes());
                let mut id = [0; 16];
                id.copy_from_slice(&digest[..16]);
                tx.put(RecordId::from_bytes(id), &Usage::default())?;
            }
            Ok(())
        })
        .wait()?;
    Ok(())
}

fn write_entries(vault: &Vault) -> Result<()> {
    vault
        .submit(|tx| {
            for number in 0..PER_BATCH {
                let entry = Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli);
                let entry = entry.key(KeyId::from_bytes([7; 16])).event_kind(1);
                tx.audit(entry.subject([number as u8; 32]));
            }
            Ok(())
        })
        .wait()?;
    Ok(())
}

/// The chain without opening, decoding or checking anything.
fn hash_chain() {
    let (mut hash, entry) = ([0; 32], [7; ENTRY]);
    for _ in 0..ENTRIES {
        hash = Sha256::new().chain_update(hash).chain_update(black_box(entry)).finalize().into();
    }
    black_box(hash);
}
