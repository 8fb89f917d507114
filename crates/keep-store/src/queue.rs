//! Threads of one process take turns in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// A line of waiting threads. The one in front has the turn.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<(u64, Thread)>,
    next_ticket: u64,
}

impl Queue {
    /// Waits for the turn, at most for `limit`. `None`: the time is up, and the place in the line is given back.
    pub(crate) fn wait(&self, limit: Duration) -> Option<Turn<'_>> {
        let turn = Turn { queue: self, ticket: self.join() };
        let deadline = Instant::now() + limit;
        loop {
            if turn.is_mine() {
                return Some(turn);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            std::thread::park_timeout(left);
        }
    }

    fn join(&self) -> u64 {
        let mut line = self.lock();
        let ticket = line.next_ticket;
        line.next_ticket += 1;
        line.waiting.push_back((ticket, std::thread::current()));
        ticket
    }

    /// No code that can panic runs under this lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line; the turn, once it is in front. Dropping it lets the next one go on.
#[derive(Debug)]
pub(crate) struct Turn<'q> {
    queue: &'q Queue,
    ticket: u64,
}

impl Turn<'_> {
    fn is_mine(&self) -> bool {
        self.queue.lock().waiting.front().is_some_and(|(ticket, _)| *ticket == self.ticket)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut line = self.queue.lock();
        line.waiting.retain(|(ticket, _)| *ticket != self.ticket);
        if let Some((_, thread)) = line.waiting.front() {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    #[test]
    fn turns_go_round_in_order() {
        let queue = Arc::new(Queue::default());
        let first = queue.wait(Duration::ZERO).unwrap();
        let (order, seen) = channel();
        let threads: Vec<_> = (0..5)
            .map(|n| {
                let (order, shared) = (order.clone(), queue.clone());
                let thread = std::thread::spawn(move || {
                    let _turn = shared.wait(Duration::from_secs(20)).unwrap();
                    order.send(n).unwrap();
                });
                // The next one joins only when this one stands in the line.
                while queue.lock().waiting.len() < n + 2 {
                    std::thread::yield_now();
                }
                thread
            })
            .collect();
        drop(first);
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn who_waited_too_long_leaves_the_line() {
        let queue = Queue::default();
        let held = queue.wait(Duration::ZERO).unwrap();
        assert!(queue.wait(Duration::from_millis(20)).is_none());
        drop(held);
        assert!(queue.wait(Duration::ZERO).is_some());
    }
}
