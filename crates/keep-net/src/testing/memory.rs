//! A network without sockets, tasks or time, that loses, repeats, reorders, delays and corrupts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use keep_types::Event;
use nostr::JsonUtil;
use tokio::sync::watch;

use crate::relay::store::{Lifetime, Store, Stored, Verified};
use crate::rng::SplitMix;
use crate::subscription::{Feed, FeedOwner, Stage};
use crate::{
    Filter, InboxLimits, Outcome, Publication, RawEvent, RelayState, RelayStatus, RelayUrl, Relays,
    Subscription, Transport,
};

/// Stored events that the network keeps.
const MAX_STORED: usize = 10_000;

/// What happens to deliveries, each as a probability in a thousand, drawn for every receiver on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Lost.
    pub drop: u16,
    /// Delivered twice, the second time 1 to 8 ticks later.
    pub duplicate: u16,
    /// Delivered 1 to 4 ticks later, so that others overtake it.
    pub reorder: u16,
    /// Delivered 5 to 50 ticks later.
    pub delay: u16,
    /// One field is changed.
    pub corrupt: u16,
    /// The publisher gets no answer.
    pub no_answer: u16,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Events published.
    pub published: u64,
    /// Deliveries made, corrupted and repeated ones included.
    pub delivered: u64,
    /// Deliveries lost.
    pub dropped: u64,
    /// Deliveries repeated.
    pub duplicated: u64,
    /// Deliveries made later than others that were sent after them, or held at present.
    pub held: u64,
    /// Deliveries changed on the way.
    pub corrupted: u64,
}

/// A network in memory. The same seed and the same calls in the same order give the same deliveries.
///
/// Each published event is one tick of the network's time. What is held back comes when its tick has come, or with
/// [`MemoryNetwork::advance`] and [`MemoryNetwork::settle`].
#[derive(Clone)]
pub struct MemoryNetwork {
    shared: Arc<Shared>,
}

struct Shared {
    url: RelayUrl,
    limits: InboxLimits,
    state: Mutex<State>,
    status: watch::Sender<u64>,
}

struct State {
    rng: SplitMix,
    faults: Faults,
    feeds: BTreeMap<u64, (Arc<Feed>, u64)>,
    /// By tick and order.
    held: BTreeMap<(u64, u64), (u64, RawEvent)>,
    store: Store,
    tick: u64,
    order: u64,
    tally: Tally,
}

impl MemoryNetwork {
    /// A network with this weather.
    ///
    /// # Errors
    /// Never in practice: the built-in address is parsed.
    pub fn new(seed: u64, faults: Faults) -> Result<Self, crate::RelayUrlError> {
        let state = State {
            rng: SplitMix::seeded(seed),
            faults,
            feeds: BTreeMap::new(),
            held: BTreeMap::new(),
            store: Store::new(MAX_STORED, usize::MAX),
            tick: 0,
            order: 0,
            tally: Tally::default(),
        };
        let shared = Shared {
            url: "ws://memory.invalid".parse()?,
            limits: InboxLimits { copy_window: std::time::Duration::ZERO, ..InboxLimits::default() },
            state: Mutex::new(state),
            status: watch::Sender::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A participant's access.
    pub fn transport(&self) -> MemoryTransport {
        MemoryTransport { shared: self.shared.clone() }
    }

    /// Changes the weather from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.state().faults = faults;
    }

    /// Lets `ticks` pass and delivers what is due.
    pub fn advance(&self, ticks: u64) {
        let mut state = self.shared.state();
        state.tick = state.tick.saturating_add(ticks);
        self.shared.deliver_due(&mut state);
    }

    /// Delivers all that is held back.
    pub fn settle(&self) {
        let mut state = self.shared.state();
        if let Some(((last, _), _)) = state.held.last_key_value() {
            state.tick = state.tick.max(*last);
        }
        self.shared.deliver_due(&mut state);
    }

    /// What happened so far.
    pub fn tally(&self) -> Tally {
        self.shared.state().tally
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, event: &Event) -> Outcome {
        let raw = untrusted(event);
        let mut guard = self.state();
        let state = &mut *guard;
        state.tick += 1;
        state.tally.published += 1;
        let new = Lifetime::of(&raw) == Lifetime::Ephemeral
            || state.store.insert(&Arc::new(Verified { event: raw.clone(), json: "".into() })) == Stored::New;
        if new {
            let receivers: Vec<_> = state
                .feeds
                .iter()
                .filter(|(_, (feed, _))| feed.wanted().filters.iter().any(|f| f.matches(&raw)))
                .map(|(id, _)| *id)
                .collect();
            for receiver in receivers {
                self.send(state, receiver, raw.clone());
            }
        }
        self.deliver_due(state);
        if state.rng.chance(state.faults.no_answer) { Outcome::NoAnswer } else { Outcome::Accepted }
    }

    /// One delivery, through the weather.
    fn send(&self, state: &mut State, receiver: u64, mut event: RawEvent) {
        let faults = state.faults;
        if state.rng.chance(faults.drop) {
            state.tally.dropped += 1;
            return;
        }
        if state.rng.chance(faults.duplicate) {
            state.tally.duplicated += 1;
            let wait = 1 + state.rng.below(8);
            state.hold(receiver, event.clone(), wait);
        }
        if state.rng.chance(faults.corrupt) {
            state.tally.corrupted += 1;
            let (which, value) = (state.rng.below(6), state.rng.next_u64());
            event.corrupt(which, value);
        }
        let wait = if state.rng.chance(faults.reorder) {
            1 + state.rng.below(4)
        } else if state.rng.chance(faults.delay) {
            5 + state.rng.below(46)
        } else {
            self.deliver(state, receiver, event);
            return;
        };
        state.tally.held += 1;
        state.hold(receiver, event, wait);
    }

    fn deliver_due(&self, state: &mut State) {
        while let Some(entry) = state.held.first_entry() {
            if entry.key().0 > state.tick {
                return;
            }
            let (receiver, event) = entry.remove();
            self.deliver(state, receiver, event);
        }
    }

    fn deliver(&self, state: &mut State, receiver: u64, event: RawEvent) {
        if let Some((feed, _)) = state.feeds.get(&receiver) {
            feed.deliver(&self.url, event, false, Instant::now());
            state.tally.delivered += 1;
        }
    }
}

impl State {
    fn hold(&mut self, receiver: u64, event: RawEvent, ticks: u64) {
        self.order += 1;
        self.held.insert((self.tick + ticks, self.order), (receiver, event));
    }
}

impl FeedOwner for Shared {
    fn changed(&self, feed: &Arc<Feed>) {
        let mut state = self.state();
        if feed.is_closed() {
            state.feeds.remove(&feed.id);
            return;
        }
        let wanted = feed.wanted();
        let served = state.feeds.get(&feed.id).map(|(_, generation)| *generation);
        if !wanted.relays.contains(&self.url) || served == Some(wanted.generation) {
            return;
        }
        state.feeds.insert(feed.id, (feed.clone(), wanted.generation));
        for found in state.store.query(&wanted.filters, MAX_STORED).iter().rev() {
            feed.deliver(&self.url, found.event.clone(), true, Instant::now());
        }
        drop(state);
        feed.stage(&self.url, wanted.generation, Stage::Live);
    }
}

/// The event as a stranger's: to be verified by whoever receives it.
fn untrusted(event: &Event) -> RawEvent {
    let trusted = RawEvent::trusted(event);
    RawEvent::from_json(&event.as_json(), usize::MAX).unwrap_or(trusted)
}

/// One participant's [`Transport`] over a [`MemoryNetwork`]. Never waits, needs no runtime.
#[derive(Clone)]
pub struct MemoryTransport {
    shared: Arc<Shared>,
}

impl Transport for MemoryTransport {
    fn subscribe(&self, filters: Vec<Filter>, at: &Relays) -> Subscription {
        Subscription::new(Feed::new(filters, at.clone(), self.shared.limits), self.shared.clone())
    }

    fn publish(&self, event: &Event, _to: &Relays) -> Publication {
        let (publication, tickets) = Publication::new([self.shared.url.clone()]);
        let outcome = self.shared.publish(event);
        tickets.into_iter().for_each(|ticket| ticket.tell(outcome.clone()));
        publication
    }

    fn status(&self) -> Vec<RelayStatus> {
        vec![RelayStatus {
            relay: self.shared.url.clone(),
            state: RelayState::Connected,
            received: self.shared.state().tally.delivered,
            malformed: 0,
            connections: 1,
        }]
    }

    fn status_changes(&self) -> watch::Receiver<u64> {
        self.shared.status.subscribe()
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryNetwork").field(&self.tally()).finish()
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryTransport")
    }
}

#[cfg(test)]
mod tests {
    use keep_types::Kind;
    use nostr::{EventBuilder, Keys};

    use super::*;

    fn run(seed: u64, faults: Faults) -> (Vec<String>, Tally) {
        let keys = Keys::parse("0000000000000000000000000000000000000000000000000000000000000003").unwrap();
        let network = MemoryNetwork::new(seed, faults).unwrap();
        let (alice, bob) = (network.transport(), network.transport());
        let inbox = bob.subscribe(vec![Filter::new()], &Relays::All);
        for i in 0..500u64 {
            let event = EventBuilder::new(Kind::from(24133), i.to_string())
                .custom_created_at(nostr::Timestamp::from_secs(i))
                .sign_with_keys(&keys)
                .unwrap();
            drop(alice.publish(&event, &Relays::All));
        }
        network.settle();
        let got = std::iter::from_fn(|| inbox.try_recv())
            .map(|r| match r.event.verify() {
                Ok(event) => event.content,
                Err(_) => "bad".to_owned(),
            })
            .collect();
        (got, network.tally())
    }

    #[test]
    fn fair_weather_delivers_everything_in_order() {
        let (got, tally) = run(1, Faults::default());
        assert_eq!(got, (0..500).map(|i| i.to_string()).collect::<Vec<_>>());
        assert_eq!((tally.published, tally.delivered), (500, 500));
    }

    #[test]
    fn the_same_seed_gives_the_same_weather() {
        let faults =
            Faults { drop: 100, duplicate: 100, reorder: 100, delay: 100, corrupt: 100, no_answer: 100 };
        let (a, tally) = run(7, faults);
        assert_eq!(run(7, faults), (a.clone(), tally));
        assert_ne!(run(8, faults).0, a);
        assert!((20..100).contains(&tally.dropped) && tally.duplicated > 20 && tally.held > 40);
        let bad = a.iter().filter(|content| *content == "bad").count() as u64;
        assert_eq!(bad, tally.corrupted, "every corruption is noticed");
        assert_eq!(tally.delivered, 500 - tally.dropped + tally.duplicated);
        assert_eq!(a.len() as u64, tally.delivered);
        let whole: Vec<u64> = a.iter().filter_map(|content| content.parse().ok()).collect();
        assert!(!whole.is_sorted());
    }

    #[test]
    fn stored_events_wait_for_late_subscribers() {
        let network = MemoryNetwork::new(1, Faults::default()).unwrap();
        let event = EventBuilder::new(Kind::from(1), "x").sign_with_keys(&Keys::generate()).unwrap();
        drop(network.transport().publish(&event, &Relays::All));
        let late = network.transport().subscribe(vec![Filter::new()], &Relays::All);
        assert!(late.try_recv().unwrap().stored);
        late.update(vec![Filter::new().kinds([Kind::from(2)])]);
        drop(network.transport().publish(&event, &Relays::All));
        assert_eq!(late.try_recv(), None);
    }
}
