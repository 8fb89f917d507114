//! Who writes next: a fair lock among the processes that use one vault, and among the threads of each.
//!
//! Two lock files lie beside the database. A writer takes `next.lock`, then `write.lock`, then lets `next.lock` go. So
//! one waiter at most stands right behind the writer, and a writer that has just finished must stand in line again:
//! nobody can overtake for ever. Within a process, threads queue for the front.
//!
//! In `write.lock` stands who writes, or how the last one ended: see [`Ending`].
//!
//! Blocking on a file lock has no time limit. The wait for it therefore happens in a thread of its own; whoever gives
//! up leaves the place in the line to the next thread of the process.

use std::cell::Cell;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fault::refused;
use super::mark::{self, Ending};
use crate::StoreError;
use crate::queue::{self, Queue};

/// The lock of one handle. Handles in one process exclude each other like handles in several.
#[derive(Debug)]
pub(super) struct Turnstile {
    line: Queue,
    gate: Arc<Gate>,
}

/// The part that the waiting thread shares.
#[derive(Debug)]
struct Gate {
    next: File,
    write: File,
    path: PathBuf,
    phase: Mutex<Phase>,
    changed: Condvar,
}

#[derive(Debug)]
enum Phase {
    /// Nobody waits for the files, nobody has them (or the thread in front has, and will drop its [`Turn`]).
    Idle { waiter_lives: bool },
    /// The waiting thread is to get the locks; `wanted` by a thread that still waits for them.
    Asked { wanted: bool },
    /// The waiting thread has got the locks (or failed) for the thread in front.
    Settled(Result<Entry, StoreError>),
    /// The handle is gone.
    Closed,
}

/// What was found on entering, and left there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// How the last one ended.
    ending: Ending,
    /// Whether those who come next will know if this one is killed.
    is_marked: bool,
}

/// The exclusive right to write. Ends when dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    // Fields drop in this order: first let other processes in, then the next thread.
    files: Locked<'t>,
    _place: queue::Turn<'t>,
}

impl Turn<'_> {
    /// How the last one ended, and now what those who come next are told when this turn ends.
    pub(super) fn ending(&self) -> Ending {
        self.files.ending.get()
    }

    /// Lets those who come next know, when this turn ends.
    pub(super) fn will_end(&self, ending: Ending) {
        self.files.ending.set(ending);
    }

    /// Lets those who come next know from now on, even if this process is killed.
    pub(super) fn announce(&self, ending: Ending) -> Result<(), StoreError> {
        self.will_end(ending);
        ending.write(&self.files.gate.write).map_err(|e| refused(&self.files.gate.path, &e))
    }

    /// Makes sure that those who come next will know if this process is killed.
    pub(super) fn require_mark(&self) -> Result<(), StoreError> {
        if self.files.is_marked {
            return Ok(());
        }
        mark::sign(&self.files.gate.write).map_err(|e| refused(&self.files.gate.path, &e))
    }
}

#[derive(Debug)]
struct Locked<'t> {
    gate: &'t Gate,
    ending: Cell<Ending>,
    is_marked: bool,
}

impl<'t> Locked<'t> {
    fn new(gate: &'t Gate, entry: Entry) -> Self {
        Self { gate, ending: Cell::new(entry.ending), is_marked: entry.is_marked }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Who was here last is nobody's business. If this fails, the number that is left says the worst.
        let _ = self.ending.get().write(&self.gate.write);
        let _ = self.gate.write.unlock();
    }
}

impl Turnstile {
    /// Opens (and makes, if need be) the lock files in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        let open = |name: &str| {
            let path = dir.join(name);
            open_lock_file(&path).map_err(|e| refused(&path, &e))
        };
        let gate = Gate {
            next: open("next.lock")?,
            write: open("write.lock")?,
            path: dir.join("write.lock"),
            phase: Mutex::new(Phase::Idle { waiter_lives: false }),
            changed: Condvar::new(),
        };
        Ok(Self { line: Queue::default(), gate: Arc::new(gate) })
    }

    /// Waits for the right to write, at most for `limit`.
    pub(super) fn enter(&self, limit: Duration) -> Result<Turn<'_>, StoreError> {
        let deadline = Instant::now() + limit;
        let place = self.line.wait(limit).ok_or_else(|| self.gate.busy(limit))?;
        let mut phase = self.gate.phase();
        if let Phase::Idle { waiter_lives } = *phase {
            if let Some(entry) = self.gate.try_lock()? {
                return Ok(Turn { files: Locked::new(&self.gate, entry), _place: place });
            }
            if !waiter_lives {
                self.spawn_waiter()?;
            }
        }
        if !matches!(*phase, Phase::Settled(_)) {
            *phase = Phase::Asked { wanted: true };
            self.gate.changed.notify_all();
        }
        let outcome = self.gate.wait_until_settled(phase, deadline).ok_or_else(|| self.gate.busy(limit))?;
        outcome.map(|entry| Turn { files: Locked::new(&self.gate, entry), _place: place })
    }

    fn spawn_waiter(&self) -> Result<(), StoreError> {
        let gate = self.gate.clone();
        let thread = std::thread::Builder::new().name("keep-turnstile".into());
        thread.spawn(move || gate.wait_for_others()).map_err(|e| refused(&self.gate.path, &e))?;
        Ok(())
    }
}

impl Drop for Turnstile {
    fn drop(&mut self) {
        *self.gate.phase() = Phase::Closed;
        self.gate.changed.notify_all();
    }
}

impl Gate {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes both locks if nobody is in the way. If only `write.lock` is, `next.lock` stays taken: the waiting thread
    /// goes on from there.
    fn try_lock(&self) -> Result<Option<Entry>, StoreError> {
        let taken = |outcome: Result<(), TryLockError>| match outcome {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(e)) => {
                self.leave();
                Err(no_lock(&self.path, &e))
            }
        };
        let both = taken(self.next.try_lock())? && taken(self.write.try_lock())?;
        Ok(both.then(|| self.entered()))
    }

    /// As [`Gate::try_lock`], with patience. `next.lock` may be taken already, which is no obstacle.
    fn lock(&self) -> io::Result<Entry> {
        uninterrupted(|| self.next.lock())?;
        uninterrupted(|| self.write.lock())?;
        Ok(self.entered())
    }

    /// Lets the next one come up behind us, reads how the last one ended, and signs. A full disk must not stop here, only those who
    /// want to commit.
    fn entered(&self) -> Entry {
        let _ = self.next.unlock();
        let ending = Ending::read(&self.write);
        // The word for cutting says more than a number.
        let is_marked = ending == Ending::Cutting || mark::sign(&self.write).is_ok();
        Entry { ending, is_marked }
    }

    fn leave(&self) {
        // Closing the files would unlock them as well; there is nothing else to do if this fails.
        let _ = self.write.unlock();
        let _ = self.next.unlock();
    }

    /// The life of the waiting thread.
    fn wait_for_others(&self) {
        let mut phase = self.phase();
        loop {
            match *phase {
                Phase::Closed => return,
                Phase::Idle { .. } | Phase::Settled(_) => {
                    phase = self.changed.wait(phase).unwrap_or_else(PoisonError::into_inner);
                }
                Phase::Asked { .. } => {
                    drop(phase);
                    let outcome = self.lock().map_err(|e| no_lock(&self.path, &e));
                    phase = self.phase();
                    self.hand_over(&mut phase, outcome);
                }
            }
        }
    }

    /// Gives what the waiting thread got to the thread in front, or back if nobody wants it any more.
    fn hand_over(&self, phase: &mut Phase, outcome: Result<Entry, StoreError>) {
        let wanted = matches!(phase, Phase::Asked { wanted: true });
        match &outcome {
            Ok(_) if wanted => {}
            Ok(entry) => drop(Locked::new(self, *entry)),
            Err(_) => self.leave(),
        }
        if wanted {
            *phase = Phase::Settled(outcome);
            self.changed.notify_all();
        } else if matches!(phase, Phase::Asked { .. }) {
            *phase = Phase::Idle { waiter_lives: true };
        }
    }

    /// Waits for the waiting thread. `None`: the time is up; the waiting thread keeps the place in the line.
    fn wait_until_settled(
        &self,
        mut phase: MutexGuard<'_, Phase>,
        deadline: Instant,
    ) -> Option<Result<Entry, StoreError>> {
        loop {
            if matches!(*phase, Phase::Settled(_)) {
                let settled = std::mem::replace(&mut *phase, Phase::Idle { waiter_lives: true });
                let Phase::Settled(outcome) = settled else { return None };
                return Some(outcome);
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                *phase = Phase::Asked { wanted: false };
                return None;
            };
            phase = self.changed.wait_timeout(phase, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Who is in the way, as far as the lock file tells.
    fn busy(&self, limit: Duration) -> StoreError {
        let signed = std::fs::read_to_string(&self.path).unwrap_or_default();
        let who = match signed.trim().parse::<u32>() {
            Ok(pid) if pid == std::process::id() => format!("this process itself (pid {pid})"),
            Ok(pid) => format!("process {pid}"),
            Err(_) => "an unknown process".to_owned(),
        };
        StoreError::Busy(format!("{who} has been writing for {} s", limit.as_secs_f32()))
    }
}

/// A lock that fails instead of waiting does not exist here.
fn no_lock(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unsupported(format!("the file system does not lock {} ({error})", path.display()))
}

/// Repeats a blocking call that a signal interrupted.
fn uninterrupted(mut call: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn open_lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Somebody who waited too long gets the turn all the same, and gives it back: what the one before left word of is not lost.
    #[test]
    fn word_of_a_bad_end_outlives_those_who_do_not_write() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (Turnstile::open(dir.path()).unwrap(), Turnstile::open(dir.path()).unwrap());
        for ending in [Ending::Unsure, Ending::Cutting, Ending::Well] {
            let turn = one.enter(PATIENCE).unwrap();
            assert!(other.enter(Duration::from_millis(1)).is_err());
            turn.will_end(ending);
            drop(turn);
            let deadline = Instant::now() + PATIENCE;
            while matches!(*other.gate.phase(), Phase::Asked { .. }) {
                assert!(Instant::now() < deadline);
                std::thread::yield_now();
            }
            assert_eq!(Ending::read(&one.gate.write), ending);
            assert_eq!(other.enter(PATIENCE).unwrap().ending(), ending);
            assert_eq!(one.enter(PATIENCE).unwrap().ending(), ending);
        }
    }

    #[test]
    fn a_number_that_was_left_is_a_bad_end() {
        let dir = tempfile::tempdir().unwrap();
        let turnstile = Turnstile::open(dir.path()).unwrap();
        let turn = turnstile.enter(PATIENCE).unwrap();
        assert_eq!(turn.ending(), Ending::Well);
        turn.require_mark().unwrap();
        assert_eq!(Ending::read(&turnstile.gate.write), Ending::Unsure, "as long as it lasts");
        turn.announce(Ending::Cutting).unwrap();
        assert_eq!(Ending::read(&turnstile.gate.write), Ending::Cutting);
        turn.will_end(Ending::Well);
        drop(turn);
        assert_eq!(Ending::read(&turnstile.gate.write), Ending::Well);
        mark::sign(&turnstile.gate.write).unwrap();
        assert_eq!(turnstile.enter(PATIENCE).unwrap().ending(), Ending::Unsure);
        assert_eq!(turnstile.enter(PATIENCE).unwrap().ending(), Ending::Unsure, "until somebody sees to it");
    }
}
