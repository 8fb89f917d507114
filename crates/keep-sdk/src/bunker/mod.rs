//! Remote signing for Nostr clients (NIP-46): offers, and the service behind them.

mod activity;
mod answer;
mod auth;
mod endpoints;
mod service;

use std::sync::Arc;

use keep_net::{InboxLimits, PoolOptions, RelayPolicy, RelayPool, RelayUrl, Transport};
use keep_nip46::{BunkerUri, ConnectSecret};
use keep_policy::{Limits, Policy};
use keep_signer::{Connections, Endpoint, NewEndpoint, Signer};
use keep_types::{ErrorCode, Fault};

pub use activity::Activity;
pub use service::Serving;

use crate::keys::bug;
use crate::{BunkerView, KeyView, Keys};
use endpoints::Endpoints;

/// Makes offers (`bunker://` URLs) for keys, and serves the clients that take them.
#[derive(Debug)]
pub struct Bunker {
    keys: Keys,
    signer: Arc<Signer>,
    connections: Connections,
}

/// What is offered to a client that connects.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The relays on which the bunker listens.
    pub relays: Vec<RelayUrl>,
    /// What the client may do.
    pub policy: Policy,
    /// Within which bounds.
    pub limits: Limits,
}

/// How the service behaves.
#[derive(Debug, Clone, Default)]
pub struct BunkerOptions {
    /// Time limits and bounds of the connections to relays. Authentication (NIP-42) is set by the bunker itself.
    pub pool: PoolOptions,
    /// Bounds on requests. The default suits a personal bunker.
    pub limits: keep_nip46::server::Limits,
}

impl Bunker {
    pub(crate) const fn new(keys: Keys, signer: Arc<Signer>, connections: Connections) -> Self {
        Self { keys, signer, connections }
    }

    /// The URL that makes `offer` for `key`. An offer that was made before and not yet taken keeps its URL.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] without a relay; when the vault cannot be written.
    pub fn offer(&self, key: &KeyView, offer: &Offer) -> Result<BunkerView, Fault> {
        if offer.relays.is_empty() {
            return Err(Fault::new(ErrorCode::InvalidInput, "a bunker needs at least one relay")
                .with_hint("name one with --relay wss://…"));
        }
        let record = self.keys.record(Some(&key.pubkey))?;
        let relays: Vec<String> = offer.relays.iter().map(ToString::to_string).collect();
        let is_the_same = |endpoint: &Endpoint| {
            endpoint.key == record.id
                && !endpoint.is_claimed()
                && endpoint.relays == relays
                && endpoint.policy == offer.policy
                && endpoint.limits == offer.limits
        };
        let endpoint = match self.connections.endpoints()?.into_iter().find(is_the_same) {
            Some(endpoint) => endpoint,
            None => self.connections.create(NewEndpoint {
                key: record.id,
                relays,
                policy: offer.policy.clone(),
                limits: offer.limits,
                secret: fresh_secret()?,
            })?,
        };
        view(key, &endpoint)
    }

    /// Takes an offer back: its URL leads nowhere, and the clients that took it are out.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when it is not an offer of this vault; when the vault cannot be written.
    pub fn withdraw(&self, bunker_url: &str) -> Result<(), Fault> {
        let uri = BunkerUri::parse(bunker_url)?;
        let endpoints = self.connections.endpoints()?;
        let id =
            endpoints.iter().find(|endpoint| endpoint.transport_key() == *uri.remote()).map(|found| found.id);
        if id.map(|id| self.connections.remove(id)).transpose()?.unwrap_or(false) {
            return Ok(());
        }
        Err(Fault::new(ErrorCode::NotFound, "this bunker address is not of this vault"))
    }

    /// Serves every endpoint of `key` on its relays until the result is dropped. Requests that an earlier process left
    /// open are answered first.
    ///
    /// # Errors
    /// When the vault cannot be read or the relays cannot be used at all. A relay that is down is no error: it is tried
    /// again.
    pub async fn serve(self, key: &KeyView, options: BunkerOptions) -> Result<Serving, Fault> {
        let endpoints = Arc::new(self.open_endpoints(key)?);
        let signer = Arc::clone(&self.signer);
        let mut pool = options.pool;
        pool.auth = Some(auth::answer_with(Arc::clone(&endpoints), Arc::clone(signer.vault())));
        let pool = RelayPool::new(pool)?;
        for relay in endpoints.relays()? {
            // The owner named these relays; a bunker on the owner's own network is usual.
            pool.add(relay, RelayPolicy { allow_private: true });
        }
        self.start(key, endpoints, Arc::new(pool), options.limits).await
    }

    /// As [`serve`](Self::serve), over a transport that is there already: an embedded relay, or one of a test.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_over(
        self,
        key: &KeyView,
        transport: Arc<dyn Transport>,
        options: BunkerOptions,
    ) -> Result<Serving, Fault> {
        let endpoints = Arc::new(self.open_endpoints(key)?);
        self.start(key, endpoints, transport, options.limits).await
    }

    fn open_endpoints(&self, key: &KeyView) -> Result<Endpoints, Fault> {
        let record = self.keys.record(Some(&key.pubkey))?;
        let own = self.connections.endpoints()?.into_iter().filter(|endpoint| endpoint.key == record.id);
        Endpoints::open(self.signer.vault(), own.collect())
    }

    async fn start(
        self,
        key: &KeyView,
        endpoints: Arc<Endpoints>,
        transport: Arc<dyn Transport>,
        limits: keep_nip46::server::Limits,
    ) -> Result<Serving, Fault> {
        let record = self.keys.record(Some(&key.pubkey))?;
        service::start(self.signer, self.connections, record.nostr_key(), endpoints, transport, limits).await
    }

    /// Queue bounds for [`keep_net::EmbeddedRelay::local`] that suit a bunker.
    pub fn inbox_limits() -> InboxLimits {
        InboxLimits::default()
    }
}

fn fresh_secret() -> Result<String, Fault> {
    let mut random = [0; 24];
    getrandom::getrandom(&mut random).map_err(keep_vault::VaultError::from)?;
    Ok(ConnectSecret::from_random(&random).expose().to_owned())
}

fn view(key: &KeyView, endpoint: &Endpoint) -> Result<BunkerView, Fault> {
    let relays = endpoint.relays.iter().map(|relay| RelayUrl::parse(relay)).collect::<Result<Vec<_>, _>>()?;
    let secret = endpoint.unused_secret().and_then(ConnectSecret::parse);
    let uri = BunkerUri::new(endpoint.transport_key(), relays, secret.as_ref())
        .map_err(|error| bug(&error.to_string()))?;
    Ok(BunkerView {
        bunker_url: uri.to_string(),
        npub: key.npub.clone(),
        pubkey: key.pubkey.clone(),
        relays: endpoint.relays.clone(),
        policy: endpoint.policy.name.clone(),
    })
}
