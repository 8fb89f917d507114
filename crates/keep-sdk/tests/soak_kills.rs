//! Processes are killed at random while three of them make keys and sign on one vault: nothing acknowledged is lost,
//! nothing is left without its entry, the counters are exact, and nobody starves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod world;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keep_audit::{Action, Outcome};
use keep_sdk::{Home, Keep, Options};
use keep_store::SqliteStore;
use world::{CHEAP, Dice, MAIN, Step, World, check, database, passphrase};

/// Set for the processes that this program starts of itself: the vault's directory.
const DIRECTORY: &str = "KEEP_SDK_TEST_DIRECTORY";
/// Which of them it is, and how often it was started before.
const LIFE: &str = "KEEP_SDK_TEST_LIFE";
/// How many processes work at once.
const WORKERS: usize = 3;
/// Whoever gets nothing done for so long starves.
const PATIENCE: Duration = Duration::from_secs(30);

fn is_long() -> bool {
    std::env::var_os("KEEP_SOAK").is_some()
}

/// The life of one of the processes. Does nothing when the tests are run as usual.
#[test]
fn process_that_works() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let (directory, life) = (PathBuf::from(directory), std::env::var(LIFE).unwrap());
    let worker = life.split('.').next().unwrap();
    let mut told = OpenOptions::new().append(true).create(true).open(told(&directory, worker)).unwrap();
    let mut tell = |line: String| told.write_all(line.as_bytes()).unwrap();
    let world = World::open(Arc::new(SqliteStore::open(database(&directory)).unwrap())).unwrap();
    let unique = life.bytes().fold(0_u64, |sum, byte| sum << 8 | u64::from(byte));
    for n in 0_u64.. {
        if directory.join("stop").exists() {
            return;
        }
        let text = format!("life {life} step {n}");
        // Unique in all lives: worker and life in the upper bytes.
        let number = unique << 20 | n;
        match n % 8 {
            0 => {
                world.run(&Step::Generate(text.clone())).unwrap();
                tell(format!("key {text}\n"));
            }
            1 | 4 => {
                let event = world.run(&Step::Sign(text)).unwrap().remove(0);
                tell(format!("event {}\n", event.id));
            }
            2 => {
                let burst = (0..4).map(|k| (number << 2 | k, format!("{text} {k}"))).collect();
                let events = world.run(&Step::Ask(0, 1, burst)).unwrap();
                events.iter().for_each(|event| tell(format!("asked {}\n", event.id)));
            }
            _ => {
                let event = world.run(&Step::Ask(0, 1, vec![(number << 2, text)])).unwrap().remove(0);
                tell(format!("asked {}\n", event.id));
            }
        }
    }
}

/// What a worker has said to be done, one line each.
fn told(directory: &Path, worker: &str) -> PathBuf {
    directory.join(format!("told-{worker}"))
}

fn lines(directory: &Path, worker: usize) -> Vec<String> {
    let text = std::fs::read_to_string(told(directory, &worker.to_string())).unwrap_or_default();
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    text[..whole].lines().map(str::to_owned).collect()
}

struct Worker {
    child: Child,
    number: usize,
    lives: usize,
    done: usize,
    last_seen: Instant,
}

impl Worker {
    fn start(directory: &Path, number: usize, lives: usize) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process_that_works", "--nocapture"])
            .env(DIRECTORY, directory)
            .env(LIFE, format!("{number}.{lives}"))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap()
    }

    fn new(directory: &Path, number: usize) -> Self {
        let child = Self::start(directory, number, 0);
        Self { child, number, lives: 0, done: 0, last_seen: Instant::now() }
    }

    fn kill_and_restart(&mut self, directory: &Path) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lives += 1;
        self.child = Self::start(directory, self.number, self.lives);
    }

    /// Looks how far it has come.
    fn look(&mut self, directory: &Path) {
        assert!(self.child.try_wait().unwrap().is_none(), "worker {} ended by itself", self.number);
        let done = lines(directory, self.number).len();
        if done > self.done {
            (self.done, self.last_seen) = (done, Instant::now());
        }
        let waited = self.last_seen.elapsed();
        assert!(waited < PATIENCE, "worker {} starves: {waited:?} without progress", self.number);
    }
}

#[test]
fn killed_processes_lose_nothing_and_stop_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path();
    let world = World::create(Arc::new(SqliteStore::create(database(directory)).unwrap())).unwrap();
    world.run(&Step::Offer(0)).unwrap();
    world.run(&Step::Connect(0)).unwrap();
    drop(world);
    let (kills, enough) = if is_long() { (200, Duration::MAX) } else { (25, Duration::from_secs(30)) };
    let mut workers: Vec<Worker> = (0..WORKERS).map(|n| Worker::new(directory, n)).collect();
    let (begin, mut dice, mut killed) = (Instant::now(), Dice(2), 0);
    while killed < kills && begin.elapsed() < enough {
        std::thread::sleep(Duration::from_millis(20 + dice.below(if is_long() { 1_200 } else { 700 })));
        workers.iter_mut().for_each(|worker| worker.look(directory));
        workers[dice.below(WORKERS as u64) as usize].kill_and_restart(directory);
        killed += 1;
    }
    finish(directory, &mut workers);
    let told: Vec<String> = (0..WORKERS).flat_map(|n| lines(directory, n)).collect();
    println!(
        "{killed} kills, {} acknowledged, by worker {:?}",
        told.len(),
        workers.iter().map(|w| w.done).collect::<Vec<_>>()
    );
    assert!(killed >= kills / 3, "{killed}");
    assert!(workers.iter().all(|worker| worker.done > 5), "somebody got nothing done");
    assert_kept(directory, &told);
}

/// Lets everybody work undisturbed until each got something done, then end by itself; and one last is killed.
fn finish(directory: &Path, workers: &mut [Worker]) {
    let before: Vec<usize> = workers.iter().map(|worker| lines(directory, worker.number).len()).collect();
    while workers.iter().zip(&before).any(|(worker, before)| worker.done <= *before) {
        std::thread::sleep(Duration::from_millis(20));
        workers.iter_mut().for_each(|worker| worker.look(directory));
    }
    std::fs::write(directory.join("stop"), "").unwrap();
    for worker in workers {
        assert!(worker.child.wait().unwrap().success(), "worker {} failed", worker.number);
        worker.done = lines(directory, worker.number).len();
    }
}

fn assert_kept(directory: &Path, told: &[String]) {
    let store = SqliteStore::open(database(directory)).unwrap();
    assert_eq!(store.integrity_check().unwrap(), [] as [String; 0]);
    let world = World::open(Arc::new(store)).unwrap();
    let entries = check(&world.vault).unwrap();
    let mut uses: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    let allowed = entries.iter().filter(|e| e.action == Action::SignEvent && e.outcome == Outcome::Allowed);
    for entry in allowed {
        let id = hex::encode(entry.subject.unwrap());
        uses.entry(id).or_insert((0, entry.client.is_some())).0 += 1;
    }
    assert!(uses.values().all(|(count, _)| *count == 1), "an event was recorded twice");
    let names: Vec<String> = world.vault.keys().unwrap().iter().map(|key| key.name.to_string()).collect();
    for line in told {
        match line.split_once(' ').unwrap() {
            ("key", name) => assert!(names.iter().any(|have| have == name), "{line} is lost"),
            (kind, id) => assert_eq!(uses.get(id), Some(&(1, kind == "asked")), "{line}"),
        }
    }
    let client = world.connections().grants().unwrap()[0].clone();
    let public = keep_types::PublicKey::from_byte_array(client.client);
    let total = world.connections().usage(&public, client.endpoint).unwrap().total;
    assert_eq!(total as usize, uses.values().filter(|(_, asked)| *asked).count());
    assert!(names.iter().any(|name| name == MAIN));
    world.run(&Step::Ask(0, 1, vec![(u64::MAX, "still works".into())])).unwrap();
    check(&world.vault).unwrap();
}

fn options() -> Options {
    Options::default().allow_weak_kdf().kdf_cost(CHEAP)
}

/// Makes a vault. Does nothing when the tests are run as usual.
#[test]
fn process_that_makes_a_vault() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    Keep::create(Home::new(directory).unwrap(), &passphrase(), &options()).unwrap();
}

#[test]
fn a_vault_whose_making_was_killed_is_whole_or_can_be_made_again() {
    let (mut dice, mut whole) = (Dice(3), 0);
    let rounds = if is_long() { 200 } else { 10 };
    for _ in 0..rounds {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("vault")).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process_that_makes_a_vault"])
            .env(DIRECTORY, home.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(dice.below(900)));
        child.kill().unwrap();
        child.wait().unwrap();
        // The making is recorded, and so is the opening.
        let (keep, entries) = match Keep::expect_none(&home) {
            Ok(()) => (Keep::create(home, &passphrase(), &options()).unwrap(), 1),
            Err(_) => {
                whole += 1;
                (Keep::open(home, &passphrase(), &options()).unwrap(), 2)
            }
        };
        assert_eq!(keep.audit().verify().unwrap().entries, entries);
        assert!(dir.path().join("vault/reserve").exists());
    }
    println!("{whole} of {rounds} were whole");
}
