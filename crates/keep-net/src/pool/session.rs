//! What is said over one connection to one relay: a machine without sockets and clocks.
//!
//! Texts and the time go in, messages come out in `out`. What outlives a connection (published events, where to resume)
//! stays here while the connection comes and goes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use keep_types::{DisplayText, Event, Timestamp};
use tokio_tungstenite::tungstenite::Message;

use super::authentication::Authentication;
use super::options::PoolOptions;
use super::outstanding::{Job, Outstanding};
use super::relay::Relay;
use super::requests::{Refusal, Requests, Waits};
use crate::message::{self, FromRelay};
use crate::subscription::Feed;
use crate::{AuthChallenge, Outcome, RawEvent};

/// Unreadable messages of one connection before it is given up.
const MAX_MALFORMED: u64 = 1000;

/// Longest text of a relay that is kept for people.
const MAX_REASON: usize = 200;

pub(crate) struct Session {
    relay: Arc<Relay>,
    options: Arc<PoolOptions>,
    /// What is to be sent next.
    pub out: VecDeque<Message>,
    pub outstanding: Outstanding,
    requests: Requests,
    auth: Authentication,
    malformed: u64,
    open: bool,
}

impl Session {
    pub fn new(relay: Arc<Relay>, options: Arc<PoolOptions>) -> Self {
        Self {
            out: VecDeque::new(),
            outstanding: Outstanding::new(options.max_unanswered),
            requests: Requests::new(relay.url.clone(), options.eose_timeout),
            auth: Authentication::new(relay.url.clone()),
            malformed: 0,
            open: false,
            relay,
            options,
        }
    }

    /// A connection was made.
    pub fn opened(&mut self) {
        self.open = true;
        self.malformed = 0;
        self.auth = Authentication::new(self.relay.url.clone());
        self.send_unsent();
    }

    /// The connection is gone; the relay was last heard at `last_heard`.
    pub fn lost(&mut self, reason: &DisplayText, last_heard: Timestamp) {
        self.open = false;
        self.out.clear();
        self.outstanding.disconnected();
        self.requests.lost(reason, last_heard.minus(self.options.overlap));
    }

    /// Makes the relay serve exactly `feeds`. New keys may have come with them, so the signer is asked again.
    pub fn reconcile(&mut self, feeds: &[Arc<Feed>], now: Instant) {
        if self.requests.reconcile(feeds, now, &mut self.out) && self.options.auth.is_some() {
            self.auth.ask_again();
        }
    }

    /// Takes an event to be published.
    pub fn submit(&mut self, job: Job) {
        let id = job.id;
        self.outstanding.add(job);
        if self.open
            && let Some(text) = self.outstanding.send(&id)
        {
            self.out.push_back(Message::Text(text));
        }
    }

    fn send_unsent(&mut self) {
        self.out.extend(self.outstanding.send_all().into_iter().map(Message::Text));
    }

    /// A text came in.
    ///
    /// # Errors
    /// When the connection is to be given up, with the reason.
    pub fn receive(&mut self, text: &str, now: Instant) -> Result<(), DisplayText> {
        let Ok(message) = FromRelay::parse(text, self.options.max_message) else {
            return self.unreadable();
        };
        match message {
            FromRelay::Event { subscription, event } => self.event(&subscription, event, now),
            FromRelay::Ok { id, accepted, reason } => self.answered(&id, accepted, &reason, now),
            FromRelay::Eose { subscription } => self.requests.live(&subscription, &mut self.out),
            FromRelay::Closed { subscription, reason } => self.refused(&subscription, &reason, now),
            FromRelay::Auth { challenge } => self.auth.challenged(challenge),
            FromRelay::Notice { text } => {
                let text = DisplayText::truncated(&text, MAX_REASON);
                tracing::debug!(relay = %self.relay.url, %text, "notice");
            }
            FromRelay::Unknown => {}
        }
        Ok(())
    }

    fn unreadable(&mut self) -> Result<(), DisplayText> {
        self.relay.malformed.fetch_add(1, Ordering::Relaxed);
        self.malformed += 1;
        if self.malformed > MAX_MALFORMED {
            return Err("sent too many messages that cannot be read".into());
        }
        Ok(())
    }

    fn event(&mut self, subscription: &str, event: RawEvent, now: Instant) {
        self.relay.received.fetch_add(1, Ordering::Relaxed);
        self.requests.deliver(subscription, event, now);
    }

    fn answered(&mut self, id: &[u8; 32], accepted: bool, reason: &str, now: Instant) {
        if self.auth.answered(id, accepted, reason) {
            self.settle_auth(now);
            return;
        }
        if accepted || reason.starts_with("duplicate:") {
            self.outstanding.resolve(id, &Outcome::Accepted);
            return;
        }
        if wants_auth(reason) && self.options.auth.is_some() && self.outstanding.await_auth(id) {
            self.auth.ask_again();
            return;
        }
        if wants_auth(reason) {
            self.auth.unmet = true;
        }
        self.outstanding.resolve(id, &Outcome::Rejected(DisplayText::truncated(reason, MAX_REASON)));
    }

    fn refused(&mut self, subscription: &str, reason: &str, now: Instant) {
        let answer = match wants_auth(reason) {
            true if self.options.auth.is_some() && self.auth.is_possible() => Refusal::UntilAuthenticated,
            true if self.options.auth.is_some() => Refusal::UntilChallenged,
            _ => Refusal::Plain,
        };
        let shown = DisplayText::truncated(reason, MAX_REASON);
        match self.requests.refused(subscription, answer, &shown, now) {
            Some(Waits::ForAuth) => self.auth.ask_again(),
            Some(Waits::ForTime) => self.auth.unmet |= wants_auth(reason),
            None => {}
        }
    }

    /// The challenge that the signer is to answer now, if any.
    pub fn take_auth_query(&mut self) -> Option<AuthChallenge> {
        self.auth.take_query()
    }

    /// Whether [`Session::take_auth_query`] has one.
    pub fn has_auth_query(&self) -> bool {
        self.options.auth.is_some() && self.auth.has_query()
    }

    /// The signer's answers to `challenge`.
    pub fn offer_auth(&mut self, challenge: &AuthChallenge, answers: Vec<Event>, now: Instant) {
        self.auth.signer_answered();
        for event in answers {
            if let Some(json) = self.auth.offer(challenge, &event, now) {
                self.out.push_back(Message::text(message::authenticate(&json)));
            }
        }
        self.settle_auth(now);
    }

    /// Goes on with what waited for an authentication, once no answer is awaited any more.
    fn settle_auth(&mut self, now: Instant) {
        if !self.auth.is_settled() {
            return;
        }
        if self.auth.is_accepted() {
            self.auth.unmet = false;
            self.outstanding.authenticated();
            self.send_unsent();
            self.requests.authenticated(now, &mut self.out);
            return;
        }
        let reason = self.auth.failure();
        if self.requests.auth_failed(&reason) | self.outstanding.auth_failed(&reason) {
            self.auth.unmet = true;
        }
    }

    /// Whether the relay wants an authentication that it does not get.
    pub const fn is_auth_unmet(&self) -> bool {
        self.auth.unmet
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant, failure: &DisplayText) {
        self.outstanding.expire(now, failure);
        if !self.open {
            return;
        }
        self.requests.tick(now, &mut self.out);
        if self.auth.expire(now) {
            self.settle_auth(now);
        }
    }

    /// When [`Session::tick`] is next due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let open = self.open.then(|| [self.requests.next_deadline(), self.auth.next_deadline()]);
        let deadlines = open.into_iter().flatten().chain([self.outstanding.next_deadline()]);
        deadlines.flatten().min()
    }
}

fn wants_auth(reason: &str) -> bool {
    reason.starts_with("auth-required:")
}

/// How long to wait for something that failed `times` times already: 5 s, doubling, at most 5 minutes.
pub(super) fn retry_after(times: u32) -> Duration {
    Duration::from_secs((5 << times.min(6)).min(300))
}
