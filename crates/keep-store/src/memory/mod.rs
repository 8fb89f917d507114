//! A store in memory, which may keep itself in a log.

mod codec;
mod data;
mod log;
mod room;
mod tx;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::StoreError;
use crate::queue::Queue;
use crate::store::{ReadWork, Store, WriteWork};

use data::{Changes, Data};
use tx::{MemoryRead, MemoryWrite};

pub use log::{ChangeLog, changes_header};
pub use room::Room;

/// How long a writer waits for its turn, as long as with a database on disk.
const WAIT: Duration = Duration::from_secs(10);

/// A vault's rows in the memory of this process: the semantics of every other store, durable only with a
/// [log](Self::with_log).
///
/// ```
/// use keep_store::{MemoryStore, Store};
///
/// let store = MemoryStore::new();
/// store.write(&mut |tx| tx.set_head(b"sealed head"))?;
/// store.read(&mut |tx| Ok(assert_eq!(tx.head()?.as_deref(), Some(&b"sealed head"[..]))))?;
/// # Ok::<(), keep_store::StoreError>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    own: Own,
}

/// What all handles of one vault share.
#[derive(Default)]
struct Shared {
    line: Queue,
    state: Mutex<State>,
    /// Where the changes are kept, if not in memory alone.
    log: Option<Mutex<Box<dyn ChangeLog>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Shared {
    /// The state now. Whoever holds it sees no later commit.
    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes changes durable, if there is a log.
    fn keep(&self, base: &Arc<Data>, changes: &Changes) -> Result<(), StoreError> {
        let Some(log) = &self.log else { return Ok(()) };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        room::admit(base.size(), base.size_after(changes), log.capacity())?;
        log.commit(&codec::encode_changes(changes), &|| {
            let mut after = Data::clone(base);
            after.apply(changes.clone());
            codec::encode_everything(&after)
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let data = self.state().data;
        if let Some(log) = &mut self.log {
            let log = log.get_mut().unwrap_or_else(PoisonError::into_inner);
            log.close(&|| codec::encode_everything(&data));
        }
    }
}

#[derive(Debug, Default, Clone)]
struct State {
    data: Arc<Data>,
    commits: u64,
}

/// What one handle knows, to tell its own commits from those of others.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// How many commits were this handle's own.
    commits: AtomicU64,
    /// The commits of others when this handle last asked, plus one; zero before it ever asked.
    seen: AtomicU64,
}

impl MemoryStore {
    /// A new, empty vault.
    pub fn new() -> Self {
        Self::default()
    }

    /// The vault that `kept` makes: everything as a log was once given it, then the changes since, in order. What is
    /// written from now on goes to `log`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when `kept` does not read.
    pub fn with_log<B: AsRef<[u8]>>(
        kept: impl IntoIterator<Item = B>,
        log: impl ChangeLog,
    ) -> Result<Self, StoreError> {
        let state = Mutex::new(State { data: Data::replay(kept)?, commits: 0 });
        let shared = Shared { line: Queue::default(), state, log: Some(Mutex::new(Box::new(log))) };
        Ok(Self { shared: Arc::new(shared), own: Own::default() })
    }

    /// How full the store is, if its log has a fixed size.
    pub fn room(&self) -> Option<Room> {
        let log = self.shared.log.as_ref()?;
        let size = self.shared.state().data.size();
        Some(Room {
            used: size.total(),
            log: size.log,
            capacity: log.lock().unwrap_or_else(PoisonError::into_inner).capacity(),
        })
    }

    /// Another handle on the same rows, as another process would have one.
    #[must_use]
    pub fn another_handle(&self) -> Self {
        Self { shared: self.shared.clone(), own: Own::default() }
    }
}

impl Store for MemoryStore {
    fn read(&self, work: ReadWork<'_>) -> Result<(), StoreError> {
        work(&MemoryRead { data: &self.shared.state().data })
    }

    fn write(&self, work: WriteWork<'_>) -> Result<(), StoreError> {
        let _turn =
            self.shared.line.wait(WAIT).ok_or_else(|| StoreError::Busy("this process itself".into()))?;
        let before = self.shared.state();
        let others = before.commits - self.own.commits.load(Ordering::Relaxed);
        let mut tx = MemoryWrite::new(&before.data, others, self.own.seen.load(Ordering::Relaxed));
        work(&mut tx)?;
        let (changes, seen) = tx.finish();
        if changes.is_empty() {
            self.own.seen.store(seen, Ordering::Relaxed);
            return Ok(());
        }
        self.shared.keep(&before.data, &changes)?;
        self.own.seen.store(seen, Ordering::Relaxed);
        // Without our own view of it, and if no reader holds one, the data is changed in place.
        drop(before);
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut state.data).apply(changes);
        state.commits += 1;
        self.own.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn wipe_leftovers(&self) -> Result<(), StoreError> {
        let Some(log) = &self.shared.log else { return Ok(()) };
        let _turn =
            self.shared.line.wait(WAIT).ok_or_else(|| StoreError::Busy("this process itself".into()))?;
        let data = self.shared.state().data;
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.wipe(&|| codec::encode_everything(&data))
    }
}
