//! Giving up a call that waits for a person: whoever asked is gone, and so is the question.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Keep;
use crate::daemon::Stream;

/// Ends the calls that a thread makes of a daemon, from another thread. The connection is closed, and the daemon asks nobody
/// any more for whom nobody waits.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    given_up: bool,
    stream: Option<Stream>,
}

thread_local! {
    static CURRENT: RefCell<Option<Interrupt>> = const { RefCell::new(None) };
}

impl Interrupt {
    /// Makes calls that [`give_up`](Self::give_up) ends.
    pub fn during<T>(&self, calls: impl FnOnce() -> T) -> T {
        let _before = Before(CURRENT.replace(Some(self.clone())));
        calls()
    }

    /// Ends them: they fail as if the daemon had gone.
    pub fn give_up(&self) {
        let mut state = self.state();
        state.given_up = true;
        if let Some(stream) = state.stream.take() {
            stream.close();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, keep: &Keep) {
        self.state().stream = keep.stream();
        if self.state().given_up {
            self.give_up();
        }
    }
}

/// What was current before, also where a call panics.
struct Before(Option<Interrupt>);

impl Drop for Before {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Makes a call over this connection, which the thread's interrupt ends if it has one.
pub(super) fn watched<T>(keep: &Keep, call: impl FnOnce(&Keep) -> T) -> T {
    let Some(current) = CURRENT.with_borrow(Clone::clone) else { return call(keep) };
    current.watch(keep);
    let result = call(keep);
    drop(current.state().stream.take());
    result
}
