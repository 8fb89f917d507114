//! The bounded queue between the relays and one subscriber.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keep_types::PublicKey;
use tokio::sync::Notify;

use crate::Received;

/// After so many preferred events in a row, one of the others is served, so that neither lane starves.
const PREFERRED_IN_A_ROW: u32 = 16;

/// How much may wait for a subscriber. What does not fit is dropped and counted; it never blocks a connection.
#[derive(Debug, Clone, Copy)]
pub struct InboxLimits {
    /// Events of preferred authors that may wait.
    pub preferred: usize,
    /// Events of all other authors that may wait.
    pub others: usize,
    /// Bytes that each of the two may hold.
    pub bytes: usize,
    /// How many delivered events are remembered to recognise copies from other relays.
    pub remembered: usize,
    /// How long after the first a live copy is taken for the same delivery by another relay. A copy that comes later
    /// is the author's own repetition, and is delivered.
    pub copy_window: Duration,
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self {
            preferred: 4096,
            others: 2048,
            bytes: 16 << 20,
            remembered: 8192,
            copy_window: Duration::from_secs(2),
        }
    }
}

/// What became of an event that was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    Copy,
    Full,
    Closed,
}

#[derive(Default)]
struct Lane {
    queue: VecDeque<Received>,
    bytes: usize,
}

impl Lane {
    fn push(&mut self, event: Received, count: usize, bytes: usize) -> bool {
        let weight = event.event.weight();
        if self.queue.len() >= count || self.bytes.saturating_add(weight) > bytes {
            return false;
        }
        self.bytes += weight;
        self.queue.push_back(event);
        true
    }

    fn pop(&mut self) -> Option<Received> {
        let event = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(event.event.weight());
        Some(event)
    }
}

/// The last delivered events, by the hash of all their fields.
#[derive(Default)]
struct Memory {
    seen: HashMap<u64, Instant>,
    order: VecDeque<u64>,
}

impl Memory {
    fn insert(&mut self, fingerprint: u64, now: Instant, limit: usize) {
        if self.seen.insert(fingerprint, now).is_none() {
            self.order.push_back(fingerprint);
        }
        while self.order.len() > limit {
            if let Some(oldest) = self.order.pop_front() {
                self.seen.remove(&oldest);
            }
        }
    }
}

#[derive(Default)]
struct State {
    preferred: Lane,
    others: Lane,
    in_a_row: u32,
    authors: HashSet<[u8; 32]>,
    memory: Memory,
    closed: bool,
}

/// Two lanes: what preferred authors sent is served first, and cannot be crowded out by others.
///
/// Authors are *claimed*: a forger can reach the preferred lane by naming a preferred author, and is then found out
/// by the receiver's verification like anybody else.
pub(crate) struct Inbox {
    limits: InboxLimits,
    state: Mutex<State>,
    arrived: Notify,
    dropped: AtomicU64,
    key: RandomState,
}

impl Inbox {
    pub fn new(limits: InboxLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            arrived: Notify::new(),
            dropped: AtomicU64::new(0),
            key: RandomState::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event. Copies are recognised by *all* fields, never by id alone: a forgery that carries the id of
    /// another event must not keep that event away.
    pub fn push(&self, event: Received, now: Instant) -> Pushed {
        let fingerprint = event.event.fingerprint(&self.key);
        let author = event.event.author().to_bytes();
        let mut state = self.state();
        if state.closed {
            return Pushed::Closed;
        }
        if let Some(first) = state.memory.seen.get(&fingerprint)
            && (event.stored || now.saturating_duration_since(*first) < self.limits.copy_window)
        {
            return Pushed::Copy;
        }
        let preferred = state.authors.contains(&author);
        let (lane, count) = if preferred {
            (&mut state.preferred, self.limits.preferred)
        } else {
            (&mut state.others, self.limits.others)
        };
        if !lane.push(event, count, self.limits.bytes) {
            drop(state);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return Pushed::Full;
        }
        // Only what was delivered is remembered, so that a dropped event has another chance through another relay.
        state.memory.insert(fingerprint, now, self.limits.remembered);
        drop(state);
        self.arrived.notify_one();
        Pushed::Queued
    }

    pub fn try_pop(&self) -> Option<Received> {
        let mut state = self.state();
        let others_first = state.in_a_row >= PREFERRED_IN_A_ROW;
        if others_first && let Some(event) = state.others.pop() {
            state.in_a_row = 0;
            return Some(event);
        }
        if let Some(event) = state.preferred.pop() {
            state.in_a_row = state.in_a_row.saturating_add(1);
            return Some(event);
        }
        state.in_a_row = 0;
        state.others.pop()
    }

    /// The next event; `None` once closed and empty.
    pub async fn pop(&self) -> Option<Received> {
        // A queue that never runs empty must not keep its thread for ever.
        tokio::task::coop::consume_budget().await;
        loop {
            let arrival = self.arrived.notified();
            if let Some(event) = self.try_pop() {
                // One notification may stand for several arrivals: pass it on to whoever else waits.
                self.arrived.notify_one();
                return Some(event);
            }
            if self.state().closed {
                return None;
            }
            arrival.await;
        }
    }

    pub fn prefer(&self, authors: impl IntoIterator<Item = PublicKey>) {
        self.state().authors = authors.into_iter().map(PublicKey::to_bytes).collect();
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_waiters();
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use nostr::{EventBuilder, Keys, Kind};

    use super::*;
    use crate::RawEvent;

    fn received(keys: &Keys, content: &str) -> Received {
        let event = EventBuilder::new(Kind::from(24133), content).sign_with_keys(keys).unwrap();
        Received { relay: "ws://a.example".parse().unwrap(), event: RawEvent::trusted(&event), stored: false }
    }

    fn inbox() -> Inbox {
        Inbox::new(InboxLimits { preferred: 40, others: 10, ..InboxLimits::default() })
    }

    #[test]
    fn junk_cannot_crowd_out_a_preferred_author() {
        let (client, inbox, now) = (Keys::generate(), inbox(), Instant::now());
        inbox.prefer([client.public_key()]);
        let junk: Vec<_> =
            (0..30).map(|i| inbox.push(received(&Keys::generate(), &i.to_string()), now)).collect();
        assert_eq!(junk.iter().filter(|p| **p == Pushed::Queued).count(), 10);
        assert_eq!(inbox.dropped(), 20);
        assert_eq!(inbox.push(received(&client, "request"), now), Pushed::Queued);
        assert_eq!(inbox.try_pop().unwrap().event.content(), "request");
    }

    #[test]
    fn others_are_served_now_and_then() {
        let (client, inbox, now) = (Keys::generate(), inbox(), Instant::now());
        inbox.prefer([client.public_key()]);
        inbox.push(received(&Keys::generate(), "new client"), now);
        for i in 0..40 {
            assert_eq!(inbox.push(received(&client, &i.to_string()), now), Pushed::Queued);
        }
        assert_eq!(inbox.push(received(&client, "too many"), now), Pushed::Full);
        let order: Vec<_> =
            std::iter::from_fn(|| inbox.try_pop()).map(|r| r.event.content().to_owned()).collect();
        assert_eq!(order.len(), 41);
        assert_eq!(order.iter().position(|c| c == "new client"), Some(PREFERRED_IN_A_ROW as usize));
    }

    #[test]
    fn copies_are_recognised_but_forgeries_do_not_hide_the_real_event() {
        let (client, inbox, now) = (Keys::generate(), inbox(), Instant::now());
        let real = received(&client, "real");
        let json = format!(
            r#"{{"id":"{}","pubkey":"{}","created_at":{},"kind":24133,"tags":[],"content":"forged","sig":"{}"}}"#,
            real.event.id(),
            client.public_key(),
            real.event.created_at().as_secs(),
            real.event.clone().verify().unwrap().sig,
        );
        let forged = Received { event: RawEvent::from_json(&json, 4096).unwrap(), ..real.clone() };
        assert_eq!(inbox.push(forged, now), Pushed::Queued);
        assert_eq!(
            inbox.push(real.clone(), now),
            Pushed::Queued,
            "the forgery must not suppress the real event"
        );
        assert_eq!(inbox.push(real.clone(), now), Pushed::Copy);
        let later = now + Duration::from_secs(3);
        assert_eq!(inbox.push(real.clone(), later), Pushed::Queued, "the author repeats it on purpose");
        let stored = Received { stored: true, ..real };
        assert_eq!(inbox.push(stored, later + Duration::from_secs(60)), Pushed::Copy);
    }

    #[test]
    fn a_dropped_event_has_another_chance() {
        let (inbox, now) = (inbox(), Instant::now());
        for i in 0..10 {
            inbox.push(received(&Keys::generate(), &i.to_string()), now);
        }
        let late = received(&Keys::generate(), "late");
        assert_eq!(inbox.push(late.clone(), now), Pushed::Full);
        inbox.try_pop();
        assert_eq!(inbox.push(late, now), Pushed::Queued);
    }

    #[test]
    fn memory_is_bounded_in_bytes_and_entries() {
        let limits = InboxLimits { bytes: 4000, remembered: 3, others: 1000, ..InboxLimits::default() };
        let (inbox, now) = (Inbox::new(limits), Instant::now());
        let big = "x".repeat(1500);
        let fit =
            (0..20).filter(|_| inbox.push(received(&Keys::generate(), &big), now) == Pushed::Queued).count();
        assert_eq!(fit, 2);
        while inbox.try_pop().is_some() {}
        for _ in 0..20 {
            inbox.push(received(&Keys::generate(), ""), now);
            inbox.try_pop();
        }
        assert_eq!(inbox.state().memory.seen.len(), 3);
        assert_eq!(inbox.state().others.bytes, 0);
    }
}
