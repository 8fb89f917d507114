//! Published events that wait to be sent to one relay, or for its answer.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use keep_types::DisplayText;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::Outcome;
use crate::publication::Ticket;

/// How often an event is sent again because the relay first wanted an authentication.
const AUTH_RETRIES: u8 = 2;

/// How many who wait for the same event are told of its fate; beyond that those who came first are given up.
const MAX_TICKETS: usize = 32;

/// One event for one relay.
pub(crate) struct Job {
    pub id: [u8; 32],
    /// The whole message, shared between relays.
    pub message: Utf8Bytes,
    pub ticket: Ticket,
    pub deadline: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Unsent,
    Sent,
    /// Refused until an authentication is accepted.
    AwaitsAuth,
}

struct Entry {
    message: Utf8Bytes,
    tickets: VecDeque<Ticket>,
    deadline: Instant,
    /// Its place in the order; older places of the same event are void.
    place: u64,
    progress: Progress,
    /// Over any connection: the relay may have it.
    ever_sent: bool,
    auth_retries: u8,
}

impl Entry {
    fn tell(self, outcome: &Outcome) {
        self.tickets.into_iter().for_each(|ticket| ticket.tell(outcome.clone()));
    }
}

/// Bounded: beyond the limit the oldest is given up.
pub(crate) struct Outstanding {
    entries: HashMap<[u8; 32], Entry>,
    /// All have the same time limit, so this is the order of deadlines too.
    order: VecDeque<([u8; 32], u64)>,
    places: u64,
    limit: usize,
}

impl Outstanding {
    pub fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), places: 0, limit }
    }

    /// Takes a job in, as unsent. The same event again joins the one that waits, and is sent again.
    pub fn add(&mut self, job: Job) {
        self.places += 1;
        self.order.push_back((job.id, self.places));
        if let Some(entry) = self.entries.get_mut(&job.id) {
            entry.place = self.places;
            entry.deadline = job.deadline;
            entry.progress = Progress::Unsent;
            entry.tickets.push_back(job.ticket);
            if entry.tickets.len() > MAX_TICKETS
                && let Some(first) = entry.tickets.pop_front()
            {
                first.tell(Outcome::NoAnswer);
            }
            self.compact();
            return;
        }
        if self.entries.len() >= self.limit {
            self.give_up_oldest();
        }
        let entry = Entry {
            message: job.message,
            tickets: VecDeque::from([job.ticket]),
            deadline: job.deadline,
            place: self.places,
            progress: Progress::Unsent,
            ever_sent: false,
            auth_retries: 0,
        };
        self.entries.insert(job.id, entry);
    }

    fn give_up_oldest(&mut self) {
        self.compact();
        if let Some((id, _)) = self.order.pop_front()
            && let Some(entry) = self.entries.remove(&id)
        {
            let outcome = overdue(&entry, &"too many events wait for this relay".into());
            entry.tell(&outcome);
        }
    }

    fn is_current(&self, id: &[u8; 32], place: u64) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.place == place)
    }

    /// Drops void places: those at the front, so that the first is a real one, and all when they are the greater part.
    fn compact(&mut self) {
        while self.order.front().is_some_and(|(id, place)| !self.is_current(id, *place)) {
            self.order.pop_front();
        }
        if self.order.len() > 2 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.order.retain(|(id, place)| entries.get(id).is_some_and(|entry| entry.place == *place));
        }
    }

    /// Marks `id` as sent and gives its message, if it is unsent.
    pub fn send(&mut self, id: &[u8; 32]) -> Option<Utf8Bytes> {
        let entry = self.entries.get_mut(id).filter(|entry| entry.progress == Progress::Unsent)?;
        entry.progress = Progress::Sent;
        entry.ever_sent = true;
        Some(entry.message.clone())
    }

    /// Marks all as sent and gives the messages of those that were not, oldest first.
    pub fn send_all(&mut self) -> Vec<Utf8Bytes> {
        let ids: Vec<_> = self.order.iter().map(|(id, _)| *id).collect();
        ids.iter().filter_map(|id| self.send(id)).collect()
    }

    /// The relay answered.
    pub fn resolve(&mut self, id: &[u8; 32], outcome: &Outcome) {
        if let Some(entry) = self.entries.remove(id) {
            entry.tell(outcome);
        }
        self.compact();
    }

    /// The relay wants an authentication first. False when that was tried often enough.
    pub fn await_auth(&mut self, id: &[u8; 32]) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return true };
        entry.auth_retries += 1;
        entry.progress = Progress::AwaitsAuth;
        entry.auth_retries <= AUTH_RETRIES
    }

    /// What waited for an authentication may be sent again.
    pub fn authenticated(&mut self) {
        self.reopen(Progress::AwaitsAuth);
    }

    /// No authentication will come: rejects what waits for one. True if something did.
    pub fn auth_failed(&mut self, reason: &DisplayText) -> bool {
        let ids: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.progress == Progress::AwaitsAuth)
            .map(|(id, _)| *id)
            .collect();
        for id in &ids {
            self.resolve(id, &Outcome::Rejected(reason.clone()));
        }
        !ids.is_empty()
    }

    /// The connection is gone: what was sent but not answered is sent again over the next one.
    pub fn disconnected(&mut self) {
        self.reopen(Progress::Sent);
        self.reopen(Progress::AwaitsAuth);
    }

    fn reopen(&mut self, progress: Progress) {
        for entry in self.entries.values_mut().filter(|entry| entry.progress == progress) {
            entry.progress = Progress::Unsent;
        }
    }

    /// Reports what is overdue; `failure` is why the relay is not connected, if it is not.
    pub fn expire(&mut self, now: Instant, failure: &DisplayText) {
        self.compact();
        while let Some((id, _)) = self.order.front().copied() {
            if self.entries.get(&id).is_some_and(|entry| entry.deadline > now) {
                return;
            }
            if let Some(entry) = self.entries.remove(&id) {
                let outcome = overdue(&entry, failure);
                entry.tell(&outcome);
            }
            self.compact();
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.order.iter().find_map(|(id, place)| {
            self.entries.get(id).filter(|entry| entry.place == *place).map(|entry| entry.deadline)
        })
    }

    /// Nothing more will be sent: reports all that is left.
    pub fn finish(&mut self, reason: &DisplayText) {
        self.order.clear();
        for (_, entry) in self.entries.drain() {
            let outcome = overdue(&entry, reason);
            entry.tell(&outcome);
        }
    }
}

fn overdue(entry: &Entry, failure: &DisplayText) -> Outcome {
    match entry.progress {
        Progress::AwaitsAuth => Outcome::Rejected("auth-required: the relay asks for authentication".into()),
        Progress::Sent | Progress::Unsent if entry.ever_sent => Outcome::NoAnswer,
        Progress::Sent | Progress::Unsent => Outcome::NotSent(failure.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Publication;

    fn job(id: u8, deadline: Instant) -> (Publication, Job) {
        let (publication, mut tickets) = Publication::new(["ws://a.example".parse().unwrap()]);
        let ticket = tickets.pop().unwrap();
        (publication, Job { id: [id; 32], message: format!("{id}").into(), ticket, deadline })
    }

    async fn outcome(publication: Publication) -> Outcome {
        publication.reports().await.remove(0).outcome
    }

    #[tokio::test]
    async fn each_fate_has_its_outcome() {
        let (now, mut waiting) = (Instant::now(), Outstanding::new(10));
        let (down, later) = (DisplayText::new("down"), now + Duration::from_secs(1));
        let publications: Vec<_> = (0..4)
            .map(|id| {
                let (publication, job) = job(id, if id < 3 { now } else { later });
                waiting.add(job);
                publication
            })
            .collect();
        assert_eq!(waiting.send(&[0; 32]).unwrap().as_str(), "0");
        assert!(waiting.send(&[0; 32]).is_none(), "sent once");
        waiting.send(&[1; 32]);
        waiting.resolve(&[1; 32], &Outcome::Accepted);
        waiting.expire(now, &down);
        assert_eq!(waiting.next_deadline(), Some(later));
        let mut publications = publications.into_iter();
        assert_eq!(outcome(publications.next().unwrap()).await, Outcome::NoAnswer);
        assert_eq!(outcome(publications.next().unwrap()).await, Outcome::Accepted);
        assert_eq!(outcome(publications.next().unwrap()).await, Outcome::NotSent(down));
        drop(waiting);
        assert!(matches!(outcome(publications.next().unwrap()).await, Outcome::NotSent(_)));
    }

    #[tokio::test]
    async fn the_oldest_gives_way() {
        let (now, mut waiting) = (Instant::now() + Duration::from_secs(9), Outstanding::new(2));
        let publications: Vec<_> = (0..3)
            .map(|id| {
                let (publication, job) = job(id, now);
                waiting.add(job);
                waiting.send(&[id; 32]);
                publication
            })
            .collect();
        assert_eq!(outcome(publications.into_iter().next().unwrap()).await, Outcome::NoAnswer);
        assert_eq!(waiting.entries.len(), 2);
    }

    #[test]
    fn what_was_not_answered_is_sent_again_after_a_reconnection() {
        let (now, mut waiting) = (Instant::now(), Outstanding::new(10));
        let _keep: Vec<_> = (0..3)
            .map(|id| {
                let (p, j) = job(id, now);
                waiting.add(j);
                p
            })
            .collect();
        assert_eq!(waiting.send_all().len(), 3);
        waiting.resolve(&[1; 32], &Outcome::Accepted);
        assert!(waiting.send_all().is_empty());
        waiting.disconnected();
        assert_eq!(waiting.send_all().iter().map(|m| m.as_str()).collect::<Vec<_>>(), ["0", "2"]);
    }

    #[test]
    fn authentication_is_not_tried_for_ever() {
        let (now, mut waiting) = (Instant::now(), Outstanding::new(10));
        let (_keep, j) = job(0, now);
        waiting.add(j);
        for _ in 0..AUTH_RETRIES {
            assert_eq!(waiting.send_all().len(), 1);
            assert!(waiting.await_auth(&[0; 32]));
            assert!(waiting.send_all().is_empty());
            waiting.authenticated();
        }
        waiting.send_all();
        assert!(!waiting.await_auth(&[0; 32]));
    }

    #[tokio::test]
    async fn repeating_an_event_for_ever_holds_up_nobody_and_costs_bounded_memory() {
        let (begun, mut waiting) = (Instant::now(), Outstanding::new(10));
        let (first, j) = job(1, begun + Duration::from_secs(10));
        waiting.add(j);
        let mut repeats = Vec::new();
        for secs in 0..100 {
            let (publication, j) = job(0, begun + Duration::from_secs(secs + 10));
            waiting.add(j);
            waiting.send(&[0; 32]);
            waiting.expire(begun + Duration::from_secs(secs), &"down".into());
            repeats.push(publication);
        }
        assert!(matches!(outcome(first).await, Outcome::NotSent(_)));
        assert_eq!(outcome(repeats.swap_remove(0)).await, Outcome::NoAnswer);
        assert!(waiting.entries.len() == 1 && waiting.entries[&[0; 32]].tickets.len() == MAX_TICKETS);
        assert!(waiting.order.len() < 70);
        assert_eq!(waiting.next_deadline(), Some(begun + Duration::from_secs(109)));
    }

    #[test]
    fn answers_in_any_order_leave_nothing_behind() {
        let (now, mut waiting) = (Instant::now(), Outstanding::new(10_000));
        let mut keep = Vec::new();
        for i in 0..5_000u32 {
            let (p, mut j) = job(0, now);
            j.id[..4].copy_from_slice(&i.to_le_bytes());
            waiting.add(j);
            keep.push(p);
        }
        for i in (0..5_000u32).rev() {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&i.to_le_bytes());
            waiting.resolve(&id, &Outcome::Accepted);
        }
        assert!(waiting.entries.is_empty() && waiting.order.is_empty());
    }
}
