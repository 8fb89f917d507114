//! A vault beside a model of it, driven by random operations, with losses of power and failing disks in between.
#![allow(dead_code)]

mod given;
mod op;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use keep_store::Store;
use keep_testing::clock::FakeClock;
use keep_testing::faultdisk::{Failure, Image, Lasting, Log, Replay, Tear};
use keep_types::{ErrorCode, Fault, Timestamp};
use keep_vault::{Archive, Environment, RestoreOptions, Vault};

pub use op::{Live, Op, draw, text};
pub use place::{Kind, Place};

use crate::world::{CHEAP, Dice, NOW};

/// Stands for a recovery code until it is known.
pub const NEW_CODE: &str = "the new recovery code";
const FIRST: &str = "pass 0";

/// What a vault should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// By name: the public key, and the note.
    pub keys: BTreeMap<String, ([u8; 32], Option<String>)>,
    pub secrets: BTreeMap<String, String>,
    /// What opens it.
    pub opens: BTreeSet<String>,
    /// The first entry of the log, and how many there are.
    pub log: (u64, u64),
}

/// What can be seen of a vault without a trace.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    keys: BTreeMap<String, ([u8; 32], Option<String>)>,
    secrets: Vec<String>,
    stanzas: usize,
    log: (u64, u64),
}

impl Seen {
    fn of(vault: &Vault) -> Result<Self, String> {
        let say = |e: keep_vault::VaultError| e.to_string();
        let report = vault.verify().map_err(say)?;
        if !report.is_intact() {
            return Err(report.problems.join("; "));
        }
        let log = vault.verify_audit().map_err(say)?;
        let keys = vault.keys().map_err(say)?.into_iter();
        let secrets = vault.stored_secrets().map_err(say)?;
        Ok(Self {
            keys: keys.map(|key| (key.name.to_string(), (key.public_key, key.note))).collect(),
            secrets: secrets.iter().map(|item| item.name.to_string()).collect(),
            stanzas: vault.stanzas().map_err(say)?.len(),
            log: (log.first, log.entries),
        })
    }

    fn fits(&self, model: &Model) -> bool {
        self.keys == model.keys
            && self.secrets.iter().eq(model.secrets.keys())
            && self.stanzas == model.opens.len()
            && self.log == model.log
    }
}

/// How often what happened.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub done: usize,
    pub crashes: usize,
    /// Losses of power after which the operation had not happened.
    pub undone: usize,
    pub failures: usize,
    pub restored: usize,
}

/// One history.
pub struct Run {
    pub place: Place,
    pub model: Model,
    live: Option<Live>,
    pub dice: Dice,
    clock: FakeClock,
    /// Everything that ever opened the vault.
    ever: BTreeSet<String>,
    /// What each operation that failed since the last one that wrote may have left for the next start.
    maybe: Vec<Model>,
    number: u64,
    pub tally: Tally,
    /// The disk says that it has synced, and has not.
    pub lies: bool,
}

impl Run {
    pub fn new(seed: u64, kind: Kind) -> Self {
        let (place, clock) = (Place::new(kind), FakeClock::at(Timestamp::from_secs(NOW)));
        let environment = Environment::new(clock.clone()).allow_weak_kdf();
        let vault = Vault::create(place.create(), &text(FIRST), [7; 32], CHEAP, &environment).unwrap();
        let (keys, secrets) = (BTreeMap::new(), BTreeMap::new());
        let opens = BTreeSet::from([FIRST.to_owned()]);
        let log = (vault.verify_audit().unwrap().first, 1);
        Self {
            place,
            model: Model { keys, secrets, opens: opens.clone(), log },
            live: Some(Live::of(vault)),
            dice: Dice(seed),
            clock,
            ever: opens,
            maybe: Vec::new(),
            number: 0,
            tally: Tally::default(),
            lies: false,
        }
    }

    pub fn now(&self) -> Timestamp {
        keep_types::Clock::now(&self.clock)
    }

    fn environment(&self) -> Environment {
        Environment::new(self.clock.clone()).allow_weak_kdf()
    }

    pub fn live(&self) -> &Live {
        self.live.as_ref().unwrap()
    }

    /// The id of the way to unlock that `passphrase` is.
    fn stanza(&self, vault: &Vault, passphrase: &str) -> String {
        let there: BTreeSet<String> = vault.stanzas().unwrap().into_iter().map(|info| info.id).collect();
        let opened = self.open_store_again(passphrase);
        let id = opened.stanzas().unwrap().into_iter().find(|info| info.current).unwrap().id;
        assert!(there.contains(&id));
        id
    }

    /// A second handle on a database; in a reserve there is only one way to unlock.
    fn open_store_again(&self, passphrase: &str) -> Vault {
        Vault::open(self.place.open().unwrap(), &text(passphrase), &self.environment()).unwrap()
    }

    pub fn expect_archive(&self, archive: &Archive) {
        let keys: BTreeMap<_, _> = archive
            .keys
            .iter()
            .map(|key| (key.record.name.to_string(), (key.record.public_key, key.record.note.clone())))
            .collect();
        assert_eq!(keys, self.model.keys);
        let secrets = archive.secrets.iter();
        let secrets: BTreeMap<_, _> =
            secrets.map(|(item, text)| (item.name.to_string(), text.expose().to_owned())).collect();
        assert_eq!(secrets, self.model.secrets);
    }

    /// Whether the last operation did not happen.
    pub fn failed_last(&self) -> bool {
        !self.maybe.is_empty()
    }

    /// Time passes.
    pub fn advance(&self) {
        self.clock.advance(Duration::from_secs(100));
    }

    /// An operation that this kind of place can do. In a reserve the passphrase is the slot's.
    pub fn draw(&mut self) -> Op {
        loop {
            self.number += 1;
            let op = draw(&mut self.dice, &self.model, self.number);
            if self.place.kind() == Kind::Database || !matches!(op, Op::Change(..) | Op::Remove(_)) {
                return op;
            }
        }
    }

    /// One operation, perhaps on a disk that fails in the middle, and perhaps with a loss of power at some point of it.
    pub fn step(&mut self) {
        let op = self.draw();
        self.advance();
        if self.dice.below(9) == 0 {
            return self.restore();
        }
        let fails = (self.dice.below(5) == 0).then(|| self.any_failure());
        let power = self.dice.below(3) == 0;
        self.perform(&op, fails, power);
        if !power && self.dice.below(7) == 0 {
            self.reopen();
        }
    }

    fn any_failure(&mut self) -> (usize, Failure, Lasting) {
        let failure = [Failure::Full, Failure::Io, Failure::Short][self.dice.below(3) as usize];
        let lasting = [Lasting::Once, Lasting::UntilHealed][self.dice.below(2) as usize];
        (self.dice.below(14) as usize, failure, lasting)
    }

    /// Does it; gives how often the disk failed.
    pub fn perform(&mut self, op: &Op, fails: Option<(usize, Failure, Lasting)>, power: bool) -> usize {
        let (before, start) = (self.model.clone(), self.place.position());
        // What operations before may have left, if they failed, until this one is there.
        let left = self.maybe.clone();
        let live = self.live.take().unwrap();
        let mut after = before.after(op, &live.vault, self.now());
        if let Some((skip, failure, lasting)) = fails {
            self.place.fail(skip, failure, lasting);
        }
        let outcome = live.run(self, op);
        let failures = self.place.heal();
        self.tally.failures += failures;
        let acknowledged = outcome.is_ok();
        match outcome {
            Ok(code) => {
                if let Some(code) = code {
                    after.opens.remove(NEW_CODE);
                    after.opens.insert(code);
                }
                (self.model, self.maybe) = (after.clone(), Vec::new());
                self.tally.done += 1;
            }
            Err(fault) => {
                assert!(failures > 0, "{op:?} failed by itself: {fault}");
                expect_storage(&fault, &format!("{op:?} {fails:?}"));
                self.maybe.push(after.clone());
            }
        }
        self.ever.extend(self.model.opens.iter().cloned());
        let end = self.place.position();
        if end == start && self.maybe.is_empty() {
            // It had nothing to write, so what operations before may have left may still be there.
            self.maybe.clone_from(&left);
        }
        self.live = Some(live);
        if !(acknowledged && matches!(op, Op::Rotate(_))) {
            let seen = Seen::of(&self.live().vault).unwrap_or_else(|e| panic!("{op:?} {fails:?}: {e}"));
            assert!(seen.fits(&self.model), "{op:?} {fails:?}: {seen:?}, it should be {:?}", self.model);
        }
        if power {
            let failed = std::mem::take(&mut self.maybe);
            let possible = std::iter::once(before).chain(left).chain(failed).collect();
            self.lose_power(possible, after, (start, end), acknowledged, op);
        } else if acknowledged && matches!(op, Op::Rotate(_)) {
            self.reopen();
        }
        failures
    }

    /// Closes the vault and opens it again.
    pub fn reopen(&mut self) {
        self.live = None;
        let candidates: Vec<Model> =
            std::iter::once(self.model.clone()).chain(std::mem::take(&mut self.maybe)).collect();
        self.open_one_of(candidates, "opened again");
    }

    /// The power goes at some point of an operation: it happened, or (unless it was acknowledged before) one of the states that were
    /// possible without it is there.
    fn lose_power(
        &mut self,
        possible: Vec<Model>,
        after: Model,
        (start, end): (usize, usize),
        acknowledged: bool,
        op: &Op,
    ) {
        let at = start + self.dice.below((end - start + 1) as u64) as usize;
        let tear = Tear::every_kind(self.dice.below(1 << 40))[self.dice.below(10) as usize];
        let log = self.log();
        self.live = None;
        self.place.become_image(&image(&log, at, tear));
        self.tally.crashes += 1;
        let mut candidates = vec![after.clone()];
        if at < end || start == end || !acknowledged {
            candidates.extend(possible);
        }
        let what = format!("{op:?}, power lost at {at} of {start} to {end}, {tear:?}");
        self.open_one_of(candidates, &what);
        self.tally.undone += usize::from(self.model != after);
    }

    /// What was done to the disk.
    fn log(&self) -> Log {
        let log = self.place.log();
        if self.lies { log.without_syncs() } else { log }
    }

    /// Opens what is there; it must be one of these.
    fn open_one_of(&mut self, candidates: Vec<Model>, what: &str) {
        let store = self.place.open().unwrap_or_else(|e| panic!("{what}: {e}"));
        let words: BTreeSet<&String> = candidates.iter().flat_map(|model| &model.opens).collect();
        let open = |word: &str| Vault::open(Arc::clone(&store), &text(word), &self.environment());
        let vault = words.iter().find_map(|word| open(word).ok());
        let vault = vault.unwrap_or_else(|| panic!("{what}: nothing opens it"));
        let seen = Seen::of(&vault).unwrap_or_else(|e| panic!("{what}: {e}"));
        // Two that look alike may differ in what opens them.
        let is_it = |model: &&Model| {
            let mut known = model.opens.iter().filter(|word| *word != NEW_CODE);
            seen.fits(model) && known.all(|word| open(word).is_ok())
        };
        let found = candidates.iter().find(is_it);
        let found = found.unwrap_or_else(|| panic!("{what}: {seen:?}, it should be one of {candidates:?}"));
        // What opens it does, and what no longer does does not. One of each is enough for one time.
        for opens in [true, false] {
            let words: Vec<&String> = self
                .ever
                .iter()
                .filter(|word| found.opens.contains(*word) == opens && *word != NEW_CODE)
                .collect();
            if let Some(word) = words.get(self.number as usize % words.len().max(1)) {
                assert_eq!(open(word).is_ok(), opens, "{what}: {word}");
            }
        }
        (self.model, self.maybe) = (found.clone(), Vec::new());
        self.live = Some(Live::of(vault));
    }

    /// A backup is restored elsewhere, and life goes on there; unless the power goes before it is whole.
    fn restore(&mut self) {
        let archive = self.live().archive().unwrap();
        self.model.log.1 += 1;
        (self.maybe, self.tally.restored) = (Vec::new(), self.tally.restored + 1);
        self.expect_archive(&archive);
        let counts = (archive.keys.len() as u64, archive.secrets.len() as u64);
        let word = format!("pass restored {}", self.number);
        let mut place = Place::new(self.place.kind());
        let passphrase = text(&word);
        let options = RestoreOptions { passphrase: &passphrase, salt: [7; 32], cost: CHEAP };
        let revive = |collection, cbor: &[u8], now| keep_signer::revive(collection, cbor, now, false);
        let mut archive = given::Given::from(archive);
        let (vault, content) = Vault::restore(
            place.create(),
            &mut archive,
            &options,
            &revive,
            &keep_signer::form,
            &self.environment(),
        )
        .unwrap();
        assert_eq!((content.keys, content.secrets), counts);
        // The new vault's time is later than anything in the old one.
        self.clock.advance(Duration::from_secs(100));
        let mut model = self.model.clone();
        model.opens = BTreeSet::from([word.clone()]);
        model.log.1 += 1;
        let seen = Seen::of(&vault).unwrap();
        assert!(seen.fits(&model), "restored: {seen:?}, it should be {model:?}");
        drop(vault);
        let end = place.position();
        if self.dice.below(2) == 0 {
            let at = self.dice.below(end as u64 + 1) as usize;
            let tear = Tear::every_kind(self.dice.below(1 << 40))[self.dice.below(10) as usize];
            let log = place.log();
            place.become_image(&image(&log, at, tear));
            let whole = place.open().ok().and_then(|store| {
                let store: Arc<dyn Store> = store;
                Vault::open(store, &passphrase, &self.environment()).ok()
            });
            if whole.is_none() {
                assert!(at < end, "a restored vault was lost, {tear:?}");
                self.tally.undone += 1;
                return;
            }
        }
        self.live = None;
        self.place = place;
        self.ever = BTreeSet::from([word]);
        self.open_one_of(vec![model], "restored");
    }
}

fn image(log: &Log, at: usize, tear: Tear) -> Image {
    let mut replay = Replay::new(log);
    while replay.position() < at && replay.step() {}
    replay.image(tear)
}

fn expect_storage(fault: &Fault, what: &str) {
    let code = fault.code();
    assert!(matches!(code, ErrorCode::Storage | ErrorCode::StorageFull), "{what}: {} {fault}", code.as_str());
    assert!(!fault.hint().is_empty());
}
