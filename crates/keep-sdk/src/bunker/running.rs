//! The bunkers that run in this process, so that what is changed in the vault reaches them at once.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use keep_net::RelayUrl;
use keep_types::KeyId;

use super::service::Service;

/// How long a caller waits for the relays to take a changed subscription.
const SETTLE: Duration = Duration::from_secs(10);

/// Bunkers that serve here.
#[derive(Debug, Default)]
pub(crate) struct Running {
    services: Mutex<Vec<Weak<Service>>>,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Service>>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, service: &Arc<Service>) {
        let mut services = self.lock();
        services.retain(|service| service.strong_count() > 0);
        services.push(Arc::downgrade(service));
    }

    fn services(&self) -> Vec<Arc<Service>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether a bunker serves in this process.
    pub(crate) fn is_serving(&self) -> bool {
        !self.services().is_empty()
    }

    /// Whether one of them serves this key at one of these relays.
    pub(crate) fn is_serving_at(&self, key: KeyId, relays: &[RelayUrl]) -> bool {
        self.services().iter().any(|service| service.serves_at(key, relays))
    }

    /// Endpoints or clients changed: every bunker looks at them anew.
    pub(crate) fn changed(&self) {
        self.services().iter().for_each(|service| service.look_anew(None));
    }

    /// As [`changed`](Self::changed), and waits until the relays know. Blocks the thread; a runtime of one thread
    /// would wait for itself until the time is over.
    pub(crate) fn settle(&self) {
        let waiting: Vec<Receiver<()>> = self
            .services()
            .iter()
            .map(|service| {
                let (done, wait) = sync_channel(1);
                service.look_anew(Some(done));
                wait
            })
            .collect();
        for wait in waiting {
            // A bunker that ends, or relays that do not answer, hold nothing up for longer.
            let _ = wait.recv_timeout(SETTLE);
        }
    }
}
