//! Several relays at once: one task each, one set of subscriptions for all.

mod authentication;
mod driver;
mod options;
mod outstanding;
mod relay;
mod requests;
mod session;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keep_types::Event;
use rustls::ClientConfig;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use self::driver::Driver;
pub use self::options::PoolOptions;
use self::outstanding::Job;
use self::relay::Relay;
use crate::mailbox::Mailbox;
use crate::message;
use crate::subscription::{Feed, FeedOwner, Stage};
use crate::{
    Filter, NetError, Outcome, Publication, RelayPolicy, RelayStatus, RelayUrl, Relays, Subscription,
    Transport, tls,
};

/// How long [`RelayPool::shutdown`] waits for the relays.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// Bytes of events that may wait to be sent to one relay.
const MAX_QUEUED_BYTES: usize = 64 << 20;

/// A [`Transport`] over real relays.
///
/// Each relay is connected to, and again after each loss with growing, jittered waits; pinged when it is silent; given
/// all subscriptions anew, from a little before the gap on. Queues are bounded everywhere: events for a relay that
/// does not take them are reported as [`Outcome::NotSent`], events from a relay that a subscriber does not take are
/// dropped and counted ([`Subscription::dropped`]).
///
/// Dropping the pool closes the connections; [`RelayPool::shutdown`] also waits for what is queued to be written.
pub struct RelayPool {
    inner: Arc<Inner>,
}

struct Inner {
    options: Arc<PoolOptions>,
    tls: Arc<ClientConfig>,
    runtime: Handle,
    relays: Mutex<BTreeMap<RelayUrl, Arc<Relay>>>,
    feeds: Mutex<BTreeMap<u64, Arc<Feed>>>,
    status: watch::Sender<u64>,
}

impl Inner {
    fn lock_relays(&self) -> MutexGuard<'_, BTreeMap<RelayUrl, Arc<Relay>>> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_feeds(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Feed>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn relays(&self) -> Vec<Arc<Relay>> {
        self.lock_relays().values().cloned().collect()
    }

    fn feeds(&self) -> Vec<Arc<Feed>> {
        self.lock_feeds().values().cloned().collect()
    }

    fn bump_status(&self) {
        self.status.send_modify(|version| *version = version.wrapping_add(1));
    }
}

impl FeedOwner for Inner {
    fn changed(&self, feed: &Arc<Feed>) {
        if feed.is_closed() {
            self.lock_feeds().remove(&feed.id);
        }
        for relay in self.relays() {
            relay.jobs.nudge();
        }
    }
}

impl RelayPool {
    /// A pool without relays, on the present tokio runtime.
    ///
    /// # Errors
    /// [`NetError::NoRuntime`] outside a runtime; [`NetError::Tls`] for an extra root that is no certificate.
    pub fn new(options: PoolOptions) -> Result<Self, NetError> {
        let runtime = Handle::try_current().map_err(|_| NetError::NoRuntime)?;
        let inner = Inner {
            tls: tls::client_config(&options.extra_roots)?,
            options: Arc::new(options),
            runtime,
            relays: Mutex::default(),
            feeds: Mutex::default(),
            status: watch::Sender::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Adds a relay and begins to connect. False if the pool has it already (its policy then stays).
    pub fn add(&self, url: RelayUrl, policy: RelayPolicy) -> bool {
        let options = &self.inner.options;
        let relay = {
            let mut relays = self.inner.lock_relays();
            if relays.contains_key(&url) {
                return false;
            }
            let jobs = Mailbox::new(options.max_queued, MAX_QUEUED_BYTES);
            let relay = Arc::new(Relay::new(url.clone(), policy, jobs));
            relays.insert(url.clone(), relay.clone());
            relay
        };
        for feed in self.inner.feeds() {
            feed.stage_now(&url, Stage::Opening);
        }
        let driver = Driver::new(self.inner.clone(), relay.clone());
        relay.set_task(self.inner.runtime.spawn(driver.run()));
        self.inner.bump_status();
        true
    }

    /// Leaves a relay. False if the pool does not have it.
    pub fn remove(&self, url: &RelayUrl) -> bool {
        let Some(relay) = self.inner.lock_relays().remove(url) else { return false };
        relay.jobs.close();
        for feed in self.inner.feeds() {
            feed.forget(url);
        }
        self.inner.bump_status();
        true
    }

    /// Writes what is queued, says goodbye to all relays, and ends all subscriptions. Takes 3 s at most.
    pub async fn shutdown(&self) {
        let relays = self.close();
        let tasks = relays.iter().filter_map(|relay| relay.take_task());
        let until = Instant::now() + SHUTDOWN;
        for mut task in tasks {
            if timeout(until.saturating_duration_since(Instant::now()), &mut task).await.is_err() {
                task.abort();
            }
        }
    }

    fn close(&self) -> Vec<Arc<Relay>> {
        let relays: Vec<_> = std::mem::take(&mut *self.inner.lock_relays()).into_values().collect();
        for relay in &relays {
            relay.jobs.close();
        }
        for feed in self.inner.feeds() {
            feed.close();
        }
        relays
    }
}

impl Drop for RelayPool {
    fn drop(&mut self) {
        self.close();
    }
}

impl Transport for RelayPool {
    fn subscribe(&self, filters: Vec<Filter>, at: &Relays) -> Subscription {
        let feed = Feed::new(filters, at.clone(), self.inner.options.inbox);
        // First, so that a relay that answers at once is not taken back to this stage.
        for relay in self.inner.relays() {
            feed.stage_now(&relay.url, Stage::Opening);
        }
        self.inner.lock_feeds().insert(feed.id, feed.clone());
        Subscription::new(feed, self.inner.clone())
    }

    fn publish(&self, event: &Event, to: &Relays) -> Publication {
        let relays = self.inner.relays();
        let chosen: Vec<_> = relays.into_iter().filter(|relay| to.contains(&relay.url)).collect();
        let missing = match to {
            Relays::All => Vec::new(),
            Relays::Only(urls) => {
                urls.iter().filter(|url| chosen.iter().all(|relay| relay.url != **url)).cloned().collect()
            }
        };
        let urls = chosen.iter().map(|relay| relay.url.clone()).chain(missing);
        let (publication, mut tickets) = Publication::new(urls);
        for ticket in tickets.drain(chosen.len()..) {
            ticket.tell(Outcome::NotSent("not one of the relays in use".into()));
        }
        let message = Utf8Bytes::from(message::publish(event));
        let deadline = Instant::now() + self.inner.options.publish_timeout;
        for (relay, ticket) in chosen.iter().zip(tickets) {
            let job = Job { id: event.id.to_bytes(), message: message.clone(), ticket, deadline };
            if let Err(job) = relay.jobs.push(job, message.len()) {
                job.ticket.tell(Outcome::NotSent("too many events wait for this relay".into()));
            }
        }
        publication
    }

    fn status(&self) -> Vec<RelayStatus> {
        self.inner.relays().iter().map(|relay| relay.status()).collect()
    }

    fn status_changes(&self) -> watch::Receiver<u64> {
        self.inner.status.subscribe()
    }
}

impl fmt::Debug for RelayPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RelayPool").field(&self.status()).finish()
    }
}
