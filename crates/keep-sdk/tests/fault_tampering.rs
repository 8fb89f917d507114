//! The database file is changed byte by byte and page by page: the damage is named or nothing is different, never a panic,
//! and the keys that are left can be listed and taken out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keep_audit::Entry;
use keep_policy::{Grant, Usage};
use keep_sdk::{ErrorCode, Home, Keep, Options, Rescue};
use keep_signer::{Endpoint, RequestRow};
use keep_store::SqliteStore;
use keep_vault::{KeyRecord, Vault};
use world::{CHEAP, Dice, Step, World, database, environment, name, passphrase, quick_directory};

const PAGE: usize = 4096;

fn is_long() -> bool {
    std::env::var_os("KEEP_SOAK").is_some()
}

/// Everything that can be read of a vault without changing it.
#[derive(Debug, PartialEq)]
struct Content {
    keys: Vec<KeyRecord>,
    endpoints: Vec<Endpoint>,
    grants: Vec<Grant>,
    usage: Vec<Usage>,
    requests: Vec<RequestRow>,
    entries: Vec<Entry>,
}

impl Content {
    fn of(vault: &Vault) -> Result<Self, keep_vault::VaultError> {
        fn all<R: keep_types::Record>(vault: &Vault) -> Result<Vec<R>, keep_vault::VaultError> {
            Ok(vault.all()?.into_iter().map(|(_, record)| record).collect())
        }
        vault.verify_audit()?;
        Ok(Self {
            keys: vault.keys()?,
            endpoints: all(vault)?,
            grants: all(vault)?,
            usage: all(vault)?,
            requests: all(vault)?,
            entries: vault.audit_tail(usize::MAX)?,
        })
    }
}

/// A vault at rest: its file, an older state of it, what it holds, and its keys' secrets by public key.
struct Rest {
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
    older: Vec<u8>,
    content: Content,
    secrets: BTreeMap<String, String>,
}

/// What became of a changed file.
#[derive(Debug, Default)]
struct Tally {
    unopened: usize,
    named: usize,
    unused: usize,
}

impl Rest {
    fn new(keys: usize, requests: u64) -> Self {
        let dir = quick_directory();
        let path = database(dir.path());
        let world = World::create(Arc::new(SqliteStore::create(&path).unwrap())).unwrap();
        world.run(&Step::Offer(0)).unwrap();
        world.run(&Step::Connect(0)).unwrap();
        (1..keys).for_each(|n| drop(world.vault.generate_key(name(&format!("key {n}"))).unwrap()));
        let ask = |from: u64, to: u64| {
            for n in from..to {
                world.run(&Step::Ask(0, 1, vec![(n, format!("text {n}"))])).unwrap();
            }
        };
        ask(0, requests / 2);
        let secrets = secrets(dir.path());
        let older = at_rest(&path, dir.path());
        ask(requests / 2, requests);
        drop(world);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() % PAGE, 0);
        let content = Content::of(&open(&path).unwrap()).unwrap();
        Self { dir, bytes, older, content, secrets }
    }

    /// Opens the changed file and judges what is found.
    fn judge(&self, changed: &[u8], what: &str, tally: &mut Tally) {
        let path = database(self.dir.path());
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        std::fs::write(&path, changed).unwrap();
        match open(&path) {
            Err(fault) => {
                let named = matches!(
                    fault.code(),
                    ErrorCode::Integrity | ErrorCode::FormatTooNew | ErrorCode::StorageUnsupported
                );
                assert!(named, "{what}: {} {fault}", fault.code().as_str());
                tally.unopened += 1;
            }
            Ok(vault) if vault.integrity().is_intact() => match Content::of(&vault) {
                Ok(content) => {
                    assert_eq!(content, self.content, "{what}: different, and nobody says so");
                    tally.unused += 1;
                }
                Err(error) => {
                    let code = keep_sdk::Fault::from(error).code();
                    assert_eq!(code, ErrorCode::Integrity, "{what}");
                    tally.named += 1;
                }
            },
            Ok(vault) => {
                // What is still read is what was there.
                for key in vault.keys().unwrap_or_default() {
                    assert!(self.content.keys.contains(&key), "{what}: an invented key");
                }
                tally.named += 1;
            }
        }
    }

    /// What can still be taken out of the changed file.
    fn rescued(&self, what: &str) -> usize {
        let home = Home::new(self.dir.path()).unwrap();
        let rescue = match Rescue::open(&home, &passphrase(), &options()) {
            Ok(rescue) => rescue,
            Err(fault) => {
                assert_eq!(fault.code(), ErrorCode::Integrity, "{what}: {fault}");
                return 0;
            }
        };
        let keys = rescue.list();
        let mut exported = 0;
        for key in &keys {
            match rescue.export_nsec(key) {
                Ok(secret) => {
                    assert_eq!(
                        Some(secret.expose()),
                        self.secrets.get(&key.pubkey).map(String::as_str),
                        "{what}"
                    );
                    exported += 1;
                }
                Err(fault) => assert_eq!(fault.code(), ErrorCode::Integrity, "{what}: {fault}"),
            }
        }
        exported
    }
}

fn options() -> Options {
    Options::default().allow_weak_kdf().kdf_cost(CHEAP)
}

fn open(path: &Path) -> Result<Vault, keep_sdk::Fault> {
    let store = SqliteStore::open(path)?;
    Ok(Vault::open(Arc::new(store), &passphrase(), &environment())?)
}

fn secrets(directory: &Path) -> BTreeMap<String, String> {
    let keep = Keep::open(Home::new(directory).unwrap(), &passphrase(), &options()).unwrap();
    let export = |key: &keep_sdk::KeyView| keep.keys().export_nsec(key).unwrap().expose().to_owned();
    keep.keys().list().unwrap().iter().map(|key| (key.pubkey.clone(), export(key))).collect()
}

/// The database as it would lie at rest now.
fn at_rest(path: &Path, directory: &Path) -> Vec<u8> {
    SqliteStore::open(path).unwrap().checkpoint().unwrap();
    let bytes = std::fs::read(database(directory)).unwrap();
    assert!(!bytes.is_empty());
    bytes
}

/// Offsets to flip: in a long run all; else of each page its header, and some anywhere.
fn offsets(len: usize) -> Vec<usize> {
    if is_long() {
        // Every one, in an order in which a run that is cut short has seen something of each page (the length is even).
        return (0..len).map(|n| n * 7_919 % len).collect();
    }
    let mut dice = Dice(4);
    let mut offsets: Vec<usize> = (0..100).step_by(7).collect();
    offsets.extend((0..len / PAGE).flat_map(|page| [0, 4, 8, 9].map(|at| page * PAGE + at)));
    offsets.extend((0..250).map(|_| dice.below(len as u64) as usize));
    offsets
}

#[test]
fn a_flipped_byte_is_named_and_costs_one_key_at_most() {
    let rest = Rest::new(12, 40);
    let (mut tally, begin) = (Tally::default(), Instant::now());
    let enough = if is_long() { Duration::from_secs(3_000) } else { Duration::from_secs(20) };
    let mut dice = Dice(5);
    let mut looked = 0;
    for at in offsets(rest.bytes.len()) {
        // However slow the machine is, something is seen of every outcome.
        let some = looked > 100 && tally.unopened > 0 && tally.named > 0;
        if some && begin.elapsed() > enough {
            break;
        }
        let mut changed = rest.bytes.clone();
        changed[at] ^= 1 << dice.below(8);
        let what = format!("byte {at} of {}", changed.len());
        let before = tally.unused;
        rest.judge(&changed, &what, &mut tally);
        if tally.unused == before {
            let rescued = rest.rescued(&what);
            assert!(rescued + 1 >= rest.content.keys.len(), "{what}: only {rescued} keys are left");
        }
        looked += 1;
    }
    println!("{looked} bytes: {tally:?}");
    assert!(looked > 100 && tally.unopened > 0 && tally.named > 0, "{looked} {tally:?}");
}

#[test]
fn swapped_older_and_missing_pages_are_named() {
    let rest = Rest::new(6, 40);
    let (mut tally, mut dice) = (Tally::default(), Dice(6));
    let pages = rest.bytes.len() / PAGE;
    let page = |n: usize| n * PAGE..(n + 1) * PAGE;
    for _ in 0..if is_long() { 2_000 } else { 60 } {
        let (a, b) = (dice.below(pages as u64) as usize, dice.below(pages as u64) as usize);
        let mut changed = rest.bytes.clone();
        changed[page(a)].copy_from_slice(&rest.bytes[page(b)]);
        changed[page(b)].copy_from_slice(&rest.bytes[page(a)]);
        rest.judge(&changed, &format!("pages {a} and {b} swapped"), &mut tally);
        rest.rescued("swapped");
    }
    println!("swapped: {tally:?}");
    for n in 0..rest.older.len() / PAGE {
        let mut changed = rest.bytes.clone();
        changed[page(n)].copy_from_slice(&rest.older[page(n)]);
        rest.judge(&changed, &format!("page {n} older"), &mut tally);
        rest.rescued("older");
    }
    for n in 0..if is_long() { rest.bytes.len() / 100 } else { 60 } {
        let len = if n < pages { n * PAGE } else { dice.below(rest.bytes.len() as u64) as usize };
        rest.judge(&rest.bytes[..len], &format!("cut to {len}"), &mut tally);
        rest.rescued("cut");
    }
    println!("{tally:?}");
}
