//! A store in memory.

mod data;
mod tx;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::StoreError;
use crate::queue::Queue;
use crate::store::{ReadWork, Store, WriteWork};

use data::Data;
use tx::{MemoryRead, MemoryWrite};

/// How long a writer waits for its turn, as long as with a database on disk.
const WAIT: Duration = Duration::from_secs(10);

/// A vault's rows in the memory of this process: the semantics of every other store, without durability.
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
#[derive(Debug, Default)]
struct Shared {
    line: Queue,
    state: Mutex<State>,
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

    /// Another handle on the same rows, as another process would have one.
    #[must_use]
    pub fn another_handle(&self) -> Self {
        Self { shared: self.shared.clone(), own: Own::default() }
    }

    /// The state now. Whoever holds it sees no later commit.
    fn state(&self) -> State {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Store for MemoryStore {
    fn read(&self, work: ReadWork<'_>) -> Result<(), StoreError> {
        work(&MemoryRead { data: &self.state().data })
    }

    fn write(&self, work: WriteWork<'_>) -> Result<(), StoreError> {
        let _turn =
            self.shared.line.wait(WAIT).ok_or_else(|| StoreError::Busy("this process itself".into()))?;
        let before = self.state();
        let others = before.commits - self.own.commits.load(Ordering::Relaxed);
        let mut tx = MemoryWrite::new(&before.data, others, self.own.seen.load(Ordering::Relaxed));
        work(&mut tx)?;
        let (changes, seen) = tx.finish();
        self.own.seen.store(seen, Ordering::Relaxed);
        if changes.is_empty() {
            return Ok(());
        }
        // Without our own view of it, and if no reader holds one, the data is changed in place.
        drop(before);
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut state.data).apply(changes);
        state.commits += 1;
        self.own.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
