//! The power goes while the log is written together in segments, and while it is pruned: the vault opens, the chain is whole,
//! and every entry that was acknowledged is there, unless it was to be removed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{CHEAP, passphrase};
use keep_audit::{Action, Draft, Entry, Outcome};
use keep_store::{SqliteOptions, SqliteStore};
use keep_testing::clock::FakeClock;
use keep_testing::faultdisk::{FaultDisk, Log, Op, Replay, Tear};
use keep_types::{Origin, Timestamp};
use keep_vault::{Environment, Vault};

const BEGIN: u64 = 1_800_000_000;

/// What had been acknowledged at a point of the disk's log.
struct Promise {
    at: usize,
    /// The last entry.
    last: u64,
    /// The first entry that must be there at the latest, and at the earliest, from here to the next promise.
    first: (u64, u64),
}

struct History {
    log: Log,
    promises: Vec<Promise>,
    /// Every entry that ever was, by number.
    entries: Vec<Entry>,
}

fn environment(clock: &FakeClock) -> Environment {
    Environment::new(clock.clone()).allow_weak_kdf()
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn write(vault: &Vault, entries: usize) {
    vault
        .submit(move |tx| {
            for n in 0..entries {
                tx.audit(Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli).event_kind(n as u16));
            }
            Ok(())
        })
        .wait()
        .unwrap();
}

/// Entries up to the edge of a segment, over it in a commit that spans it, and a prune into the middle of a segment.
fn play() -> History {
    let (dir, disk) = (directory(), FaultDisk::new());
    let options = SqliteOptions::default()
        .vfs(disk.vfs())
        .cutter(disk.cutter())
        .examine_place(false)
        .checkpoint_frames(80);
    let store = SqliteStore::create_with(dir.path().join("keep.db"), options).unwrap();
    let clock = FakeClock::at(Timestamp::from_secs(BEGIN));
    let vault = Vault::create(Arc::new(store), &passphrase(), [7; 32], CHEAP, &environment(&clock)).unwrap();
    let mut history = History { log: disk.log(), promises: Vec::new(), entries: Vec::new() };
    let promise = |history: &mut History, prunes_to: Option<u64>| {
        let summary = vault.verify_audit().unwrap();
        let known = history.entries.len() as u64;
        history.entries.extend(vault.audit_entries(known + 1, usize::MAX).unwrap());
        let latest = prunes_to.unwrap_or(summary.first);
        let last = summary.first + summary.entries - 1;
        history.promises.push(Promise { at: disk.position(), last, first: (summary.first, latest) });
    };
    for n in 0..7_u64 {
        clock.set(Timestamp::from_secs(BEGIN + 1000 * n));
        write(&vault, 150);
    }
    for size in [1, 40, 900, 300, 2] {
        clock.advance(Duration::from_secs(10));
        promise(&mut history, None);
        write(&vault, size);
    }
    assert_eq!(vault.audit_stats().unwrap().segments, 2);
    let cutoff = Timestamp::from_secs(BEGIN + 4000);
    let plan = vault.plan_prune(cutoff).unwrap();
    promise(&mut history, Some(plan.keep_from));
    vault.prune(cutoff, Origin::Cli, &mut |_| {}).unwrap();
    promise(&mut history, None);
    write(&vault, 5);
    promise(&mut history, None);
    drop(vault);
    history.log = disk.log();
    history
}

impl History {
    /// Looks at images right before and after syncs, and at every so many operations elsewhere; with all kinds of tears, or with
    /// one in turn. Gives their number.
    fn lose_power(&self, every: usize, all_tears: bool) -> usize {
        let mut images = 0;
        let mut replay = Replay::new(&self.log);
        while replay.step() {
            let position = replay.position();
            let is_near_sync = replay.next_op().is_none_or(Op::is_sync);
            if position < self.promises[0].at || !(is_near_sync || position % every == 0) {
                continue;
            }
            let kinds = Tear::every_kind(position as u64);
            let tears = if all_tears { kinds.to_vec() } else { vec![kinds[images % kinds.len()]] };
            for tear in tears {
                images += 1;
                let dir = directory();
                replay.image(tear).write_to(dir.path()).unwrap();
                self.check(dir.path(), position)
                    .unwrap_or_else(|e| panic!("at {position} of {}, {tear:?}: {e}", self.log.ops().len()));
            }
        }
        images
    }

    fn check(&self, dir: &Path, position: usize) -> Result<(), String> {
        let promise = self.promises.iter().rfind(|promise| promise.at <= position).unwrap();
        let options = SqliteOptions::default().examine_place(false);
        let store = SqliteStore::open_with(dir.join("keep.db"), options).map_err(|e| e.to_string())?;
        let clock = FakeClock::at(Timestamp::from_secs(BEGIN + 9000));
        let vault =
            Vault::open(Arc::new(store), &passphrase(), &environment(&clock)).map_err(|e| e.to_string())?;
        let at_open = vault.integrity().problems;
        let found = vault.verify().map_err(|e| e.to_string())?.problems;
        if !at_open.is_empty() || !found.is_empty() {
            return Err(format!("{at_open:?} {found:?}"));
        }
        let summary = vault.verify_audit().map_err(|e| e.to_string())?;
        let last = summary.first + summary.entries - 1;
        if last < promise.last || ![promise.first.0, promise.first.1].contains(&summary.first) {
            return Err(format!("entries {} to {last}, promised to {}", summary.first, promise.last));
        }
        let entries = vault.audit_entries(0, usize::MAX).map_err(|e| e.to_string())?;
        let from = summary.first as usize - 1;
        if entries[..] != self.entries[from..last as usize] {
            return Err("the log has what was never written".into());
        }
        // It goes on, and what was due is done.
        write(&vault, 1);
        vault.verify_audit().map_err(|e| e.to_string())?;
        let counted =
            vault.audit_stats().map_err(|e| e.to_string())?.counts.iter().map(|c| c.entries).sum::<u64>();
        if counted == summary.entries + 1 { Ok(()) } else { Err(format!("{counted} entries are counted")) }
    }
}

#[test]
fn compaction_and_pruning_survive_a_loss_of_power() {
    let long = std::env::var_os("KEEP_SOAK").is_some();
    let images = play().lose_power(if long { 1 } else { 7 }, long);
    println!("{images} crash images");
    assert!(images > 20, "{images}");
}

/// The check can fail: on a disk that lies about syncs, promises are broken.
#[test]
#[should_panic(expected = "at ")]
fn a_disk_that_lies_is_found_out() {
    let mut history = play();
    history.log = history.log.without_syncs();
    history.lose_power(5, true);
}
