//! Checking the whole vault: every row against the sealed sums, and the audit chain; and what a long log costs otherwise.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use keep_audit::{Action, Draft, Outcome};
use keep_policy::Usage;
use keep_store::SqliteStore;
use keep_types::{KeyId, Origin, RecordId, SystemClock};
use keep_vault::{Environment, Vault};
use sha2::{Digest, Sha256};

use super::fixture::{Place, passphrase, vault};
use crate::measure::Measure;
use crate::table::{Quantity, Row};

/// Rows in the vault that is checked.
const ROWS: u32 = 100_000;
/// Rows that one commit writes.
const PER_COMMIT: u32 = 2_000;
/// Entries of the log.
const ENTRIES: u32 = 1_000_000;
/// Entries of one commit.
const PER_BATCH: u32 = 250;
/// Entries that are listed.
const LISTED: usize = 50;
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

    let rate = |count: u32, time: Duration| Quantity::Rate(f64::from(count) / time.as_secs_f64());
    let goal = "one scan in tens of ms per 100,000";
    let mut table = vec![
        Row::alone(format!("check {ROWS} rows"), check, goal),
        Row::alone("  rows", rate(ROWS, check), "in each second"),
    ];
    table.extend(log(&place)?);
    Ok(table)
}

/// A real log, in segments on the disk, beside one that has just begun.
fn log(place: &Place) -> Result<Vec<Row>> {
    let path = place.path("log")?.join("keep.db");
    let short_path = place.path("short")?.join("keep.db");
    drop(vault(Arc::new(SqliteStore::create(&short_path)?))?);
    let long = vault(Arc::new(SqliteStore::create(&path)?))?;
    for _ in 0..ENTRIES / PER_BATCH {
        write_entries(&long)?;
    }
    let stats = long.audit_stats()?;
    ensure!(stats.segments >= u64::from(ENTRIES) / 1024, "{} segments", stats.segments);
    ensure!(long.verify_audit()?.entries >= u64::from(ENTRIES), "entries are missing");
    let rate = |time: Duration| Quantity::Rate(f64::from(ENTRIES) / time.as_secs_f64());
    let (chain, hashes) = Measure::LONG.both(|| drop(black_box(long.verify_audit())), hash_chain);
    let sums = Measure::LONG.of(|| drop(black_box(long.verify())));
    let list = Measure::LONG.of(|| drop(black_box(long.audit_tail(LISTED))));
    drop(long);
    let (opened, empty) = Measure::LONG.both(|| open(&path), || open(&short_path));
    let goal = "at least 500,000 in each second";
    Ok(vec![
        Row::new("verify the audit log: entries", rate(chain), "SHA-256 of as many entries", rate(hashes)),
        Row::alone("  and against the sums: entries", rate(sums), goal),
        Row::alone(format!("list {LISTED} of {ENTRIES} entries"), list, "as long as for a short log"),
        Row::new(format!("open a vault with {ENTRIES} entries"), opened, "with one entry", empty),
    ])
}

/// Opens as a command does; the vault in it was made by this topic, so it opens.
fn open(path: &Path) {
    let environment = Environment::new(SystemClock).allow_weak_kdf();
    let opened =
        SqliteStore::open(path).map(|store| Vault::open(Arc::new(store), &passphrase(), &environment));
    black_box(opened.is_ok_and(|vault| vault.is_ok()));
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
