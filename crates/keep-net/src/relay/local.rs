//! The embedded relay as a transport for its own process: no socket, no second verification.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use keep_types::Event;
use nostr::JsonUtil;
use tokio::sync::watch;

use super::hub::Hub;
use crate::subscription::{Feed, FeedOwner, Stage};
use crate::{
    Filter, InboxLimits, Outcome, Publication, RawEvent, RelayState, RelayStatus, Relays, Subscription,
    Transport,
};

/// A [`Transport`] to one embedded relay in the same process.
///
/// Events that arrive carry the relay's own verification, so that [`RawEvent::verify`] costs nothing. Events that are
/// published are taken as signed by this process and are not verified again.
#[derive(Clone)]
pub struct LocalTransport {
    owner: Arc<Owner>,
}

struct Owner {
    hub: Arc<Hub>,
    limits: InboxLimits,
    /// By feed: the number at the hub, and the generation that is served.
    feeds: Mutex<HashMap<u64, (u64, u64)>>,
    status: watch::Sender<u64>,
}

impl FeedOwner for Owner {
    fn changed(&self, feed: &Arc<Feed>) {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        if feed.is_closed() {
            if let Some((id, _)) = feeds.remove(&feed.id) {
                self.hub.leave(id);
            }
            return;
        }
        let wanted = feed.wanted();
        let served = feeds.get(&feed.id).copied();
        if !wanted.relays.contains(&self.hub.url) || served.is_some_and(|(_, g)| g == wanted.generation) {
            return;
        }
        let id = served.map_or_else(|| self.hub.local_id(), |(id, _)| id);
        feeds.insert(feed.id, (id, wanted.generation));
        self.hub.subscribe_local(id, feed, wanted.filters.to_vec());
        feed.stage(&self.hub.url, wanted.generation, Stage::Live);
    }
}

impl LocalTransport {
    pub(super) fn new(hub: Arc<Hub>, limits: InboxLimits) -> Self {
        let owner = Owner { hub, limits, feeds: Mutex::default(), status: watch::Sender::new(0) };
        Self { owner: Arc::new(owner) }
    }
}

impl Transport for LocalTransport {
    fn subscribe(&self, filters: Vec<Filter>, at: &Relays) -> Subscription {
        let feed = Feed::new(filters, at.clone(), self.owner.limits);
        Subscription::new(feed, self.owner.clone())
    }

    fn publish(&self, event: &Event, to: &Relays) -> Publication {
        let hub = &self.owner.hub;
        let urls = match to {
            Relays::All => vec![hub.url.clone()],
            Relays::Only(urls) => urls.clone(),
        };
        let (publication, tickets) = Publication::new(urls.iter().cloned());
        for (url, ticket) in urls.iter().zip(tickets) {
            if *url != hub.url {
                ticket.tell(Outcome::NotSent("not one of the relays in use".into()));
            } else if hub.is_closed() {
                ticket.tell(Outcome::NotSent("the relay has been shut down".into()));
            } else {
                hub.accept(RawEvent::trusted(event), &event.as_json());
                ticket.tell(Outcome::Accepted);
            }
        }
        publication
    }

    fn status(&self) -> Vec<RelayStatus> {
        let hub = &self.owner.hub;
        let state = if hub.is_closed() {
            RelayState::Failed { reason: "the relay has been shut down".into() }
        } else {
            RelayState::Connected
        };
        vec![RelayStatus { relay: hub.url.clone(), state, received: 0, malformed: 0, connections: 1 }]
    }

    fn status_changes(&self) -> watch::Receiver<u64> {
        self.owner.status.subscribe()
    }
}

impl fmt::Debug for LocalTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalTransport").field(&self.owner.hub.url).finish()
    }
}
