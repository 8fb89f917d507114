//! What an embedded relay may be told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use keep_types::{Clock, SystemClock};

use crate::RelayUrl;

/// Bounds and habits of an [`crate::EmbeddedRelay`].
#[derive(Clone)]
pub struct RelayOptions {
    /// What the relay calls itself (NIP-11).
    pub name: String,
    /// The address that clients use, if it is not the one it listens on (NIP-42 is judged by it).
    pub public_url: Option<RelayUrl>,
    /// Connections at once; further ones are closed at once.
    pub max_connections: usize,
    /// Largest message that is read, in bytes.
    pub max_message: usize,
    /// Subscriptions of one connection.
    pub max_subscriptions: usize,
    /// Filters of one subscription.
    pub max_filters: usize,
    /// Values (ids, authors, kinds, tag values) in one filter.
    pub max_filter_values: usize,
    /// Stored events that one subscription gets at most.
    pub max_limit: usize,
    /// Events that are kept; beyond that those that came first go.
    pub max_stored: usize,
    /// Bytes of events that are kept.
    pub max_stored_bytes: usize,
    /// Events that may wait for one connection to take them. Beyond that they are dropped for this connection.
    pub max_waiting: usize,
    /// Bytes of such events.
    pub max_waiting_bytes: usize,
    /// Events of one connection per minute; `None` for any number.
    pub events_per_minute: Option<u32>,
    /// Whether anything needs an authentication first (NIP-42).
    pub require_auth: bool,
    /// For the HTTP request that opens a connection.
    pub handshake_timeout: Duration,
    /// A ping goes out when a client was silent for so long.
    pub ping_after: Duration,
    /// A client that is silent for so long after a ping, or does not take what is sent for so long, is gone.
    pub pong_timeout: Duration,
    /// The wall clock, for authentications.
    pub clock: Arc<dyn Clock>,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            name: "Keep relay".to_owned(),
            public_url: None,
            max_connections: 1024,
            max_message: 1 << 20,
            max_subscriptions: 128,
            max_filters: 32,
            max_filter_values: 10_000,
            max_limit: 1000,
            max_stored: 10_000,
            max_stored_bytes: 64 << 20,
            max_waiting: 16_384,
            max_waiting_bytes: 32 << 20,
            events_per_minute: None,
            require_auth: false,
            handshake_timeout: Duration::from_secs(10),
            ping_after: Duration::from_secs(60),
            pong_timeout: Duration::from_secs(20),
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for RelayOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayOptions")
            .field("name", &self.name)
            .field("max_connections", &self.max_connections)
            .field("max_message", &self.max_message)
            .field("require_auth", &self.require_auth)
            .finish_non_exhaustive()
    }
}
