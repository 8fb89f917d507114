//! Waiting for a job: first for its decision, then for its record.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;

use futures_channel::oneshot;

use crate::{Committed, VaultError};

/// A submitted job. The decision comes from inside the lock, the record when it is durable; between the two, work can
/// be done that needs no record to begin (an ordinary signature).
///
/// The `wait` forms block the thread; the writer is a thread of its own, so they may be called anywhere.
#[derive(Debug)]
#[must_use = "a job runs whether or not it is waited for, but its outcome is lost"]
pub struct Pending<T> {
    pub(crate) decided: oneshot::Receiver<Result<T, VaultError>>,
    pub(crate) committed: oneshot::Receiver<Result<Committed, VaultError>>,
}

/// The record of a decided job, on its way.
#[derive(Debug)]
#[must_use = "without its record nothing is released"]
pub struct Recording(oneshot::Receiver<Result<Committed, VaultError>>);

impl<T> Pending<T> {
    /// The decision.
    ///
    /// # Errors
    /// What the job returned, or why the batch could not run.
    pub async fn decided(self) -> Result<(T, Recording), VaultError> {
        match self.decided.await {
            Ok(decision) => Ok((decision?, Recording(self.committed))),
            Err(_) => Err(failed_before_decision(self.committed.await)),
        }
    }

    /// As [`decided`](Self::decided), blocking.
    ///
    /// # Errors
    /// As there.
    pub fn wait_decided(self) -> Result<(T, Recording), VaultError> {
        match block_on(self.decided) {
            Ok(decision) => Ok((decision?, Recording(self.committed))),
            Err(_) => Err(failed_before_decision(block_on(self.committed))),
        }
    }

    /// The decision and its record, blocking.
    ///
    /// # Errors
    /// What the job returned, or why it could not be committed.
    pub fn wait(self) -> Result<(T, Committed), VaultError> {
        let (value, recording) = self.wait_decided()?;
        Ok((value, recording.wait()?))
    }
}

impl Recording {
    /// The record, when it is durable.
    ///
    /// # Errors
    /// Why it could not be committed; then nothing of the job remains.
    pub async fn committed(self) -> Result<Committed, VaultError> {
        self.0.await.unwrap_or(Err(VaultError::Closed))
    }

    /// As [`committed`](Self::committed), blocking.
    ///
    /// # Errors
    /// As there.
    pub fn wait(self) -> Result<Committed, VaultError> {
        block_on(self.0).unwrap_or(Err(VaultError::Closed))
    }
}

fn failed_before_decision(committed: Result<Result<Committed, VaultError>, oneshot::Canceled>) -> VaultError {
    match committed {
        Ok(Err(error)) => error,
        Ok(Ok(_)) | Err(_) => VaultError::Closed,
    }
}

/// Waits on this thread, without a runtime and also inside one.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
