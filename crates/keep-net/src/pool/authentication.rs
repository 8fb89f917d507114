//! The state of authentication (NIP-42) on one connection.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use keep_types::{DisplayText, Event};
use nostr::JsonUtil;

use crate::{AuthChallenge, RelayUrl};

/// Longest challenge that is answered, in bytes.
const MAX_CHALLENGE: usize = 1024;

/// Most challenges of one connection that are answered.
const MAX_CHALLENGES: u32 = 64;

/// How long the relay's OK is awaited.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Authentication {
    relay: RelayUrl,
    challenge: Option<String>,
    challenges: u32,
    /// The signer is to be asked.
    query: bool,
    /// The signer has been asked and has not answered yet.
    asked: bool,
    /// Keys that answered the present challenge.
    sent: HashSet<[u8; 32]>,
    /// Answers whose OK is awaited, until when.
    waiting: HashMap<[u8; 32], Instant>,
    accepted: bool,
    failure: Option<DisplayText>,
    /// Something could not be done for want of an authentication.
    pub unmet: bool,
}

impl Authentication {
    pub fn new(relay: RelayUrl) -> Self {
        Self {
            relay,
            challenge: None,
            challenges: 0,
            query: false,
            asked: false,
            sent: HashSet::new(),
            waiting: HashMap::new(),
            accepted: false,
            failure: None,
            unmet: false,
        }
    }

    /// The relay sent a challenge. It replaces the one before.
    pub fn challenged(&mut self, challenge: String) {
        self.challenges += 1;
        let absurd = challenge.is_empty() || challenge.len() > MAX_CHALLENGE;
        if absurd || self.challenges > MAX_CHALLENGES || self.challenge.as_ref() == Some(&challenge) {
            return;
        }
        self.challenge = Some(challenge);
        self.sent.clear();
        self.waiting.clear();
        self.accepted = false;
        self.query = true;
    }

    /// Whether there is a challenge to answer.
    pub const fn is_possible(&self) -> bool {
        self.challenge.is_some()
    }

    /// The signer is to be asked (again), now or when a challenge comes.
    pub fn ask_again(&mut self) {
        self.query = true;
    }

    pub const fn has_query(&self) -> bool {
        self.query && !self.asked && self.challenge.is_some()
    }

    pub fn take_query(&mut self) -> Option<AuthChallenge> {
        if !self.has_query() {
            return None;
        }
        let challenge = self.challenge.clone()?;
        self.query = false;
        self.asked = true;
        Some(AuthChallenge { relay: self.relay.clone(), challenge })
    }

    /// One of the signer's answers; gives its JSON if it is to be sent.
    pub fn offer(&mut self, challenge: &AuthChallenge, answer: &Event, now: Instant) -> Option<String> {
        let current = self.challenge.as_ref() == Some(&challenge.challenge);
        if !current || !self.sent.insert(answer.pubkey.to_bytes()) {
            return None;
        }
        self.waiting.insert(answer.id.to_bytes(), now + ANSWER_TIMEOUT);
        Some(answer.as_json())
    }

    /// The signer has answered, whatever it was.
    pub fn signer_answered(&mut self) {
        self.asked = false;
    }

    /// An OK; false if it is not for one of our answers.
    pub fn answered(&mut self, id: &[u8; 32], accepted: bool, reason: &str) -> bool {
        if self.waiting.remove(id).is_none() {
            return false;
        }
        if accepted {
            self.accepted = true;
        } else {
            self.failure = Some(DisplayText::truncated(reason, 200));
        }
        true
    }

    /// Gives up waiting for what is overdue. Such relays exist: what waits is simply tried again.
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|_, deadline| *deadline > now);
        let expired = self.waiting.len() < before;
        self.accepted |= expired;
        expired
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.values().min().copied()
    }

    /// Whether neither the signer nor the relay owes an answer.
    pub fn is_settled(&self) -> bool {
        !self.asked && self.waiting.is_empty() && !(self.query && self.challenge.is_some())
    }

    pub const fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// Why it failed.
    pub fn failure(&self) -> DisplayText {
        self.failure.clone().unwrap_or_else(|| "auth-required: the relay asks for authentication".into())
    }
}
