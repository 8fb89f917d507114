//! The joint between Keep and the network.

use std::fmt;

use keep_types::{DisplayText, Event};
use tokio::sync::watch;

use crate::{Filter, Publication, RawEvent, RelayUrl, Subscription};

/// How the rest of Keep sends and receives Nostr events, without knowing relays.
///
/// Nothing here waits: the returned [`Subscription`] and [`Publication`] do. Everything is bounded, and what a bound
/// cuts off is counted or reported, never awaited.
pub trait Transport: Send + Sync + 'static {
    /// Opens a subscription at the relays named. It is renewed by itself whenever a relay was away, with what
    /// happened meanwhile as far as that relay stored it, and ends when the value is dropped.
    fn subscribe(&self, filters: Vec<Filter>, at: &Relays) -> Subscription;

    /// Sends an event to the relays named. Dropping the returned value does not take it back.
    fn publish(&self, event: &Event, to: &Relays) -> Publication;

    /// The relays and how they are.
    fn status(&self) -> Vec<RelayStatus>;

    /// Changes whenever [`Transport::status`] does.
    fn status_changes(&self) -> watch::Receiver<u64>;
}

/// Which relays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Relays {
    /// All that the transport has, and will have.
    #[default]
    All,
    /// These only.
    Only(Vec<RelayUrl>),
}

impl Relays {
    /// Whether `relay` is one of them.
    pub fn contains(&self, relay: &RelayUrl) -> bool {
        match self {
            Self::All => true,
            Self::Only(list) => list.contains(relay),
        }
    }
}

impl From<RelayUrl> for Relays {
    fn from(relay: RelayUrl) -> Self {
        Self::Only(vec![relay])
    }
}

/// An event that arrived. It matches the subscription's filters; nothing else about it is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The relay that delivered it first.
    pub relay: RelayUrl,
    /// The event, unverified.
    pub event: RawEvent,
    /// Whether the relay had stored it before the subscription began.
    pub stored: bool,
}

/// How a relay is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayState {
    /// On the way.
    Connecting,
    /// Ready.
    Connected,
    /// Connected, but the relay serves nothing without an authentication (NIP-42) that was not given or not accepted.
    AuthRequired,
    /// Not connected; tried again by itself.
    Failed {
        /// Why, neutralised.
        reason: DisplayText,
    },
}

impl fmt::Display for RelayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.pad("connecting"),
            Self::Connected => f.pad("connected"),
            Self::AuthRequired => f.pad("asks for authentication"),
            Self::Failed { reason } => f.pad(reason.as_str()),
        }
    }
}

/// A relay, its state and what happened there since it was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayStatus {
    /// The relay.
    pub relay: RelayUrl,
    /// Its state.
    pub state: RelayState,
    /// Events that arrived, copies and dropped ones included.
    pub received: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// How often a connection was made.
    pub connections: u64,
}
