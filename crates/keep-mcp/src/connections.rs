//! The connections of the HTTP server: bounded, and nobody can keep its clients out by holding them.
//!
//! Every program of the machine can connect. Until a connection has shown the bearer token it is a stranger's, and the
//! oldest of those makes room for the next.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// How many connections of strangers there may be at a time.
const MAX_STRANGERS: usize = 64;
/// How many connections of clients.
const MAX_CLIENTS: usize = 128;

/// The open connections.
pub struct Connections {
    strangers: Mutex<Strangers>,
    clients: Arc<Semaphore>,
}

#[derive(Default)]
struct Strangers {
    /// The oldest first.
    open: VecDeque<(u64, AbortHandle)>,
    next: u64,
}

impl Default for Connections {
    fn default() -> Self {
        Self { strangers: Mutex::default(), clients: Arc::new(Semaphore::new(MAX_CLIENTS)) }
    }
}

impl Connections {
    /// Serves a connection, as a stranger's until [`Known::is_client`] is asked.
    pub fn admit<F>(self: &Arc<Self>, attend: impl FnOnce(Known) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut strangers = self.strangers();
        let number = strangers.next;
        strangers.next += 1;
        let known = Known { connections: Arc::clone(self), number, place: Mutex::default() };
        let task = tokio::spawn(attend(known)).abort_handle();
        strangers.open.push_back((number, task));
        let is_too_many = strangers.open.len() > MAX_STRANGERS;
        let oldest = is_too_many.then(|| strangers.open.pop_front()).flatten();
        drop(strangers);
        if let Some((_, oldest)) = oldest {
            oldest.abort();
        }
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, number: u64) {
        self.strangers().open.retain(|(open, _)| *open != number);
    }
}

/// What is known of one connection.
pub struct Known {
    connections: Arc<Connections>,
    number: u64,
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Known {
    /// Notes that the connection has shown the token. `false` when there are too many that have.
    pub fn is_client(&self) -> bool {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            *place = Arc::clone(&self.connections.clients).try_acquire_owned().ok();
            if place.is_some() {
                self.connections.forget(self.number);
            }
        }
        place.is_some()
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.connections.forget(self.number);
    }
}
