//! The daemon's side of the socket.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use keep_audit::{Action, Draft, Outcome};
use keep_signer::{Approver, Headless};
use keep_types::{ErrorCode, Fault, Origin, Timestamp};
use keep_vault::Which;

use super::choice::{self, Choice};
use super::connections::Connections;
use super::lock::{Opening, locked_meanwhile};
use super::place::Place;
use super::protocol::Extend;
use super::session;
use super::system;
use super::transport::{Listener, Stream};
use super::watch::{Ended, Limits, Watches};
use crate::call::{Caller, Host};
use crate::{DaemonStatus, Keep};

/// How often the watches are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Looks between two checks of the whole vault.
const VERIFY_EVERY: u32 = 1200;
/// How long calls that run may go on once the vault is to be locked.
const GRACE: Duration = Duration::from_secs(5);

/// How a daemon behaves.
#[derive(Default)]
pub struct DaemonOptions {
    /// How long until it locks, whatever happens; for ever without it.
    pub lifetime: Option<Duration>,
    /// Whether a sleep of the machine locks it.
    pub sleep_locks: bool,
    /// Whether a person is asked about each use of a secret over the socket.
    pub confirm: bool,
    /// Whether a bunker serves in the same process.
    pub serving: bool,
    /// Whether a program started it again, as the owner had unlocked it last.
    pub again: bool,
    /// Whether the owner unlocked it, after which programs may do so again, and choose as was chosen.
    pub frees: bool,
    /// The unlock that this is the end of.
    pub opening: Option<Opening>,
    /// Who is asked; nobody without it.
    pub approver: Option<Arc<dyn Approver>>,
}

impl std::fmt::Debug for DaemonOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DaemonOptions").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// An unlocked vault that other processes of the user reach through a socket. [`Daemon::stop`] ends that.
pub struct Daemon {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held for as long as this daemon is the vault's only one.
    _lock: File,
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daemon").field("socket", &self.shared.place.socket()).finish_non_exhaustive()
    }
}

/// Ends a daemon from another thread.
#[derive(Clone)]
pub struct Trigger(Arc<Ending>);

impl std::fmt::Debug for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trigger")
    }
}

/// Waits for the end of a daemon without holding its vault.
#[derive(Debug)]
pub struct Waiting(Arc<Ending>);

impl Waiting {
    /// Waits.
    pub fn wait(&self) -> Ended {
        self.0.wait()
    }
}

/// Why a daemon is to end, once it is.
#[derive(Debug, Default)]
struct Ending {
    said: Mutex<Option<Ended>>,
    changed: Condvar,
}

impl Ending {
    fn said(&self) -> MutexGuard<'_, Option<Ended>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, why: Ended) -> Ended {
        let first = *self.said().get_or_insert(why);
        self.changed.notify_all();
        first
    }

    fn wait(&self) -> Ended {
        let mut said = self.said();
        loop {
            if let Some(why) = *said {
                return why;
            }
            said = self.changed.wait(said).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wait_for(&self, time: Duration) -> Option<Ended> {
        let said = self.said();
        if said.is_some() {
            return *said;
        }
        *self.changed.wait_timeout(said, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Trigger {
    /// Ends it.
    pub fn lock(&self) {
        self.0.end(Ended::Asked);
    }
}

/// What the threads of a daemon share.
pub(super) struct Shared {
    host: Host,
    place: Place,
    /// Device and number of the vault's database.
    database: Option<(u64, u64)>,
    since: Timestamp,
    serving: bool,
    approver: Arc<dyn Approver>,
    confirm: AtomicBool,
    /// Whether the owner asked for the end.
    by_hand: AtomicBool,
    limits: Mutex<Limits>,
    ending: Arc<Ending>,
    connections: Connections,
    next: AtomicU64,
    /// Calls that run.
    busy: AtomicU64,
    /// Threads that serve connections.
    attending: AtomicU64,
    /// Those who asked for the end. They hear of it when everything is over.
    farewell: Mutex<Vec<Stream>>,
}

/// Tells those who asked a daemon to lock that it is done, when it is dropped. Drop the vault before.
#[derive(Debug)]
pub struct Farewell {
    _waiting: Vec<Stream>,
}

impl Daemon {
    /// Opens the socket of the vault that `keep` has unlocked in this process.
    ///
    /// # Errors
    /// [`ErrorCode::StorageBusy`] when another process holds this vault for others; when the socket's place is not safe.
    pub fn start(keep: &Keep, options: DaemonOptions) -> Result<Self, Fault> {
        let host = keep.host()?.for_caller(Caller::Owner);
        let place = Place::of(host.home());
        place.prepare()?;
        let lock = place.lock()?.ok_or_else(another)?;
        place.clear()?;
        let listener = Listener::bind(&place)?;
        // Whoever locks it says that first and then looks for the socket: either it is seen here, or the socket there.
        if let Err(fault) = settle(&place, &host, &options) {
            drop(listener);
            let _ = place.clear();
            return Err(fault);
        }
        let shared = Arc::new(Shared {
            database: identity(&host),
            since: host.now(),
            serving: options.serving,
            approver: options.approver.unwrap_or_else(|| Arc::new(Headless)),
            confirm: AtomicBool::new(options.confirm),
            by_hand: AtomicBool::new(false),
            limits: Mutex::new(Limits::new(Watches::read(), options.lifetime, options.sleep_locks)),
            ending: Arc::default(),
            connections: Connections::default(),
            next: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            attending: AtomicU64::new(0),
            farewell: Mutex::default(),
            host,
            place,
        });
        let entry = Draft::new(Action::SessionOpened, Outcome::Allowed, &Origin::Cli);
        let how = match (shared.serving, options.again) {
            (true, _) => "serve",
            (false, true) => "unlocked again by a program",
            (false, false) => "unlock",
        };
        shared.host.record(entry.reason(how))?;
        let mut daemon = Self { shared, threads: Vec::new(), _lock: lock };
        let (accepting, watching) = (Arc::clone(&daemon.shared), Arc::clone(&daemon.shared));
        daemon.spawn("accept", move || accept(&accepting, &listener))?;
        daemon.spawn("watch", move || watch(&watching))?;
        Ok(daemon)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads.push(thread.map_err(|error| no_thread(&error))?);
        Ok(())
    }

    /// Ends it from elsewhere.
    pub fn trigger(&self) -> Trigger {
        Trigger(Arc::clone(&self.shared.ending))
    }

    /// How it is.
    pub fn status(&self) -> DaemonStatus {
        self.shared.status()
    }

    /// Waits until it is to end.
    pub fn wait(&self) -> Ended {
        self.shared.ending.wait()
    }

    /// As [`wait`](Self::wait), for another thread.
    pub fn ended(&self) -> Waiting {
        Waiting(Arc::clone(&self.shared.ending))
    }

    /// Closes the socket and all connections, and records it. The vault is locked when the last [`Keep`] is dropped; then
    /// drop the result.
    #[must_use = "dropped when the vault is locked"]
    pub fn stop(mut self) -> Farewell {
        let shared = Arc::clone(&self.shared);
        let why = shared.end(Ended::Asked);
        // Wakes the thread that waits for connections.
        Listener::wake(&shared.place);
        let _ = shared.place.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        wait_for(&shared.busy);
        shared.connections.close_all();
        wait_for(&shared.attending);
        let entry = Draft::new(Action::SessionEnded, Outcome::Allowed, &Origin::Cli).reason(why.as_str());
        let by_hand = shared.by_hand.load(Ordering::Acquire);
        let recorded = shared.host.vault().submit(move |tx| {
            if by_hand {
                Choice::change_in(tx, |choice| choice.locked = true)?;
            }
            tx.audit(entry);
            Ok(())
        });
        if let Err(error) = recorded.wait() {
            tracing::warn!(%error, "the end of the session could not be recorded");
        }
        if by_hand {
            // It may have been said before the note of an earlier lock was taken away.
            let _ = shared.place.note_locked();
        }
        let waiting = std::mem::take(&mut *shared.farewell.lock().unwrap_or_else(PoisonError::into_inner));
        Farewell { _waiting: waiting }
    }
}

/// Makes sure that it is still wanted, and notes what the owner wants by unlocking it.
fn settle(place: &Place, host: &Host, options: &DaemonOptions) -> Result<(), Fault> {
    if options.opening.as_ref().is_some_and(|opening| !opening.stands()) {
        choice::record_refusal(host)?;
        // What the vault itself knows outlasts a restart of the machine.
        Choice::change(host, |choice| choice.locked = true)?;
        return Err(locked_meanwhile());
    }
    if options.again {
        expect_wanted(place, host)?;
    }
    if options.frees {
        let confirm = options.confirm;
        Choice::change(host, move |choice| *choice = Choice { confirm, locked: false })?;
        // A hidden vault leaves the note, or its absence would tell that another vault was unlocked than the one that was locked.
        if host.vault().which() == Which::Outer {
            place.forget_locked()?;
        }
    }
    Ok(())
}

/// The owner may have locked it while the key was derived.
fn expect_wanted(place: &Place, host: &Host) -> Result<(), Fault> {
    if place.is_noted_locked()? {
        return Err(choice::locked_by_hand());
    }
    choice::expect_wanted(host).map(drop)
}

/// Waits until nothing is counted, but not for ever.
fn wait_for(count: &AtomicU64) {
    let began = Instant::now();
    while count.load(Ordering::Acquire) > 0 && began.elapsed() < GRACE {
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Shared {
    pub(super) const fn host(&self) -> &Host {
        &self.host
    }

    /// Whether a person confirms each use.
    pub(super) fn confirms(&self) -> bool {
        self.confirm.load(Ordering::Acquire)
    }

    /// The vault as a connection of the owner sees it.
    pub(super) fn owner(&self) -> Host {
        let caller =
            if self.confirms() { Caller::Confirmed(Arc::clone(&self.approver)) } else { Caller::Owner };
        self.host.for_caller(caller)
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.said().is_some()
    }

    /// Says that it is to end, unless that was said before; gives the first reason.
    pub(super) fn end(&self, why: Ended) -> Ended {
        self.ending.end(why)
    }

    /// Locks later or earlier, and asks from now on or no more. A bunker serves until it is told to stop. Only the owner comes
    /// here: that it was locked by hand before is over. A hidden vault leaves the note of that alone.
    pub(super) fn extend(&self, asked: &Extend) -> Result<(), Fault> {
        if self.host.vault().which() == Which::Outer {
            self.place.forget_locked()?;
        }
        let Extend { seconds, forever, confirm } = *asked;
        if (seconds.is_some() || forever) && !self.serving {
            let lifetime = seconds.map(Duration::from_secs);
            self.limits().deadline = lifetime.map(|time| Watches::read().with_sleep.saturating_add(time));
        }
        if let Some(confirm) = confirm {
            self.confirm.store(confirm, Ordering::Release);
        }
        Ok(())
    }

    /// Locks if the vault that is held is no longer the one at its place: it was deleted or replaced.
    pub(super) fn check_place(&self) -> bool {
        let same = identity(&self.host) == self.database;
        if !same {
            self.end(Ended::Gone);
        }
        same
    }

    pub(super) fn status(&self) -> DaemonStatus {
        // Full seconds, rounded up: what was just unlocked for a minute has a minute left.
        let left = self.limits().left(Watches::read());
        let left = left.map(|left| {
            Duration::from_secs(left.saturating_add(Duration::from_nanos(999_999_999)).as_secs())
        });
        DaemonStatus {
            unlocked: true,
            pid: Some(std::process::id()),
            since: Some(self.since.to_string()),
            locks_at: left.map(|left| self.host.now().plus(left).to_string()),
            locks_in_seconds: left.map(|left| left.as_secs()),
            confirm: self.confirm.load(Ordering::Acquire),
            serving: self.serving,
            connections: self.connections.count(),
        }
    }

    /// The owner asks for the end, after which nobody else is to unlock the vault.
    pub(super) fn lock_by_hand(&self) {
        self.by_hand.store(true, Ordering::Release);
    }

    /// Ends it for somebody who waits until it is over.
    pub(super) fn end_for(&self, stream: &Stream) {
        if let Ok(copy) = stream.try_clone() {
            self.farewell.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
        }
        self.end(Ended::Asked);
    }

    /// Marks a call as running for as long as the result lives.
    pub(super) fn busy(&self) -> Counted<'_> {
        Counted::new(&self.busy)
    }
}

/// Counts something for as long as it lives.
pub(super) struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Lets connections in. It looks up now and then: the socket, by which it could be woken, may have been removed.
fn accept(shared: &Arc<Shared>, listener: &Listener) {
    while !shared.is_ending() {
        match listener.accept(LOOK) {
            Ok(Some(stream)) if !shared.is_ending() => admit(shared, stream),
            Ok(Some(_) | None) => {}
            // Too many open files, most likely: others will be closed.
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn admit(shared: &Arc<Shared>, stream: Stream) {
    let number = shared.next.fetch_add(1, Ordering::Relaxed);
    if let Err(fault) = shared.connections.admit(number, &stream) {
        session::turn_away(stream, &fault);
        return;
    }
    let own = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("connection".to_owned()).spawn(move || {
        let _counted = Counted::new(&own.attending);
        session::attend(&own, number, stream);
        own.connections.remove(number);
    });
    if thread.is_err() {
        shared.connections.remove(number);
    }
}

fn watch(shared: &Arc<Shared>) {
    for looks in 1_u32.. {
        if shared.ending.wait_for(LOOK).is_some() {
            return;
        }
        let due = shared.limits().check(Watches::read());
        if let Some(why) = due {
            shared.end(why);
        } else if shared.check_place() && looks % VERIFY_EVERY == 0 {
            shared.host.note_revision();
            let vault = Arc::clone(shared.host.vault());
            // The signer asks the vault for what this finds, with each request. Nobody waits for it.
            let _ = std::thread::Builder::new()
                .spawn(move || vault.verify().map_err(|error| tracing::error!(%error)));
        }
    }
}

fn identity(host: &Host) -> Option<(u64, u64)> {
    std::fs::metadata(host.home().database()).ok().map(|found| system::identity(&found))
}

fn another() -> Fault {
    Fault::new(ErrorCode::StorageBusy, "another process holds this vault unlocked already")
        .with_hint("see `keep status`; `keep lock` ends it")
}

fn no_thread(error: &std::io::Error) -> Fault {
    Fault::new(ErrorCode::Bug, format!("the system gives no thread: {error}"))
}
