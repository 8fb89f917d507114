//! Giving up a call that waits for a person or a bunker: whoever asked is gone, and so is the question.

use std::cell::RefCell;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keep_types::{ErrorCode, Fault};
use tokio::sync::Notify;

use crate::Keep;
use crate::daemon::Stream;

/// Ends the calls that a thread makes, from another thread. Where a daemon is asked, the connection is closed, and the daemon asks
/// nobody any more for whom nobody waits; where a bunker is, its answer is not waited for.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    state: Arc<Mutex<State>>,
    bell: Arc<Notify>,
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

    /// Ends them: those at a daemon fail as if it had gone, others as given up.
    pub fn give_up(&self) {
        let mut state = self.state();
        state.given_up = true;
        if let Some(stream) = state.stream.take() {
            stream.close();
        }
        drop(state);
        self.bell.notify_waiters();
    }

    /// Whether somebody has.
    pub fn is_given_up(&self) -> bool {
        self.state().given_up
    }

    async fn given_up(&self) {
        loop {
            let bell = self.bell.notified();
            if self.is_given_up() {
                return;
            }
            bell.await;
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

fn current() -> Option<Interrupt> {
    CURRENT.with_borrow(Clone::clone)
}

/// Whether the thread's calls were given up.
pub(crate) fn is_given_up() -> bool {
    current().is_some_and(|current| current.is_given_up())
}

/// Returns when the calls are given up that the thread makes which asks for this; never, if nobody can.
pub(crate) fn given_up() -> impl Future<Output = ()> + Send {
    let current = current();
    async move {
        match current {
            Some(current) => current.given_up().await,
            None => std::future::pending().await,
        }
    }
}

/// The outcome of `work`, as long as the thread's calls are not given up.
pub(crate) fn wanted<T>(
    work: impl Future<Output = Result<T, Fault>>,
) -> impl Future<Output = Result<T, Fault>> {
    let given_up = given_up();
    async move {
        tokio::select! {
            biased;
            () = given_up => Err(unwanted()),
            outcome = work => outcome,
        }
    }
}

/// Why there is no answer: nobody waits for one.
pub(crate) fn unwanted() -> Fault {
    Fault::new(ErrorCode::RefusedByPerson, "the call was given up before it was answered")
        .with_hint("what was asked for already may still be decided there; its answer is not used")
}

/// Makes a call over this connection, which the thread's interrupt ends if it has one.
pub(crate) fn watched<T>(keep: &Keep, call: impl FnOnce() -> T) -> T {
    let Some(current) = current() else { return call() };
    current.watch(keep);
    let result = call();
    drop(current.state().stream.take());
    result
}
