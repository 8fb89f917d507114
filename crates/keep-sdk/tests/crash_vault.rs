//! The power goes at every point of scripted histories of a vault: it opens, it is intact, what was acknowledged is there
//! with its entry in the log, and nothing is half there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use keep_audit::{Entry, Outcome};
use keep_store::{SqliteOptions, SqliteStore, Store};
use keep_testing::faultdisk::{FaultDisk, Log, Op, Replay, Tear};
use keep_types::Event;
use keep_vault::VaultError;
use world::{Dice, Step, World, check, database, quick_directory, script};

/// What had been promised at a point of the disk's log.
struct Promise {
    at: usize,
    /// So many entries were in the vault's log.
    entries: usize,
    released: Vec<Event>,
    step: Option<Step>,
}

struct History {
    log: Log,
    promises: Vec<Promise>,
    entries: Vec<Entry>,
}

fn on(disk: &FaultDisk) -> SqliteOptions {
    SqliteOptions::default().vfs(disk.vfs()).cutter(disk.cutter()).examine_place(false).checkpoint_frames(60)
}

fn play(seed: u64, len: usize) -> History {
    let (dir, disk, mut dice) = (quick_directory(), FaultDisk::new(), Dice(seed));
    let path = database(dir.path());
    let reopen = || -> Arc<dyn Store> { Arc::new(SqliteStore::open_with(&path, on(&disk)).unwrap()) };
    let store = SqliteStore::create_with(&path, on(&disk)).unwrap();
    let mut world = World::create(Arc::new(store)).unwrap();
    let promise = |world: &World, released, step| {
        let at = disk.position();
        let entries = world.vault.verify_audit().unwrap().entries as usize;
        Promise { at, entries, released, step }
    };
    let mut promises = vec![promise(&world, Vec::new(), None)];
    for step in script(&mut dice, len) {
        if dice.below(8) == 0 {
            drop(world);
            world = World::open(reopen()).unwrap();
        }
        let released = world.run(&step).unwrap_or_else(|e| panic!("{step:?}: {e}"));
        promises.push(promise(&world, released, Some(step)));
    }
    let entries = check(&world.vault).unwrap();
    drop(world);
    History { log: disk.log(), promises, entries }
}

/// Right before and after a sync every kind of tear; elsewhere one, in turn.
fn tears(position: usize, next: Option<&Op>) -> Vec<Tear> {
    let kinds = Tear::every_kind(position as u64);
    if next.is_none_or(Op::is_sync) { kinds.to_vec() } else { vec![kinds[position % kinds.len()]] }
}

impl History {
    /// How many images were looked at, from operation `first` on.
    fn lose_power_everywhere(&self, first: usize) -> usize {
        let mut images = 0;
        let mut replay = Replay::new(&self.log);
        while replay.step() {
            if replay.position() < first {
                continue;
            }
            for tear in tears(replay.position(), replay.next_op()) {
                images += 1;
                let outcome = self.lose_power(&replay, tear, images % 8 == 0);
                let position = replay.position();
                outcome
                    .unwrap_or_else(|e| panic!("at {position} of {}, {tear:?}: {e}", self.log.ops().len()));
            }
        }
        images
    }

    fn lose_power(&self, replay: &Replay<'_>, tear: Tear, go_on: bool) -> Result<(), String> {
        let dir = quick_directory();
        replay.image(tear).write_to(dir.path()).unwrap();
        let path = database(dir.path());
        let options = SqliteOptions::default().examine_place(false);
        let kept: Vec<&Promise> = self.promises.iter().take_while(|p| p.at <= replay.position()).collect();
        let Some(last) = kept.last() else { return unfinished(&path, options) };
        let store = SqliteStore::open_with(&path, options).map_err(|e| e.to_string())?;
        let world = World::open(Arc::new(store)).map_err(|e| e.to_string())?;
        let entries = check(&world.vault)?;
        let most = self.promises.get(kept.len()).map_or(last.entries, |next| next.entries);
        if entries.len() < last.entries {
            return Err(format!("{} entries were promised, {} are there", last.entries, entries.len()));
        }
        if entries.len() > most || entries[..] != self.entries[..entries.len()] {
            return Err("the log has what was never written".into());
        }
        for event in kept.iter().flat_map(|promise| &promise.released) {
            let recorded = |entry: &&Entry| {
                entry.outcome == Outcome::Allowed && entry.subject == Some(event.id.to_bytes())
            };
            if entries.iter().filter(recorded).count() != 1 {
                return Err(format!("{} was released and is not in the log once", event.id));
            }
        }
        if go_on { self.go_on(&world, &kept, entries.len()) } else { Ok(()) }
    }

    /// Repeats get the same answers without being counted, every key still signs, and the log goes on.
    fn go_on(&self, world: &World, kept: &[&Promise], entries: usize) -> Result<(), String> {
        let asks = kept.iter().rev().filter_map(|promise| match &promise.step {
            Some(step @ Step::Ask(client, 1, _)) if world.is_connected(*client) => Some((step, promise)),
            _ => None,
        });
        for (step, promise) in asks.take(2) {
            let again = world.run(step).map_err(|e| format!("{step:?} again: {e}"))?;
            if again != promise.released {
                return Err(format!("{step:?} has another answer"));
            }
        }
        let found = check(&world.vault)?.len();
        if found != entries {
            return Err(format!("repeats were recorded again: {found} entries, before {entries}"));
        }
        let keys = world.vault.keys().map_err(|e| e.to_string())?;
        for key in &keys {
            let event = world.sign_as_owner(key, "still works").map_err(|e| e.to_string())?;
            event.verify().map_err(|e| e.to_string())?;
        }
        if check(&world.vault)?.len() == entries + keys.len() { Ok(()) } else { Err("entries lack".into()) }
    }
}

/// Making the vault was interrupted: either it is whole, or making it again succeeds.
fn unfinished(path: &std::path::Path, options: SqliteOptions) -> Result<(), String> {
    let opened = SqliteStore::open_with(path, options.clone()).ok().map(|store| World::open(Arc::new(store)));
    if let Some(Ok(world)) = opened {
        return check(&world.vault).map(drop);
    }
    let store = SqliteStore::create_with(path, options).map_err(|e| format!("create: {e}"))?;
    let world = World::create(Arc::new(store)).map_err(|e: VaultError| format!("create: {e}"))?;
    check(&world.vault).map(drop)
}

#[test]
fn a_vault_survives_a_loss_of_power_at_any_point() {
    let long = std::env::var_os("KEEP_SOAK").is_some();
    let (begin, mut images, mut seed) = (Instant::now(), 0, 0);
    let enough = if long { Duration::from_secs(1_200) } else { Duration::from_secs(8) };
    while seed == 0 || begin.elapsed() < enough {
        images += play(seed, if long { 40 } else { 12 }).lose_power_everywhere(0);
        seed += 1;
    }
    println!("{images} crash images of {seed} histories");
    assert!(images > 300, "{images}");
}

/// The check can fail: on a disk that lies about syncs, promises are broken.
#[test]
#[should_panic(expected = "at ")]
fn a_disk_that_lies_is_found_out() {
    let mut history = play(1, 10);
    history.log = history.log.without_syncs();
    history.lose_power_everywhere(history.promises[0].at);
}
