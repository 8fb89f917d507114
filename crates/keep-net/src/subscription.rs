//! One subscription, as the subscriber and as the relays' tasks see it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use keep_types::{DisplayText, PublicKey};
use tokio::sync::watch;

use crate::inbox::{Inbox, Pushed};
use crate::{Filter, InboxLimits, NetError, RawEvent, Received, RelayUrl, Relays};

/// A stream of events that match some filters. Dropping it ends the subscription at every relay.
///
/// May be shared between tasks; each event goes to one of them.
pub struct Subscription {
    feed: Arc<Feed>,
    owner: Arc<dyn FeedOwner>,
}

/// A transport, as a subscription of it sees it.
pub(crate) trait FeedOwner: Send + Sync {
    /// The feed's filters changed, or it ended.
    fn changed(&self, feed: &Arc<Feed>);
}

impl Subscription {
    pub(crate) fn new(feed: Arc<Feed>, owner: Arc<dyn FeedOwner>) -> Self {
        owner.changed(&feed);
        Self { feed, owner }
    }

    /// The next event; `None` after the transport was shut down.
    pub async fn recv(&self) -> Option<Received> {
        self.feed.inbox.pop().await
    }

    /// The next event, if one waits.
    pub fn try_recv(&self) -> Option<Received> {
        self.feed.inbox.try_pop()
    }

    /// Asks for other events from now on. Relays are asked anew before the old request is closed, so that nothing
    /// that matches both is missed; [`Subscription::subscribed`] then waits for the new request.
    pub fn update(&self, filters: Vec<Filter>) {
        self.feed.update(filters);
        self.owner.changed(&self.feed);
    }

    /// The authors who are served before all others and cannot be crowded out by them (replaces earlier ones).
    pub fn prefer(&self, authors: impl IntoIterator<Item = PublicKey>) {
        self.feed.inbox.prefer(authors);
    }

    /// Waits until every relay serves the subscription, or has failed to. Some relays never say that they do (no
    /// EOSE for `limit: 0`); after a grace period they are believed to.
    ///
    /// # Errors
    /// [`NetError::NoRelay`]; [`NetError::Unreachable`] when none serves it; [`NetError::Closed`].
    pub async fn subscribed(&self) -> Result<Vec<RelayUrl>, NetError> {
        self.feed.settled().await
    }

    /// How many events were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.feed.inbox.dropped()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.close();
        self.owner.changed(&self.feed);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("id", &self.feed.id).finish_non_exhaustive()
    }
}

/// How far one relay is with a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not yet answered.
    Opening,
    /// Served.
    Live,
    /// Not served, for this reason.
    Failed(DisplayText),
}

/// What is asked for; a new generation with each change.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub generation: u64,
    pub filters: Arc<[Filter]>,
    pub relays: Relays,
}

struct State {
    wanted: Wanted,
    stages: BTreeMap<RelayUrl, Stage>,
    closed: bool,
}

/// The shared part of a subscription.
pub(crate) struct Feed {
    pub id: u64,
    inbox: Inbox,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl Feed {
    pub fn new(filters: Vec<Filter>, relays: Relays, limits: InboxLimits) -> Arc<Self> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let wanted = Wanted { generation: 0, filters: filters.into(), relays };
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            inbox: Inbox::new(limits),
            state: Mutex::new(State { wanted, stages: BTreeMap::new(), closed: false }),
            changed: watch::Sender::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wanted(&self) -> Wanted {
        self.state().wanted.clone()
    }

    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Asks for other events: a new generation.
    pub fn update(&self, filters: Vec<Filter>) {
        let mut state = self.state();
        state.wanted.generation += 1;
        state.wanted.filters = filters.into();
        // A relay that is away is not waited for; one that refused is asked again.
        for stage in state.stages.values_mut() {
            *stage = Stage::Opening;
        }
    }

    /// Ends the feed, from either side.
    pub fn close(&self) {
        self.state().closed = true;
        self.inbox.close();
        self.bump();
    }

    fn bump(&self) {
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Notes how far `relay` is with `generation`; an older generation changes nothing.
    pub fn stage(&self, relay: &RelayUrl, generation: u64, stage: Stage) {
        let mut state = self.state();
        if state.wanted.generation != generation || !state.wanted.relays.contains(relay) {
            return;
        }
        state.stages.insert(relay.clone(), stage);
        drop(state);
        self.bump();
    }

    /// Notes how far `relay` is, whatever the generation.
    pub fn stage_now(&self, relay: &RelayUrl, stage: Stage) {
        let generation = self.state().wanted.generation;
        self.stage(relay, generation, stage);
    }

    /// The relay is gone for good.
    pub fn forget(&self, relay: &RelayUrl) {
        self.state().stages.remove(relay);
        self.bump();
    }

    pub fn deliver(&self, relay: &RelayUrl, event: RawEvent, stored: bool, now: Instant) -> Pushed {
        self.inbox.push(Received { relay: relay.clone(), event, stored }, now)
    }

    async fn settled(&self) -> Result<Vec<RelayUrl>, NetError> {
        let mut changes = self.changed.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(result) = self.verdict() {
                return result;
            }
            if changes.changed().await.is_err() {
                return Err(NetError::Closed);
            }
        }
    }

    /// `None` while a relay has not answered.
    fn verdict(&self) -> Option<Result<Vec<RelayUrl>, NetError>> {
        let state = self.state();
        if state.closed {
            return Some(Err(NetError::Closed));
        }
        if state.stages.is_empty() {
            return Some(Err(NetError::NoRelay));
        }
        if state.stages.values().any(|stage| *stage == Stage::Opening) {
            return None;
        }
        let live: Vec<_> =
            state.stages.iter().filter(|(_, s)| **s == Stage::Live).map(|(r, _)| r.clone()).collect();
        if !live.is_empty() {
            return Some(Ok(live));
        }
        let reasons: Vec<_> = state
            .stages
            .iter()
            .filter_map(|(relay, stage)| match stage {
                Stage::Failed(reason) => Some(format!("{relay}: {reason}")),
                Stage::Opening | Stage::Live => None,
            })
            .collect();
        Some(Err(NetError::Unreachable { reasons: DisplayText::truncated(&reasons.join("; "), 500) }))
    }
}
