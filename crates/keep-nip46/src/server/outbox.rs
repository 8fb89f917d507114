//! Answers on their way: sent at once, and again after 2, 10 and 30 seconds until a relay takes them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use keep_types::{EndpointId, Event, EventId, Timestamp};

use super::{Effect, Publication};

/// When an answer is sent again, counted from the first time.
const RESEND_AFTER: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(30)];

/// Answers that no relay has taken yet, in the order in which they were sent first.
#[derive(Debug)]
pub(super) struct Outbox {
    letters: BTreeMap<u64, Letter>,
    numbers: HashMap<EventId, u64>,
    next_number: u64,
    bytes: usize,
    max: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Letter {
    request: Option<EventId>,
    publication: Publication,
    first_sent: Timestamp,
}

impl Letter {
    fn bytes(&self) -> usize {
        self.publication.event.content.len()
    }

    fn given_up(&self) -> Effect {
        Effect::Finished { request: self.request, delivered: false }
    }
}

impl Outbox {
    pub(super) fn new(max: usize, max_bytes: usize) -> Self {
        Self { letters: BTreeMap::new(), numbers: HashMap::new(), next_number: 0, bytes: 0, max, max_bytes }
    }

    /// Sends an event for the first time. Where there is no room, the oldest answers are given up.
    pub(super) fn send(
        &mut self,
        request: Option<EventId>,
        endpoint: EndpointId,
        event: Event,
        now: Timestamp,
    ) -> Vec<Effect> {
        let publication = Publication { endpoint, event: Arc::new(event), attempt: 1 };
        let mut effects = vec![Effect::Publish(publication.clone())];
        // The very same event again (an answer computed twice): the newer takes the older's place.
        if let Some(older) = self.remove(&publication.event.id) {
            effects.push(Effect::Finished { request: older, delivered: false });
        }
        let letter = Letter { request, publication, first_sent: now };
        self.bytes += letter.bytes();
        self.numbers.insert(letter.publication.event.id, self.next_number);
        self.letters.insert(self.next_number, letter);
        self.next_number += 1;
        while self.letters.len() > self.max || self.bytes > self.max_bytes {
            let Some((_, oldest)) = self.letters.pop_first() else { break };
            self.forget(&oldest);
            effects.push(oldest.given_up());
        }
        effects
    }

    /// Ends an answer; the request it belongs to.
    pub(super) fn remove(&mut self, event: &EventId) -> Option<Option<EventId>> {
        let number = self.numbers.get(event)?;
        let letter = self.letters.remove(number)?;
        self.forget(&letter);
        Some(letter.request)
    }

    /// Sends again what is due, once even if several times have passed, and gives up what was sent for the last time.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut done = Vec::new();
        for letter in self.letters.values_mut() {
            let passed = RESEND_AFTER.iter().filter(|after| now >= letter.first_sent.plus(**after)).count();
            let publication = &mut letter.publication;
            if usize::from(publication.attempt) > passed {
                continue;
            }
            publication.attempt = u8::try_from(passed + 1).unwrap_or(u8::MAX);
            effects.push(Effect::Publish(publication.clone()));
            if passed == RESEND_AFTER.len() {
                done.push(publication.event.id);
            }
        }
        for event in done {
            if let Some(request) = self.remove(&event) {
                effects.push(Effect::Finished { request, delivered: false });
            }
        }
        effects
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    fn forget(&mut self, letter: &Letter) {
        self.numbers.remove(&letter.publication.event.id);
        self.bytes -= letter.bytes();
    }
}
