//! What is said with one client: a machine without sockets.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keep_types::DisplayText;
use tokio_tungstenite::tungstenite::Message;

use super::hub::Hub;
use super::store::Stored;
use crate::auth::AUTH_KIND;
use crate::message::{self, FromClient};
use crate::rng::SplitMix;
use crate::{AuthChallenge, EventError, Filter, RawEvent};

/// Longest name of a subscription (NIP-01), in characters.
const MAX_NAME: usize = 64;

/// Most keys that one connection may authenticate.
const MAX_KEYS: usize = 256;

/// One client as the relay sees it.
pub(super) struct Client {
    hub: Arc<Hub>,
    id: u64,
    /// What is to be sent next.
    pub out: VecDeque<Message>,
    challenge: AuthChallenge,
    keys: HashSet<[u8; 32]>,
    minute: Instant,
    events_this_minute: u32,
}

impl Client {
    pub fn new(hub: Arc<Hub>, id: u64, now: Instant) -> Self {
        let mut rng = SplitMix::from_system();
        let challenge = format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64());
        let mut client = Self {
            id,
            out: VecDeque::new(),
            challenge: AuthChallenge { relay: hub.url.clone(), challenge },
            keys: HashSet::new(),
            minute: now,
            events_this_minute: 0,
            hub,
        };
        if client.hub.options.require_auth {
            let text = message::short("AUTH", &client.challenge.challenge);
            client.say(text);
        }
        client
    }

    fn say(&mut self, text: String) {
        self.out.push_back(Message::text(text));
    }

    fn notice(&mut self, text: &str) {
        self.say(message::short("NOTICE", text));
    }

    /// A text came in.
    pub fn receive(&mut self, text: &str, now: Instant) {
        match FromClient::parse(text, self.hub.options.max_message) {
            Ok(FromClient::Event { event, json }) => self.event(event, json, now),
            Ok(FromClient::Req { subscription, filters }) => self.request(&subscription, filters),
            Ok(FromClient::Close { subscription }) => self.hub.unsubscribe(self.id, &subscription),
            Ok(FromClient::Auth { event }) => self.authenticate(event),
            Ok(FromClient::Unknown { name }) => {
                let name = DisplayText::truncated(&name, 20);
                self.notice(&format!("unsupported: {name}"));
            }
            Err(EventError::TooLarge { .. }) => self.notice("invalid: message too large"),
            Err(_) => self.notice("invalid: message cannot be read"),
        }
    }

    fn event(&mut self, event: RawEvent, json: &str, now: Instant) {
        let id = event.id().to_hex();
        match self.judge(event, now).map(|event| self.hub.accept(event, json)) {
            Ok(Stored::New) => self.say(message::ok(&id, true, "")),
            Ok(Stored::Duplicate) => self.say(message::ok(&id, true, "duplicate: already have this event")),
            Ok(Stored::Outdated) => self.say(message::ok(&id, true, "duplicate: have a newer version")),
            Err(reason) => self.say(message::ok(&id, false, reason)),
        }
    }

    /// The event, verified, or why it is refused.
    fn judge(&mut self, mut event: RawEvent, now: Instant) -> Result<RawEvent, &'static str> {
        if !self.may_speak() {
            return Err("auth-required: authenticate first");
        }
        if event.kind().as_u16() == AUTH_KIND {
            return Err("invalid: authentication events are sent with AUTH");
        }
        if self.is_too_fast(now) {
            return Err("rate-limited: slow down");
        }
        // A repetition of a stored event costs a comparison, not a verification.
        if !self.hub.knows(&event) {
            event.mark_verified().map_err(|e| match e {
                EventError::Id => "invalid: the id is not the hash of the event",
                EventError::Author => "invalid: the author is not a public key",
                EventError::Signature => "invalid: the signature is wrong",
                EventError::Malformed(_) | EventError::TooLarge { .. } => "invalid: malformed event",
            })?;
        }
        Ok(event)
    }

    fn is_too_fast(&mut self, now: Instant) -> bool {
        let Some(limit) = self.hub.options.events_per_minute else { return false };
        if now.saturating_duration_since(self.minute) >= Duration::from_secs(60) {
            self.minute = now;
            self.events_this_minute = 0;
        }
        self.events_this_minute = self.events_this_minute.saturating_add(1);
        self.events_this_minute > limit
    }

    fn may_speak(&self) -> bool {
        !self.hub.options.require_auth || !self.keys.is_empty()
    }

    fn request(&mut self, name: &str, filters: Vec<Filter>) {
        if let Err(reason) = self.check_request(name, &filters) {
            self.say(message::closed(name, reason));
            return;
        }
        let Some(stored) = self.hub.subscribe(self.id, name, filters) else {
            self.say(message::closed(name, "error: too many subscriptions"));
            return;
        };
        for found in stored {
            self.say(message::forward(name, &found.json));
        }
        self.say(message::short("EOSE", name));
    }

    fn check_request(&self, name: &str, filters: &[Filter]) -> Result<(), &'static str> {
        let options = &self.hub.options;
        if !self.may_speak() {
            return Err("auth-required: authenticate first");
        }
        if name.is_empty() || name.chars().count() > MAX_NAME {
            return Err("invalid: the subscription's name has 1 to 64 characters");
        }
        if filters.len() > options.max_filters {
            return Err("invalid: too many filters");
        }
        if filters.iter().any(|filter| filter.size() > options.max_filter_values) {
            return Err("invalid: a filter is too large");
        }
        Ok(())
    }

    fn authenticate(&mut self, mut event: RawEvent) {
        let id = event.id().to_hex();
        let now = self.hub.options.clock.now();
        let answer = match event.mark_verified() {
            Ok(()) if self.keys.len() >= MAX_KEYS => Err("error: too many keys"),
            Ok(()) if self.challenge.is_answered_by(&event, now) => Ok(()),
            Ok(()) => Err("invalid: not an answer to this relay's challenge"),
            Err(_) => Err("invalid: the signature is wrong"),
        };
        match answer {
            Ok(()) => {
                self.keys.insert(event.author().to_bytes());
                self.say(message::ok(&id, true, ""));
            }
            Err(reason) => self.say(message::ok(&id, false, reason)),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.hub.leave(self.id);
    }
}
