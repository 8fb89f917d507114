//! Copying the write-ahead log into the database, outside the path of commits.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB};

use super::connect::Connector;
use super::fault::translate;
use super::turnstile::Turnstile;
use crate::StoreError;

/// How long the last step may wait for the writers' turnstile before it is left to the next time.
const PATIENCE: Duration = Duration::from_secs(2);
/// So few pages are copied while writers wait.
const REST: i32 = 200;
/// How often to try to get down to the rest before giving up on it.
const ROUNDS: usize = 4;

/// How far the log is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Pages in the log.
    pub(super) logged: i32,
    /// Pages of these that are in the database.
    pub(super) copied: i32,
}

/// A thread that copies the log when it has grown long. It starts when first needed: a short command never needs it.
#[derive(Debug)]
pub(super) struct Checkpointer {
    limit: u32,
    /// The length of the log at which to act next.
    act_at: AtomicU32,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    connector: Connector,
    turnstile: Arc<Turnstile>,
    wish: Mutex<Wish>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Nothing,
    Checkpoint,
    End,
}

impl Checkpointer {
    pub(super) fn new(limit: u32, connector: Connector, turnstile: Arc<Turnstile>) -> Self {
        let shared =
            Shared { connector, turnstile, wish: Mutex::new(Wish::Nothing), changed: Condvar::new() };
        Self { limit, act_at: AtomicU32::new(limit), shared: Arc::new(shared), thread: Mutex::default() }
    }

    /// Takes note of the log's length after a commit.
    pub(super) fn note(&self, logged: u32) {
        let act_at = self.act_at.load(Ordering::Relaxed);
        if logged < act_at {
            // The log has started anew, or has not grown to the limit yet.
            self.act_at
                .store(act_at.min(logged.saturating_add(self.limit)).max(self.limit), Ordering::Relaxed);
            return;
        }
        // A reader of an old view may keep the log from starting anew. Then once per so many pages is often enough.
        self.act_at.store(logged.saturating_add(self.limit / 2), Ordering::Relaxed);
        let mut wish = self.shared.wish();
        if *wish == Wish::Nothing {
            *wish = Wish::Checkpoint;
            self.shared.changed.notify_all();
        }
        drop(wish);
        self.start();
    }

    fn start(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = self.shared.clone();
            // Without a thread the log only grows longer; the next commit tries again.
            *thread =
                std::thread::Builder::new().name("keep-checkpoint".into()).spawn(move || shared.run()).ok();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        *self.shared.wish() = Wish::End;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic of the thread was already reported by it.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn wish(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of the thread.
    fn run(&self) {
        let mut conn = None;
        while self.wait_for_wish() {
            if let Err(error) = self.checkpoint(&mut conn) {
                // Nothing is lost: the log holds it all. A commit will tell if the disk is really full or broken.
                tracing::warn!(%error, "the write-ahead log could not be copied into the database");
                conn = None;
            }
        }
    }

    /// Says whether to go on.
    fn wait_for_wish(&self) -> bool {
        let mut wish = self.wish();
        loop {
            match *wish {
                Wish::End => return false,
                Wish::Checkpoint => {
                    *wish = Wish::Nothing;
                    return true;
                }
                Wish::Nothing => wish = self.changed.wait(wish).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn checkpoint(&self, conn: &mut Option<Connection>) -> Result<(), StoreError> {
        let conn = match conn {
            Some(conn) => conn,
            None => conn.insert(self.connector.connect()?),
        };
        let copy = |conn: &Connection| copy_log(conn).map_err(|e| translate(self.connector.path(), &e));
        for _ in 0..ROUNDS {
            let Some(progress) = copy(conn)? else { return Ok(()) };
            if progress.logged - progress.copied <= REST {
                break;
            }
        }
        // Commits go on meanwhile, so the log would never be copied to its very end, and only then does it start anew.
        match self.turnstile.enter(PATIENCE) {
            Ok(_turn) => copy(conn).map(drop),
            Err(StoreError::Busy(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Copies as much as readers allow. `None`: another process is at it.
pub(super) fn copy_log(conn: &Connection) -> rusqlite::Result<Option<Progress>> {
    match conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::PASSIVE) {
        Ok((logged, copied)) => Ok(Some(Progress { logged, copied })),
        Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(None),
        Err(e) => Err(e),
    }
}
