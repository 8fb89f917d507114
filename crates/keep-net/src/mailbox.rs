//! A bounded queue into a connection's task, for senders that must not wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;

/// Many senders, one task that polls.
pub(crate) struct Mailbox<T> {
    queue: Mutex<Queue<T>>,
    waker: AtomicWaker,
    closed: AtomicBool,
    /// Bumped by [`Mailbox::nudge`]: something outside the queue wants attention.
    version: AtomicU64,
    max_items: usize,
    max_weight: usize,
}

struct Queue<T> {
    items: VecDeque<(T, usize)>,
    weight: usize,
}

impl<T> Mailbox<T> {
    /// Holds at most `max_items`, together at most `max_weight` bytes.
    pub fn new(max_items: usize, max_weight: usize) -> Self {
        Self {
            queue: Mutex::new(Queue { items: VecDeque::new(), weight: 0 }),
            waker: AtomicWaker::new(),
            closed: AtomicBool::new(false),
            version: AtomicU64::new(1),
            max_items,
            max_weight,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues `item`, or gives it back when the mailbox is full or closed.
    pub fn push(&self, item: T, weight: usize) -> Result<(), T> {
        if self.is_closed() {
            return Err(item);
        }
        let mut queue = self.queue();
        if queue.items.len() >= self.max_items || queue.weight.saturating_add(weight) > self.max_weight {
            return Err(item);
        }
        queue.weight += weight;
        queue.items.push_back((item, weight));
        drop(queue);
        self.waker.wake();
        Ok(())
    }

    /// Moves up to `max` items out, under one lock.
    pub fn drain(&self, max: usize) -> Vec<T> {
        let mut queue = self.queue();
        let count = max.min(queue.items.len());
        let mut freed = 0;
        let taken = queue
            .items
            .drain(..count)
            .map(|(item, weight)| {
                freed += weight;
                item
            })
            .collect();
        queue.weight = queue.weight.saturating_sub(freed);
        taken
    }

    pub fn is_empty(&self) -> bool {
        self.queue().items.is_empty()
    }

    /// The polling task is to be woken by what comes from now on.
    pub fn register(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// Wakes the task for something outside the queue.
    pub fn nudge(&self) {
        self.version.fetch_add(1, Ordering::Release);
        self.waker.wake();
    }

    /// Changes with each [`Mailbox::nudge`].
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Takes nothing any more, and wakes the task to end.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_space_comes_back() {
        let mailbox = Mailbox::new(3, 10);
        assert!(mailbox.push('a', 4).is_ok() && mailbox.push('b', 4).is_ok());
        assert_eq!(mailbox.push('c', 4), Err('c'));
        assert!(mailbox.push('c', 1).is_ok());
        assert_eq!(mailbox.push('d', 0), Err('d'));
        assert_eq!(mailbox.drain(1), ['a']);
        assert_eq!(mailbox.drain(10), ['b', 'c']);
        assert!(mailbox.push('e', 10).is_ok());
        mailbox.close();
        assert_eq!(mailbox.push('f', 0), Err('f'));
    }
}
