//! A small relay to embed: in memory, bounded, for quick starts, tests and local networks.

mod client;
mod connection;
mod hub;
mod listener;
mod local;
mod options;
pub(crate) mod store;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::hub::Hub;
pub use self::local::LocalTransport;
pub use self::options::RelayOptions;
use crate::{InboxLimits, NetError, RelayUrl};

/// How long [`EmbeddedRelay::shutdown`] waits for the connections.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// A Nostr relay (NIP-01, NIP-11, NIP-42) in this process.
///
/// Every event is verified once. What matches goes to other connections as the text that was received, and to
/// subscribers in this process ([`EmbeddedRelay::local`]) as the verified event. Ephemeral kinds are forwarded and not
/// stored. All bounds are in [`RelayOptions`]; a client that does not take what it subscribed to loses events, not
/// the relay memory.
pub struct EmbeddedRelay {
    hub: Arc<Hub>,
    address: SocketAddr,
    places: Arc<Semaphore>,
    listener: JoinHandle<()>,
}

impl EmbeddedRelay {
    /// Listens on `address` (port 0 for any free one).
    ///
    /// # Errors
    /// [`NetError::Bind`] with the reason.
    pub async fn bind(address: SocketAddr, options: RelayOptions) -> Result<Self, NetError> {
        let failed = |e: std::io::Error| NetError::Bind { address, reason: e.to_string() };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let url = match &options.public_url {
            Some(url) => url.clone(),
            None => format!("ws://{address}").parse()?,
        };
        let places = Arc::new(Semaphore::new(options.max_connections));
        let hub = Arc::new(Hub::new(url, options));
        let listener = tokio::spawn(listener::listen(listener, hub.clone(), places.clone()));
        Ok(Self { hub, address, places, listener })
    }

    /// The address to give to clients.
    pub fn url(&self) -> &RelayUrl {
        &self.hub.url
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A transport to this relay without a socket.
    pub fn local(&self, limits: InboxLimits) -> LocalTransport {
        LocalTransport::new(self.hub.clone(), limits)
    }

    /// How many forwarded events were dropped because a client did not take them.
    pub fn dropped(&self) -> u64 {
        self.hub.dropped()
    }

    /// Stops listening, says goodbye to all clients and waits for them, for 2 s at most.
    pub async fn shutdown(self) {
        self.stop();
        let all = u32::try_from(self.hub.options.max_connections).unwrap_or(u32::MAX);
        let _ = timeout(SHUTDOWN, self.places.acquire_many(all)).await;
    }

    fn stop(&self) {
        self.listener.abort();
        self.hub.close();
    }
}

impl Drop for EmbeddedRelay {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for EmbeddedRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedRelay").field("url", &self.hub.url).finish_non_exhaustive()
    }
}
