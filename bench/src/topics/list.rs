//! Opening a vault and listing its keys, without key derivation, against reading the same rows with SQLite.

use std::hint::black_box;
use std::path::Path;

use anyhow::{Result, ensure};
use argon2::{Algorithm, Argon2, Params, Version};
use keep_sdk::{Keep, Keys, Name};

use super::fixture::{Place, options, passphrase};
use crate::measure::Measure;
use crate::table::Row;

/// Keys in the vault.
const KEYS: usize = 1_000;
/// Threads that make them, so that they share commits.
const THREADS: usize = 25;

pub fn rows() -> Result<Vec<Row>> {
    let place = Place::new()?;
    let home = place.home("many")?;
    let keep = Keep::create(home.clone(), &passphrase(), &options())?;
    generate(&keep.keys(), "key ", KEYS)?;
    ensure!(keep.keys().list()?.len() == KEYS, "there are not {KEYS} keys");
    let (find, read) = {
        let (keys, sought) = (keep.keys(), format!("key {}", KEYS / 2));
        Measure::DISK.both(|| drop(black_box(keys.find(Some(&sought)))), || drop(black_box(keys.list())))
    };
    drop(keep);
    let derivation = Measure::CPU.of(|| {
        black_box(derive());
    });
    let (ours, rows) = Measure::DISK.both(
        || drop(black_box(Keep::open(home.clone(), &passphrase(), &options()).and_then(|k| k.keys().list()))),
        || drop(black_box(bare(&home.path().join("keep.db")))),
    );
    let what = format!("open, check, list {KEYS} keys, close; without Argon2id");
    Ok(vec![
        Row::new(what, ours.saturating_sub(derivation), "reading the rows with SQLite", rows),
        Row::new(format!("find one of {KEYS} keys by name"), find, "listing them", read),
    ])
}

/// Makes so many keys, whose names begin alike.
pub fn generate(keys: &Keys, prefix: &str, count: usize) -> Result<()> {
    let made = |thread: usize| -> Result<()> {
        for number in (thread..count).step_by(THREADS) {
            keys.generate(Name::new(&format!("{prefix}{number}"))?)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || made(thread))).collect();
        threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a panic"))))
    })
}

/// The derivation of a vault that is cheap to unlock.
fn derive() -> Option<[u8; 64]> {
    let mut hash = [0; 64];
    let params = Params::new(64, 1, 1, Some(64)).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(passphrase().expose().as_bytes(), &[7; 32], &mut hash).ok()?;
    Some(hash)
}

/// Reads every row of a database.
fn bare(path: &Path) -> rusqlite::Result<usize> {
    let database = rusqlite::Connection::open(path)?;
    let mut statement = database.prepare("SELECT coll, id, rev, name, sealed FROM rows")?;
    let mut rows = statement.query([])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        bytes += row.get::<_, Vec<u8>>(4)?.len();
    }
    Ok(bytes)
}
