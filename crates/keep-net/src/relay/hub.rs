//! Where events meet subscriptions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::options::RelayOptions;
use super::store::{Lifetime, Store, Stored, Verified};
use crate::mailbox::Mailbox;
use crate::message;
use crate::subscription::Feed;
use crate::{Filter, RawEvent, RelayUrl};

/// Where matching events go.
enum Sink {
    Connection(Arc<Mailbox<Utf8Bytes>>),
    /// In this process: gets the event itself, verified once and for all.
    Local(Arc<Feed>),
}

struct Subscriber {
    sink: Sink,
    requests: BTreeMap<String, Vec<Filter>>,
}

struct State {
    store: Store,
    subscribers: BTreeMap<u64, Subscriber>,
    closed: bool,
}

pub(super) struct Hub {
    pub options: RelayOptions,
    pub url: RelayUrl,
    state: Mutex<State>,
    next: AtomicU64,
    dropped: AtomicU64,
}

impl Hub {
    pub fn new(url: RelayUrl, options: RelayOptions) -> Self {
        let store = Store::new(options.max_stored, options.max_stored_bytes);
        Self {
            options,
            url,
            state: Mutex::new(State { store, subscribers: BTreeMap::new(), closed: false }),
            next: AtomicU64::new(1),
            dropped: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection with its mailbox; `None` once the relay is closed.
    pub fn join(&self) -> Option<(u64, Arc<Mailbox<Utf8Bytes>>)> {
        let mailbox = Arc::new(Mailbox::new(self.options.max_waiting, self.options.max_waiting_bytes));
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.enter(id, Sink::Connection(mailbox.clone())).then_some((id, mailbox))
    }

    fn enter(&self, id: u64, sink: Sink) -> bool {
        let mut state = self.state();
        if !state.closed {
            state.subscribers.insert(id, Subscriber { sink, requests: BTreeMap::new() });
        }
        !state.closed
    }

    pub fn leave(&self, id: u64) {
        self.state().subscribers.remove(&id);
    }

    /// Whether exactly this event was verified before, and is still stored.
    pub fn knows(&self, event: &RawEvent) -> bool {
        Lifetime::of(event) != Lifetime::Ephemeral && self.state().store.has(event)
    }

    /// Stores and forwards a verified event.
    pub fn accept(&self, event: RawEvent, json: &str) -> Stored {
        let lifetime = Lifetime::of(&event);
        // A copy: the received text is a slice of a much larger read buffer.
        let event = Arc::new(Verified { event, json: json.into() });
        let mut state = self.state();
        let stored = if lifetime == Lifetime::Ephemeral { Stored::New } else { state.store.insert(&event) };
        if stored == Stored::New {
            self.forward(&state, &event);
        }
        stored
    }

    fn forward(&self, state: &State, event: &Verified) {
        let now = Instant::now();
        for subscriber in state.subscribers.values() {
            let matching = subscriber.requests.iter().filter(|(_, filters)| any(filters, &event.event));
            match &subscriber.sink {
                Sink::Connection(mailbox) => {
                    for (name, _) in matching {
                        let text = Utf8Bytes::from(message::forward(name, &event.json));
                        let weight = text.len();
                        if mailbox.push(text, weight).is_err() {
                            self.dropped.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                Sink::Local(feed) => {
                    if matching.count() > 0 {
                        feed.deliver(&self.url, event.event.clone(), false, now);
                    }
                }
            }
        }
    }

    /// Opens or replaces a subscription and gives what is stored. Nothing that arrives meanwhile is missed or given
    /// twice. `None` if there are too many.
    pub fn subscribe(&self, id: u64, name: &str, filters: Vec<Filter>) -> Option<Vec<Arc<Verified>>> {
        let mut state = self.state();
        let found = state.store.query(&filters, self.options.max_limit);
        let requests = &mut state.subscribers.get_mut(&id)?.requests;
        if !requests.contains_key(name) && requests.len() >= self.options.max_subscriptions {
            return None;
        }
        requests.insert(name.to_owned(), filters);
        Some(found)
    }

    pub fn unsubscribe(&self, id: u64, name: &str) {
        if let Some(subscriber) = self.state().subscribers.get_mut(&id) {
            subscriber.requests.remove(name);
        }
    }

    /// Opens or replaces the one subscription of a feed in this process and delivers what is stored.
    pub fn subscribe_local(&self, id: u64, feed: &Arc<Feed>, filters: Vec<Filter>) {
        let now = Instant::now();
        let mut state = self.state();
        if state.closed {
            feed.close();
            return;
        }
        for found in state.store.query(&filters, self.options.max_limit).iter().rev() {
            feed.deliver(&self.url, found.event.clone(), true, now);
        }
        let requests = BTreeMap::from([(String::new(), filters)]);
        state.subscribers.insert(id, Subscriber { sink: Sink::Local(feed.clone()), requests });
    }

    /// A number for a subscriber in this process.
    pub fn local_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends all connections and subscriptions.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for subscriber in std::mem::take(&mut state.subscribers).into_values() {
            match subscriber.sink {
                Sink::Connection(mailbox) => mailbox.close(),
                Sink::Local(feed) => feed.close(),
            }
        }
    }

    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// How many forwarded events were dropped because a connection did not take them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn any(filters: &[Filter], event: &RawEvent) -> bool {
    filters.iter().any(|filter| filter.matches(event))
}
