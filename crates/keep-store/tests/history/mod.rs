//! Scripted histories of a store on a disk that loses power, and what must be found afterwards.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use keep_store::{Row, Scan, SqliteOptions, SqliteStore, Store, StoreError, WriteTx};
use keep_testing::faultdisk::{FaultDisk, Log, Op, Replay, Tear};
use keep_types::{RecordId, Revision};

/// Everything in a store: head (the number of the last transaction) and rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    head: u64,
    rows: BTreeMap<(u8, RecordId), Row>,
}

/// What happened, and when it was promised to last.
pub struct History {
    pub log: Log,
    /// `contents[k]`: after transaction `k`; the first is the new, empty store.
    contents: Vec<Content>,
    /// When transaction `k` was begun, as a position in the log.
    begun: Vec<usize>,
    /// When transaction `k` was acknowledged.
    acknowledged: Vec<usize>,
}

/// A directory in memory, where there is one: images are many.
fn quick_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Runs a random script of `steps` transactions, checkpoints and reopenings on a new store.
pub fn play(seed: u64, steps: usize, options: impl Fn(SqliteOptions) -> SqliteOptions) -> History {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let disk = FaultDisk::new();
    let options =
        || options(SqliteOptions::default().vfs(disk.vfs()).cutter(disk.cutter()).examine_place(false));
    let mut store = SqliteStore::create_with(&path, options()).unwrap();
    let mut history = History {
        log: Log::default(),
        contents: vec![Content::default()],
        begun: vec![0],
        acknowledged: vec![disk.position()],
    };
    let mut dice = Dice(seed);
    for _ in 0..steps {
        match dice.below(12) {
            0 => store.checkpoint().unwrap(),
            1 => {
                drop(store);
                store = SqliteStore::open_with(&path, options()).unwrap();
            }
            _ => history.commit(&store, &disk, &mut dice),
        }
    }
    drop(store);
    history.log = disk.log();
    history
}

impl History {
    fn commit(&mut self, store: &dyn Store, disk: &FaultDisk, dice: &mut Dice) {
        self.begun.push(disk.position());
        let mut content = self.contents.last().unwrap().clone();
        store
            .write(&mut |tx| {
                content.head += 1;
                change(tx, &mut content, dice)?;
                tx.set_head(&content.head.to_be_bytes())
            })
            .unwrap();
        self.acknowledged.push(disk.position());
        self.contents.push(content);
    }

    /// The power goes at every point of the log, in the ways that `tears` says. Returns how many images were looked
    /// at, and what was wrong with them.
    pub fn lose_power_everywhere(
        &self,
        tears: impl Fn(usize, Option<&Op>) -> Vec<Tear>,
    ) -> (usize, Vec<String>) {
        let (mut images, mut findings) = (0, Vec::new());
        let mut replay = Replay::new(&self.log);
        while replay.step() {
            for tear in tears(replay.position(), replay.next_op()) {
                images += 1;
                if let Err(finding) = self.lose_power(&replay, tear) {
                    findings.push(format!(
                        "at {} of {}, {tear:?}: {finding}",
                        replay.position(),
                        self.log.ops().len()
                    ));
                }
            }
        }
        (images, findings)
    }

    fn lose_power(&self, replay: &Replay<'_>, tear: Tear) -> Result<(), String> {
        let dir = quick_directory();
        replay.image(tear).write_to(dir.path()).unwrap();
        let path = dir.path().join("keep.db");
        let position = replay.position();
        if position < self.acknowledged[0] {
            return check_unfinished_creation(&path);
        }
        let (found, store) = open_and_read(&path)?;
        let last_acknowledged = self.acknowledged.iter().take_while(|at| **at <= position).count() - 1;
        let last_begun = self.begun.iter().take_while(|at| **at < position).count() - 1;
        let number = usize::try_from(found.head).unwrap();
        if number < last_acknowledged {
            return Err(format!(
                "transaction {last_acknowledged} was acknowledged, but only {number} are there"
            ));
        }
        if number > last_begun.max(last_acknowledged) || found != self.contents[number] {
            return Err(format!("something else than the content after transaction {number}"));
        }
        still_works(&*store)
    }
}

/// Puts and deletes a few rows: small ones, some as large as a few pages, some with names.
fn change(tx: &mut dyn WriteTx, content: &mut Content, dice: &mut Dice) -> Result<(), StoreError> {
    for _ in 0..=dice.below(4) {
        let mut id = [0; 16];
        id[0] = dice.below(256) as u8;
        id[15] = dice.below(3) as u8;
        let (collection, id) = (1 + dice.below(3) as u8, RecordId::from_bytes(id));
        let old = content.rows.keys().nth(dice.below(20) as usize).copied();
        if let (0..=2, Some(old)) = (dice.below(8), old) {
            assert!(tx.delete(old.0, &old.1)?);
            content.rows.remove(&old);
            continue;
        }
        let size = [30, 300, 1_000, 9_000][dice.below(4) as usize];
        let mut name = [0; 32];
        name[..16].copy_from_slice(id.as_bytes());
        let sealed = (0..size).map(|_| dice.below(256) as u8).collect();
        let revision = Revision::new(content.head);
        let row = Row { collection, id, revision, name: (dice.below(2) == 0).then_some(name), sealed };
        tx.put(&row)?;
        content.rows.insert((collection, id), row);
    }
    Ok(())
}

/// The options with which images are opened: no syncs are needed to look.
fn looking() -> SqliteOptions {
    SqliteOptions::default().examine_place(false).without_sync()
}

fn open_and_read(path: &Path) -> Result<(Content, Box<SqliteStore>), String> {
    let store = SqliteStore::open_with(path, looking()).map_err(|e| e.to_string())?;
    let content = read(&store).map_err(|e| e.to_string())?;
    let damage = store.integrity_check().map_err(|e| e.to_string())?;
    if damage.is_empty() { Ok((content, Box::new(store))) } else { Err(damage.join("; ")) }
}

/// Everything that a store holds.
pub fn read(store: &dyn Store) -> Result<Content, StoreError> {
    let mut content = Content::default();
    store.read(&mut |tx| {
        content.head = tx.head()?.map_or(0, |head| u64::from_be_bytes(head.try_into().unwrap()));
        tx.scan(Scan::everything(), &mut |row| {
            content.rows.insert((row.collection, row.id), row);
            ControlFlow::Continue(())
        })
    })?;
    Ok(content)
}

fn still_works(store: &dyn Store) -> Result<(), String> {
    store.write(&mut |tx| tx.set_header(b"still works")).map_err(|e| e.to_string())
}

/// Before `create` has returned there may be anything, but `create` must then succeed.
fn check_unfinished_creation(path: &Path) -> Result<(), String> {
    if let Ok((content, _)) = open_and_read(path)
        && content != Content::default()
    {
        return Err("a store that was never made has content".into());
    }
    let store = SqliteStore::create_with(path, looking()).map_err(|e| format!("create: {e}"))?;
    still_works(&store)
}
