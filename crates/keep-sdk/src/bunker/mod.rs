//! Remote signing for Nostr clients (NIP-46): offers, and the service behind them.

mod acks;
mod activity;
mod answer;
mod auth;
mod calls;
mod endpoints;
pub(crate) mod manage;
pub(crate) mod pairing;
pub(crate) mod running;
mod service;

use std::collections::HashMap;
use std::sync::Arc;

use keep_net::{InboxLimits, PoolOptions, RelayPolicy, RelayPool, RelayUrl, Transport};
use keep_policy::{Limits, Policy};
use keep_signer::{Approver, Connections, Signer};
use keep_types::{Fault, KeyId, PublicKey, RequestId};

pub use activity::Activity;
pub use service::Serving;

pub(crate) use calls::{MakeNamedOffer, MakeOffer, WithdrawOffer};

use crate::keys::record;
use crate::{BunkerView, Keep, KeyView};
use endpoints::{Directory, Endpoints};
use running::Running;

/// Makes offers (`bunker://` URLs) for keys, and serves the clients that take them.
pub struct Bunker {
    keep: Keep,
    approver: Arc<dyn Approver>,
}

impl std::fmt::Debug for Bunker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bunker").field("keep", &self.keep).finish_non_exhaustive()
    }
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

/// A page on which a person can decide about a request that waits. Clients are told of it (`auth_url`).
pub trait ApprovalPage: std::fmt::Debug + Send + Sync {
    /// The address for this request; `None` if it has none. Whoever has the address is not yet allowed to decide: the client
    /// gets it.
    fn address(&self, request: RequestId) -> Option<String>;
}

/// How the service behaves.
#[derive(Debug, Clone, Default)]
pub struct BunkerOptions {
    /// Where a person can decide; clients whose requests wait are told.
    pub page: Option<Arc<dyn ApprovalPage>>,
    /// Time limits and bounds of the connections to relays. Authentication (NIP-42) is set by the bunker itself.
    pub pool: PoolOptions,
    /// Bounds on requests. The default suits a personal bunker.
    pub limits: keep_nip46::server::Limits,
}

impl Bunker {
    pub(crate) const fn new(keep: Keep, approver: Arc<dyn Approver>) -> Self {
        Self { keep, approver }
    }

    /// The URL that makes `offer` for `key`. An offer that was made before and not yet taken keeps its URL.
    ///
    /// # Errors
    /// [`InvalidInput`](keep_types::ErrorCode::InvalidInput) without a relay; when the vault cannot be written.
    pub fn offer(&self, key: &KeyView, offer: &Offer) -> Result<BunkerView, Fault> {
        self.keep.call(MakeOffer {
            pubkey: key.pubkey.clone(),
            relays: offer.relays.clone(),
            policy: offer.policy.clone(),
            follows: false,
            limits: offer.limits,
        })
    }

    /// The URL that offers `key` under the policy of this name: a built-in one, or one of the vault's own, whose changes
    /// then hold for whoever took the offer.
    ///
    /// # Errors
    /// As [`offer`](Self::offer); [`NotFound`](keep_types::ErrorCode::NotFound) without such a policy.
    pub fn offer_named(&self, key: &KeyView, relays: &[RelayUrl], policy: &str) -> Result<BunkerView, Fault> {
        self.keep.call(MakeNamedOffer {
            pubkey: key.pubkey.clone(),
            relays: relays.to_vec(),
            policy: policy.to_owned(),
        })
    }

    /// Takes an offer back: its URL leads nowhere, and the clients that took it are out.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound) when it is not an offer of this vault; when the vault cannot be written.
    pub fn withdraw(&self, bunker_url: &str) -> Result<(), Fault> {
        self.keep.call(WithdrawOffer { bunker_url: bunker_url.to_owned() }).map(drop)
    }

    /// Serves every endpoint of `key` on its relays until the result is dropped. Requests that an earlier process left
    /// open are answered first. Endpoints that are made meanwhile are served too.
    ///
    /// # Errors
    /// When the vault cannot be read or the relays cannot be used at all. A relay that is down is no error: it is tried
    /// again.
    pub async fn serve(self, key: &KeyView, options: BunkerOptions) -> Result<Serving, Fault> {
        self.serve_all(std::slice::from_ref(key), options).await
    }

    /// As [`serve`](Self::serve), for several keys at once.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_all(self, keys: &[KeyView], options: BunkerOptions) -> Result<Serving, Fault> {
        let ready = self.ready(keys)?;
        let mut pool = options.pool;
        pool.auth = Some(auth::answer_with(Arc::clone(&ready.directory), Arc::clone(ready.signer.vault())));
        let pool = Arc::new(RelayPool::new(pool)?);
        for relay in ready.directory.now().relays()? {
            // The owner named these relays; a bunker on the owner's own network is usual.
            pool.add(relay, RelayPolicy { allow_private: true });
        }
        ready.start(Arc::clone(&pool) as _, Some(pool), options.limits, options.page).await
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
        self.ready(std::slice::from_ref(key))?.start(transport, None, options.limits, options.page).await
    }

    /// What is served, once the vault is known to be in this process.
    fn ready(self, keys: &[KeyView]) -> Result<Ready, Fault> {
        let host = self.keep.host()?;
        let mut identities = HashMap::new();
        for key in keys {
            let record = record(host, Some(&key.pubkey))?;
            identities.insert(record.id, record.nostr_key());
        }
        let connections = Connections::new(Arc::clone(host.vault()));
        let records = connections.endpoints()?;
        let endpoints = Endpoints::open(host.vault(), records, &identities, &Endpoints::default())?;
        let signer = Arc::new(Signer::new(Arc::clone(host.vault()), self.approver));
        let directory = Arc::new(Directory::new(endpoints));
        Ok(Ready { signer, connections, directory, identities, running: host.state() })
    }

    /// Queue bounds for [`keep_net::EmbeddedRelay::local`] that suit a bunker.
    pub fn inbox_limits() -> InboxLimits {
        InboxLimits::default()
    }
}

/// A bunker whose endpoints are open.
struct Ready {
    signer: Arc<Signer>,
    connections: Connections,
    directory: Arc<Directory>,
    identities: HashMap<KeyId, PublicKey>,
    running: Arc<Running>,
}

impl Ready {
    async fn start(
        self,
        transport: Arc<dyn Transport>,
        pool: Option<Arc<RelayPool>>,
        limits: keep_nip46::server::Limits,
        page: Option<Arc<dyn ApprovalPage>>,
    ) -> Result<Serving, Fault> {
        let parts = service::Parts {
            signer: self.signer,
            connections: self.connections,
            identities: self.identities,
            directory: self.directory,
            transport,
            pool,
            page,
        };
        let serving = service::start(parts, limits).await?;
        self.running.add(serving.service());
        Ok(serving)
    }
}
