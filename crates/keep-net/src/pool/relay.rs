//! What the pool and a relay's task share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinHandle;

use super::outstanding::Job;
use crate::mailbox::Mailbox;
use crate::{RelayPolicy, RelayState, RelayStatus, RelayUrl};

pub(crate) struct Relay {
    pub url: RelayUrl,
    pub policy: RelayPolicy,
    pub jobs: Mailbox<Job>,
    pub received: AtomicU64,
    pub malformed: AtomicU64,
    pub connections: AtomicU64,
    state: Mutex<RelayState>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Relay {
    pub fn new(url: RelayUrl, policy: RelayPolicy, jobs: Mailbox<Job>) -> Self {
        Self {
            url,
            policy,
            jobs,
            received: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            state: Mutex::new(RelayState::Connecting),
            task: Mutex::new(None),
        }
    }

    /// Sets the state; false if it is that already.
    pub fn set_state(&self, new: RelayState) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == new {
            return false;
        }
        tracing::debug!(relay = %self.url, state = %new, "relay");
        *state = new;
        true
    }

    pub fn status(&self) -> RelayStatus {
        RelayStatus {
            relay: self.url.clone(),
            state: self.state.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            received: self.received.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
        }
    }

    pub fn set_task(&self, task: JoinHandle<()>) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    pub fn take_task(&self) -> Option<JoinHandle<()>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
