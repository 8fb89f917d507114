//! What a pool may be told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use keep_types::{Clock, SystemClock};

use crate::{AuthSigner, InboxLimits};

/// Time limits and bounds of a [`crate::RelayPool`]. The defaults suit a bunker on the internet.
#[derive(Clone)]
pub struct PoolOptions {
    /// For resolving, connecting, TLS and the websocket handshake together.
    pub connect_timeout: Duration,
    /// After that a relay that sent no EOSE is believed to serve a subscription.
    pub eose_timeout: Duration,
    /// After that a published event counts as not answered.
    pub publish_timeout: Duration,
    /// A ping goes out when a relay was silent for so long.
    pub ping_after: Duration,
    /// A relay that is silent for so long after a ping is dead. It is also how long a relay may refuse to take what
    /// we write.
    pub pong_timeout: Duration,
    /// The shortest window to wait in before connecting again; it doubles with each failure.
    pub backoff_base: Duration,
    /// The longest such window.
    pub backoff_cap: Duration,
    /// How far before a gap a renewed subscription begins, because clocks differ.
    pub overlap: Duration,
    /// Largest message that is read, in bytes.
    pub max_message: usize,
    /// Events that may wait to be sent to one relay.
    pub max_queued: usize,
    /// Sent events of one relay whose answer is awaited; beyond that the oldest count as not answered.
    pub max_unanswered: usize,
    /// Bounds of each subscription's queue.
    pub inbox: InboxLimits,
    /// Who answers authentication requests (NIP-42).
    pub auth: Option<Arc<dyn AuthSigner>>,
    /// Certificates (DER) that are trusted for `wss` beside Mozilla's roots.
    pub extra_roots: Vec<Vec<u8>>,
    /// The wall clock, for `since`.
    pub clock: Arc<dyn Clock>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            eose_timeout: Duration::from_secs(3),
            publish_timeout: Duration::from_secs(10),
            ping_after: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(60),
            overlap: Duration::from_secs(120),
            max_message: 1 << 20,
            max_queued: 8192,
            max_unanswered: 8192,
            inbox: InboxLimits::default(),
            auth: None,
            extra_roots: Vec::new(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for PoolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolOptions")
            .field("connect_timeout", &self.connect_timeout)
            .field("publish_timeout", &self.publish_timeout)
            .field("max_message", &self.max_message)
            .field("auth", &self.auth.is_some())
            .finish_non_exhaustive()
    }
}
