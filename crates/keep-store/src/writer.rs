//! One writer thread per process: jobs that wait together are committed together.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::{Store, StoreError, WriteTx};

/// The meaning of jobs: what they do inside the lock, and whom to tell afterwards.
///
/// Each batch goes through exactly one of two ways: `apply`, then `settle`; or, if the store gives no transaction,
/// `refuse`. If a method panics, the thread ends: the ledger and every job not yet answered are dropped, and
/// [`Writer::submit`] answers [`Closed`] from then on. A job should therefore carry something that tells its submitter
/// when it is dropped, as the sender of a channel does.
pub trait Ledger: Send + 'static {
    /// What is submitted.
    type Job: Send + 'static;

    /// Runs a batch of jobs inside one exclusive transaction. A job that fails is answered by the ledger and must
    /// leave nothing behind in `tx`; an error here gives up the whole batch. Called again for the same batch never.
    ///
    /// # Errors
    /// When the batch as a whole cannot be committed.
    fn apply(&mut self, tx: &mut dyn WriteTx, jobs: Vec<Self::Job>) -> Result<(), StoreError>;

    /// Called once after each batch that was applied, when its commit is durable or has failed.
    fn settle(&mut self, outcome: Result<(), StoreError>);

    /// Called with the jobs that got no transaction, for example because another process holds the vault. Nothing was
    /// changed, and their submitters are to be told.
    fn refuse(&mut self, jobs: Vec<Self::Job>, error: &StoreError);
}

/// The writer thread has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the vault is closed")]
pub struct Closed;

/// The handle of a writer thread. Dropping it lets the thread finish what was submitted, then end, and waits for that.
#[derive(Debug)]
pub struct Writer<J> {
    jobs: Option<Sender<J>>,
    thread: Option<JoinHandle<()>>,
}

/// The most jobs in one transaction: enough to share a sync widely, few enough to keep the lock short.
const MAX_BATCH: usize = 256;

/// How often the thread steps back for more jobs: where others use the processor, each time may take milliseconds.
const MAX_STEPS_BACK: usize = 8;

impl<J: Send + 'static> Writer<J> {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn spawn(store: Arc<dyn Store>, ledger: impl Ledger<Job = J>) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("keep-writer".into())
            .spawn(move || run(&*store, ledger, &receiver))?;
        Ok(Self { jobs: Some(sender), thread: Some(thread) })
    }

    /// Hands a job over. Returns at once; the ledger answers.
    ///
    /// # Errors
    /// [`Closed`] when the thread has ended.
    pub fn submit(&self, job: J) -> Result<(), Closed> {
        self.jobs.as_ref().ok_or(Closed)?.send(job).map_err(|_| Closed)
    }
}

impl<J> Drop for Writer<J> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the writer was already reported by its own thread.
            let _ = thread.join();
        }
    }
}

fn run<L: Ledger>(store: &dyn Store, mut ledger: L, jobs: &Receiver<L::Job>) {
    while let Ok(first) = jobs.recv() {
        let mut waiting = Some(gather(first, jobs));
        let outcome = store.write(&mut |tx| match waiting.take() {
            Some(waiting) => ledger.apply(tx, with_late(waiting, jobs)),
            None => Err(StoreError::Io("a store ran one transaction twice".into())),
        });
        match (waiting, outcome) {
            (Some(waiting), Err(error)) => ledger.refuse(with_late(waiting, jobs), &error),
            (_, outcome) => ledger.settle(outcome),
        }
    }
}

/// The job that woke the thread, and those that come while it steps back for other threads: as long as any do, more
/// share the commit. Where nothing else wants to run, stepping back costs less than a microsecond.
fn gather<J>(first: J, jobs: &Receiver<J>) -> Vec<J> {
    let mut waiting = vec![first];
    for _ in 0..MAX_STEPS_BACK {
        let before = waiting.len();
        std::thread::yield_now();
        waiting = with_late(waiting, jobs);
        if waiting.len() == before {
            break;
        }
    }
    waiting
}

/// And those that have come since: also while the thread waited for its turn.
fn with_late<J>(mut waiting: Vec<J>, jobs: &Receiver<J>) -> Vec<J> {
    let room = MAX_BATCH.saturating_sub(waiting.len());
    waiting.extend(jobs.try_iter().take(room));
    waiting
}
