//! The writer thread: jobs that wait together are committed together, and every job is answered.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use keep_store::conformance::{id, row};
use keep_store::{Closed, Ledger, MemoryStore, ReadWork, Store, StoreError, WriteTx, WriteWork, Writer};

/// A job counts one up, fails for its own reasons, or brings the whole batch down.
enum Task {
    Count,
    FailAlone,
    FailAll,
    PanicInside,
    PanicAfter,
}

type Answer = Result<u64, String>;

struct Job {
    task: Task,
    answer: Sender<Answer>,
}

/// Counts, and remembers how large the batches were.
#[derive(Default)]
struct Counter {
    batches: Arc<Mutex<Vec<usize>>>,
    waiting: Vec<(Sender<Answer>, Answer)>,
    panic_after: bool,
}

impl Ledger for Counter {
    type Job = Job;

    fn apply(&mut self, tx: &mut dyn WriteTx, jobs: Vec<Job>) -> Result<(), StoreError> {
        self.batches.lock().unwrap().push(jobs.len());
        let stored = tx.get(1, &id(1))?.map(|row| row.sealed);
        let mut count = stored.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
        for job in jobs {
            let answer = match job.task {
                Task::Count => {
                    count += 1;
                    Ok(count)
                }
                Task::FailAlone => Err("refused".into()),
                Task::FailAll => {
                    self.waiting.push((job.answer, Err("the batch".into())));
                    tx.put(&row(1, 1, &u64::MAX.to_be_bytes()))?;
                    return Err(StoreError::Full);
                }
                Task::PanicInside => std::panic::resume_unwind(Box::new("inside the lock")),
                Task::PanicAfter => {
                    self.panic_after = true;
                    Ok(count)
                }
            };
            self.waiting.push((job.answer, answer));
        }
        tx.put(&row(1, 1, &count.to_be_bytes()))
    }

    fn settle(&mut self, outcome: Result<(), StoreError>) {
        if self.panic_after {
            std::panic::resume_unwind(Box::new("after the commit"));
        }
        for (sender, answer) in self.waiting.drain(..) {
            let answer = outcome.clone().map_err(|e| e.to_string()).and(answer);
            let _ = sender.send(answer);
        }
    }

    fn refuse(&mut self, jobs: Vec<Job>, error: &StoreError) {
        for job in jobs {
            let _ = job.answer.send(Err(error.to_string()));
        }
    }
}

fn submit(writer: &Writer<Job>, task: Task) -> Receiver<Answer> {
    let (answer, receiver) = channel();
    writer.submit(Job { task, answer }).unwrap();
    receiver
}

fn wait(receiver: &Receiver<Answer>) -> Result<Answer, RecvTimeoutError> {
    receiver.recv_timeout(Duration::from_secs(10))
}

fn counted(store: &dyn Store) -> u64 {
    let mut count = 0;
    let read = |bytes: Vec<u8>| u64::from_be_bytes(bytes.try_into().unwrap());
    store
        .read(&mut |tx| {
            count = tx.get(1, &id(1))?.map_or(0, |row| read(row.sealed));
            Ok(())
        })
        .unwrap();
    count
}

/// A store whose writers stop at a gate before they get their turn, and which can refuse.
struct Gated {
    store: MemoryStore,
    gate: Barrier,
    refusals: AtomicUsize,
}

impl Gated {
    fn new(refusals: usize) -> Arc<Self> {
        Arc::new(Self { store: MemoryStore::new(), gate: Barrier::new(2), refusals: refusals.into() })
    }
}

impl Store for Gated {
    fn read(&self, work: ReadWork<'_>) -> Result<(), StoreError> {
        self.store.read(work)
    }

    fn write(&self, work: WriteWork<'_>) -> Result<(), StoreError> {
        self.gate.wait();
        let less = |left: usize| left.checked_sub(1);
        if self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Err(StoreError::Busy("process 7".into()));
        }
        self.store.write(work)
    }
}

#[test]
fn jobs_that_wait_share_a_commit() {
    let store = Gated::new(0);
    let ledger = Counter::default();
    let batches = ledger.batches.clone();
    let writer = Writer::spawn(store.clone(), ledger).unwrap();
    let answers: Vec<_> = (0..300).map(|_| submit(&writer, Task::Count)).collect();
    store.gate.wait();
    store.gate.wait();
    let numbers: Vec<u64> = answers.iter().map(|answer| wait(answer).unwrap().unwrap()).collect();
    assert_eq!(numbers, (1..=300).collect::<Vec<_>>());
    assert_eq!(
        *batches.lock().unwrap(),
        [256, 44],
        "jobs that come while the thread waits for its turn are taken along"
    );
}

#[test]
fn under_load_batches_grow_and_nothing_is_lost() {
    let store = Arc::new(MemoryStore::new());
    let ledger = Counter::default();
    let batches = ledger.batches.clone();
    let writer = Writer::spawn(store.clone(), ledger).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    wait(&submit(&writer, Task::Count)).unwrap().unwrap();
                }
            });
        }
    });
    assert_eq!(counted(&*store), 1_600);
    assert_eq!(batches.lock().unwrap().iter().sum::<usize>(), 1_600);
}

#[test]
fn a_job_that_fails_leaves_the_others_alone() {
    let store = Gated::new(0);
    let writer = Writer::spawn(store.clone(), Counter::default()).unwrap();
    let answers: Vec<_> =
        [Task::Count, Task::FailAlone, Task::Count].into_iter().map(|task| submit(&writer, task)).collect();
    store.gate.wait();
    let answers: Vec<Answer> = answers.iter().map(|answer| wait(answer).unwrap()).collect();
    assert_eq!(answers, [Ok(1), Err("refused".into()), Ok(2)]);
    assert_eq!(counted(&*store), 2);
}

#[test]
fn a_batch_that_fails_is_answered_and_the_next_one_goes_on() {
    let store = Gated::new(0);
    let writer = Writer::spawn(store.clone(), Counter::default()).unwrap();
    let (first, second) = (submit(&writer, Task::Count), submit(&writer, Task::FailAll));
    store.gate.wait();
    assert_eq!(wait(&first).unwrap(), Err("the disk is full".into()));
    assert_eq!(wait(&second).unwrap(), Err("the disk is full".into()));
    let third = submit(&writer, Task::Count);
    store.gate.wait();
    assert_eq!(wait(&third).unwrap(), Ok(1));
}

#[test]
fn jobs_without_a_transaction_are_refused_with_the_reason() {
    let store = Gated::new(1);
    let writer = Writer::spawn(store.clone(), Counter::default()).unwrap();
    let answers = [submit(&writer, Task::Count), submit(&writer, Task::Count)];
    store.gate.wait();
    for answer in &answers {
        assert_eq!(wait(answer).unwrap(), Err("another process holds the vault: process 7".into()));
    }
    let next = submit(&writer, Task::Count);
    store.gate.wait();
    assert_eq!(wait(&next).unwrap(), Ok(1));
}

#[test]
fn dropping_the_writer_finishes_what_was_submitted() {
    let store = Arc::new(MemoryStore::new());
    let writer = Writer::spawn(store.clone(), Counter::default()).unwrap();
    let answers: Vec<_> = (0..1_000).map(|_| submit(&writer, Task::Count)).collect();
    drop(writer);
    assert_eq!(counted(&*store), 1_000);
    assert!(answers.iter().all(|answer| answer.try_recv().unwrap().is_ok()));
}

/// A panic ends the thread. Nobody waits for ever: those who wait see their sender dropped, those who come are told.
#[test]
fn a_panic_reaches_everybody_who_waits() {
    for (task, committed) in [(Task::PanicInside, 1), (Task::PanicAfter, 2)] {
        let store = Gated::new(0);
        let writer = Writer::spawn(store.clone(), Counter::default()).unwrap();
        let before = submit(&writer, Task::Count);
        store.gate.wait();
        assert_eq!(wait(&before).unwrap(), Ok(1));
        let answers = [submit(&writer, Task::Count), submit(&writer, task), submit(&writer, Task::Count)];
        let more: Vec<_> = (0..400).map(|_| submit(&writer, Task::FailAlone)).collect();
        store.gate.wait();
        for answer in answers.iter().chain(&more) {
            assert_eq!(wait(answer), Err(RecvTimeoutError::Disconnected));
        }
        let (answer, _receiver) = channel();
        let mut job = Some(Job { task: Task::Count, answer });
        // The answers go while the thread unwinds, a moment before its end of the channel.
        while writer.submit(job.take().unwrap()) != Err(Closed) {
            std::thread::yield_now();
            job = Some(Job { task: Task::Count, answer: channel().0 });
        }
        // The lock is free, and what was committed before the panic stays.
        store.store.write(&mut |tx| tx.set_head(b"next")).unwrap();
        assert!(counted(&*store) >= committed);
    }
}
