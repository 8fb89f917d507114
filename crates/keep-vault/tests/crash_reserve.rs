//! The power goes at every point of scripted histories in a reserve, and the disk fails in every way: what was
//! acknowledged is there, whole, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use keep_store::conformance::{id, row};
use keep_store::{MemoryStore, Scan, Store, StoreError};
use keep_testing::faultdisk::{FileId, Log, Op, Replay, Tear};
use keep_types::SecretKey32;
use keep_vault::reserve::{Layout, Medium, make_store, open_store};

/// Two pieces of a body in each slot, and a journal that is soon full.
const LAYOUT: Layout = Layout::small(96 << 10, 9);
const SALT: [u8; 32] = [1; 32];
const NAME: &str = "reserve";
const FILE: FileId = FileId::new(0);

fn kek() -> SecretKey32 {
    SecretKey32::take(&mut [2; 32])
}

/// What goes wrong with the operation after `skip` others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Nothing is written.
    Refused,
    /// Half is written, then it fails. A sync fails, although everything is on the disk.
    Half,
}

/// A disk that remembers every operation.
#[derive(Clone)]
struct Disk(Arc<Mutex<State>>);

struct State {
    bytes: Vec<u8>,
    ops: Vec<Op>,
    plan: Option<(usize, Failure)>,
    failures: usize,
}

impl Disk {
    fn new() -> Self {
        let bytes: Vec<u8> = (0..LAYOUT.total()).map(|n| (n * 31 % 251) as u8).collect();
        Self::of(bytes)
    }

    fn of(bytes: Vec<u8>) -> Self {
        let ops = vec![Op::Found { file: FILE, name: NAME.into(), bytes: bytes.clone().into() }];
        Self(Arc::new(Mutex::new(State { bytes, ops, plan: None, failures: 0 })))
    }

    fn open(&self) -> Option<MemoryStore> {
        open_store(self.clone(), LAYOUT, SALT, &kek()).unwrap()
    }

    fn log(&self) -> Log {
        Log::of(self.0.lock().unwrap().ops.clone())
    }

    fn position(&self) -> usize {
        self.0.lock().unwrap().ops.len()
    }

    fn fail(&self, skip: usize, failure: Failure) {
        let mut state = self.0.lock().unwrap();
        (state.plan, state.failures) = (Some((skip, failure)), 0);
    }
}

impl State {
    fn failure(&mut self) -> Option<Failure> {
        let (skip, failure) = self.plan.as_mut()?;
        if *skip > 0 {
            *skip -= 1;
            return None;
        }
        let failure = *failure;
        self.plan = None;
        self.failures += 1;
        Some(failure)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.ops.push(Op::Wrote { file: FILE, at: at as u64, bytes: bytes.into() });
    }
}

impl Medium for Disk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().bytes.clone())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        assert!(at >= 4096 && at as usize + bytes.len() <= LAYOUT.total(), "outside, or page 0");
        let failure = state.failure();
        match failure {
            Some(Failure::Refused) => return Err(io::ErrorKind::StorageFull.into()),
            Some(Failure::Half) => {
                state.write(at as usize, &bytes[..bytes.len() / 2]);
                return Err(io::Error::other("half"));
            }
            None => state.write(at as usize, bytes),
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let failure = state.failure();
        if failure != Some(Failure::Refused) {
            state.ops.push(Op::Synced { file: FILE });
        }
        failure.map_or(Ok(()), |_| Err(io::Error::other("no sync")))
    }
}

type Rows = BTreeMap<u8, Vec<u8>>;

fn rows(store: &MemoryStore) -> Rows {
    let mut rows = Rows::new();
    store
        .read(&mut |tx| {
            tx.scan(Scan::everything(), &mut |row| {
                rows.insert(row.id.as_bytes()[15], row.sealed);
                std::ops::ControlFlow::Continue(())
            })
        })
        .unwrap();
    rows
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// One transaction: two rows are written and one may go.
fn change(store: &MemoryStore, dice: &mut Dice, model: &Rows) -> (Rows, Result<(), StoreError>) {
    let mut after = model.clone();
    let (first, gone) = (dice.below(12) as u8, dice.below(30) as u8);
    let long = [30, 300, 3_000, 9_000][dice.below(4)];
    after.insert(first, vec![dice.below(256) as u8; long]);
    after.insert(first + 12, vec![dice.below(256) as u8; 20]);
    after.remove(&gone);
    let outcome = store.write(&mut |tx| {
        for number in [first, first + 12] {
            if let Some(sealed) = after.get(&number) {
                tx.put(&row(1, number, sealed))?;
            }
        }
        tx.delete(1, &id(gone)).map(drop)
    });
    (after, outcome)
}

/// The states that were acknowledged, each with the position of the log at which it was.
struct History {
    log: Log,
    states: Vec<(usize, Rows)>,
    slots: usize,
}

fn play(seed: u64, steps: usize) -> History {
    let (disk, mut dice) = (Disk::new(), Dice(seed));
    let mut store = make_store(disk.clone(), LAYOUT, SALT, &kek()).unwrap();
    let mut states = vec![(0, Rows::new())];
    for step in 0..steps {
        if step > 0 && dice.below(7) == 0 {
            drop(store);
            store = disk.open().unwrap();
        }
        let (after, outcome) = change(&store, &mut dice, &states.last().unwrap().1);
        outcome.unwrap();
        states.push((disk.position(), after));
    }
    drop(store);
    let log = disk.log();
    let slots =
        log.ops().iter().filter(|op| matches!(op, Op::Wrote { bytes, .. } if bytes.len() > 60_000)).count();
    History { log, states, slots }
}

/// What may be found at a position: the last acknowledged state, or the one on its way.
fn check(found: Option<MemoryStore>, states: &[(usize, Rows)], position: usize) -> Result<(), String> {
    let done = states.iter().rposition(|(at, _)| *at <= position).unwrap();
    let found = found.map_or_else(Rows::new, |store| rows(&store));
    let possible = states[done..].iter().take(2).any(|(_, state)| *state == found);
    if possible { Ok(()) } else { Err(format!("at {position}: neither state {done} nor the next")) }
}

fn lose_power(history: &History, log: &Log) -> (usize, Vec<String>) {
    let (mut replay, mut images, mut findings) = (Replay::new(log), 0, Vec::new());
    loop {
        let position = replay.position();
        let seed = position as u64;
        let at_sync = replay.next_op().is_none_or(Op::is_sync);
        let kinds = Tear::every_kind(seed);
        let tears = if at_sync {
            kinds.to_vec()
        } else {
            vec![kinds[position % kinds.len()], kinds[(position / 3 + 5) % kinds.len()]]
        };
        for tear in tears {
            let image = replay.image(tear);
            let Some(bytes) = image.files().get(NAME) else { continue };
            images += 1;
            if let Err(finding) = check(Disk::of(bytes.clone()).open(), &history.states, position) {
                findings.push(format!("{finding} ({tear:?})"));
            }
        }
        if !replay.step() {
            return (images, findings);
        }
    }
}

fn rounds(short: u64) -> u64 {
    std::env::var("KEEP_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(short)
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power() {
    let (mut images, mut slots) = (0, 0);
    for seed in 0..rounds(4) {
        let history = play(seed, 30);
        let (seen, findings) = lose_power(&history, &history.log);
        assert!(
            findings.is_empty(),
            "history {seed}: {} of {seen}: {:#?}",
            findings.len(),
            &findings[..findings.len().min(5)]
        );
        (images, slots) = (images + seen, slots + history.slots);
    }
    println!("{images} crash images, {slots} slots written");
    assert!(images > 1_000 && slots > 12, "{images} {slots}");
}

/// The layer works: without the syncs it finds lost transactions.
#[test]
fn a_disk_that_lies_is_found_out() {
    let history = play(1, 30);
    let log = history.log.without_syncs();
    // Without syncs the positions shift; nothing but the end is looked at.
    let mut replay = Replay::new(&log);
    while replay.step() {}
    let lost = Tear::every_kind(3).into_iter().filter(|tear| {
        let bytes = replay.image(*tear).files()[NAME].clone();
        check(Disk::of(bytes).open(), &history.states, usize::MAX).is_err()
    });
    assert!(lost.count() >= 4);
}

/// A write or a sync fails: the transaction failed for everybody, those before are safe, and work goes on.
#[test]
fn every_operation_may_fail_in_every_way() {
    let mut failed = 0;
    for failure in [Failure::Refused, Failure::Half] {
        for skip in 0..60 {
            failed += fail_once(skip, failure);
        }
    }
    println!("{failed} transactions failed");
    assert!(failed > 80, "{failed}");
}

fn fail_once(skip: usize, failure: Failure) -> usize {
    let (disk, mut dice) = (Disk::new(), Dice(skip as u64));
    let store = make_store(disk.clone(), LAYOUT, SALT, &kek()).unwrap();
    let (mut model, outcome) = change(&store, &mut dice, &Rows::new());
    outcome.unwrap();
    let mut states = vec![(0, Rows::new()), (disk.position(), model.clone())];
    disk.fail(skip, failure);
    let mut failed = 0;
    for _ in 0..25 {
        let (after, outcome) = change(&store, &mut dice, &model);
        match outcome {
            Ok(()) => {
                model = after;
                states.push((disk.position(), model.clone()));
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Full | StoreError::Io(_)), "{error:?}");
                failed += 1;
                // After a crash the change that failed may be there, as a whole; no other.
                let bytes = disk.0.lock().unwrap().bytes.clone();
                let found = rows(&Disk::of(bytes).open().unwrap());
                assert!(found == model || found == after, "{failure:?} at {skip}");
            }
        }
        assert_eq!(rows(&store), model, "{failure:?} at {skip}");
    }
    assert_eq!(failed, disk.0.lock().unwrap().failures);
    drop(store);
    assert_eq!(rows(&disk.open().unwrap()), model);
    // The power may also have gone at any time after the failure.
    let log = disk.log();
    let mut replay = Replay::new(&log);
    loop {
        let acknowledged = states.iter().any(|(at, _)| *at == replay.position());
        if acknowledged && failed > 0 && replay.position() > 0 {
            let bytes = replay.image(Tear::Everything).files()[NAME].clone();
            check(Disk::of(bytes).open(), &states, replay.position()).unwrap();
        }
        if !replay.step() {
            return failed;
        }
    }
}

#[test]
fn a_flipped_byte_of_what_counts_is_never_taken_for_truth() {
    let history = play(5, 30);
    let mut replay = Replay::new(&history.log);
    while replay.step() {}
    let whole = replay.image(Tear::Everything).files()[NAME].clone();
    let states: Vec<&Rows> = history.states.iter().map(|(_, state)| state).collect();
    let (mut fell_back, mut dice) = (0, Dice(9));
    for _ in 0..150 {
        let mut bytes = whole.clone();
        let at = 4096 + dice.below(bytes.len() - 4096);
        bytes[at] ^= 1 << dice.below(8);
        let found = Disk::of(bytes).open().map_or_else(Rows::new, |store| rows(&store));
        assert!(states.contains(&&found), "a state that never was, by byte {at}");
        fell_back += usize::from(found != *states[states.len() - 1]);
    }
    assert!(fell_back > 10, "{fell_back}");
}

/// Nine tenths are for everything, the last one for the log alone; deleting is always possible.
#[test]
fn a_full_store_can_be_left() {
    let audit = keep_types::Collection::Audit.number();
    let disk = Disk::new();
    let store = make_store(disk.clone(), LAYOUT, SALT, &kek()).unwrap();
    let add = |collection, number| store.write(&mut |tx| tx.put(&row(collection, number, &[1; 2_000])));
    let added = (0..).take_while(|n| add(1, *n).is_ok()).count() as u8;
    let room = store.room().unwrap();
    assert!(room.used <= room.limit() && room.used + 2_100 > room.limit(), "{room:?}");
    assert!(matches!(add(1, added), Err(StoreError::NoRoom(_))));
    let entries = (0..).take_while(|n| add(audit, *n).is_ok()).count() as u8;
    assert!(entries >= 3, "{entries}");
    assert!(matches!(add(audit, entries), Err(StoreError::NoRoom(_))));
    for number in 0..added {
        store.write(&mut |tx| tx.delete(1, &id(number)).map(drop)).unwrap();
    }
    add(1, 0).unwrap();
    drop(store);
    assert_eq!(disk.open().unwrap().room().unwrap().log, usize::from(entries) * 2_030);
}
