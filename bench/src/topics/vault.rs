//! A vault on the disk: unlocking, listing, and durable signatures, against key derivation, signing and committing alone.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use keep_sdk::{EventTemplate, Home, KdfCost, Keep, KeyView, Name, Options, SecretText, Sign};
use secp256k1::{Keypair, Message, SECP256K1, SecretKey, rand::rngs::OsRng};

use super::argon2;
use crate::measure::Measure;
use crate::table::Row;

/// Keys in the vault that is listed.
const KEYS: usize = 1_000;
/// Requests that wait at the same time.
const IN_FLIGHT: usize = 32;
/// Signatures of each of them in one round.
const EACH: usize = 20;

pub fn rows() -> Result<Vec<Row>> {
    // Beside the build, not in a temporary directory: that may lie in memory, where nothing is ever synced.
    std::fs::create_dir_all("target")?;
    let directory = tempfile::tempdir_in("target").context("cannot make a directory in target")?;
    let mut rows = vec![unlock(directory.path())?, list(directory.path())?];
    rows.extend(signatures(directory.path())?);
    Ok(rows)
}

fn passphrase() -> SecretText {
    SecretText::from("correct horse battery staple".to_owned())
}

/// A vault whose passphrase costs nothing, so that the rest can be seen.
fn cheap() -> Options {
    let cost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    Options::default().allow_weak_kdf().kdf_cost(cost)
}

fn home(directory: &Path, name: &str) -> Result<Home> {
    Ok(Home::new(std::fs::canonicalize(directory)?.join(name))?)
}

fn name(number: usize) -> Result<Name> {
    Ok(Name::new(&format!("key {number}"))?)
}

fn unlock(directory: &Path) -> Result<Row> {
    let home = home(directory, "standard")?;
    drop(Keep::create(home.clone(), &passphrase(), &Options::default())?);
    let (ours, kdf) = Measure::SLOW
        .both(|| drop(Keep::open(home.clone(), &passphrase(), &Options::default())), || drop(argon2::ours()));
    Ok(Row::new("unlock a vault", ours, "Argon2id alone", kdf))
}

fn list(directory: &Path) -> Result<Row> {
    let home = home(directory, "many")?;
    let keep = Keep::create(home.clone(), &passphrase(), &cheap())?;
    for number in 0..KEYS {
        keep.keys().generate(name(number)?)?;
    }
    drop(keep);
    let open_and_list =
        || Keep::open(home.clone(), &passphrase(), &cheap()).and_then(|keep| keep.keys().list());
    ensure!(open_and_list()?.len() == KEYS, "not every key is listed");
    let ours = Measure::DISK.of(|| drop(open_and_list()));
    Ok(Row::alone(format!("open and list {KEYS} keys, without key derivation"), ours, "the goal is 15 ms"))
}

fn signatures(directory: &Path) -> Result<Vec<Row>> {
    let keep = Keep::create(home(directory, "sign")?, &passphrase(), &cheap())?;
    let key = keep.keys().generate(name(0)?)?;
    let sign = keep.sign();
    let mut bare = Bare::new(&directory.join("bare.db"))?;

    let (one, raw) = Measure::DISK.both(|| drop(event(&sign, &key)), || drop(bare.sign_and_commit()));
    let mut together: Vec<Duration> = Vec::new();
    for _ in 0..Measure::DISK_ROUNDS {
        together.push(in_flight(&sign, &key));
    }
    let together = crate::measure::median(together);
    Ok(vec![
        Row::new("sign an event, recorded", one, "raw signature and one bare commit", raw),
        Row::new(format!("the same with {IN_FLIGHT} waiting, each"), together, "one at a time", one),
    ])
}

fn event(sign: &Sign, key: &KeyView) -> Result<()> {
    static TIME: AtomicU64 = AtomicU64::new(1_700_000_000);
    let template = EventTemplate::new(1, "hello", Vec::new(), TIME.fetch_add(1, Ordering::Relaxed));
    sign.event(key, template)?;
    Ok(())
}

/// The time of each signature when many are asked for at once.
fn in_flight(sign: &Sign, key: &KeyView) -> Duration {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..IN_FLIGHT {
            scope.spawn(|| (0..EACH).for_each(|_| drop(event(sign, key))));
        }
    });
    let count = u32::try_from(IN_FLIGHT * EACH).unwrap_or(u32::MAX);
    begin.elapsed() / count
}

/// The least that a durable signature can cost: BIP-340, and a row in a database that does nothing else.
struct Bare {
    database: rusqlite::Connection,
    pair: Keypair,
}

impl Bare {
    fn new(path: &Path) -> Result<Self> {
        let database = rusqlite::Connection::open(path)?;
        database.pragma_update(None, "journal_mode", "wal")?;
        database.pragma_update(None, "synchronous", "full")?;
        database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, sealed BLOB)", [])?;
        let pair = Keypair::from_secret_key(SECP256K1, &SecretKey::new(&mut OsRng));
        Ok(Self { database, pair })
    }

    fn sign_and_commit(&mut self) -> Result<()> {
        let message = Message::from_digest([7; 32]);
        let signature = SECP256K1.sign_schnorr_with_aux_rand(&message, &self.pair, &[9; 32]);
        let mut row = vec![0_u8; 256];
        row[..64].copy_from_slice(&signature.serialize());
        self.database.execute("INSERT INTO rows (sealed) VALUES (?1)", [row])?;
        Ok(())
    }
}
