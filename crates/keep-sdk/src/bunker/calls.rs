//! What can be asked about the offers of a bunker.

use keep_net::RelayUrl;
use keep_nip46::{BunkerUri, ConnectSecret};
use keep_policy::{Limits, Policy};
use keep_signer::{Connections, Endpoint, NewEndpoint, Terms};
use keep_types::{ErrorCode, Fault};
use serde::{Deserialize, Serialize};

use super::running::Running;
use crate::call::{Call, Class, Host};
use crate::keys::{bug, record};
use crate::views::Done;
use crate::{BunkerView, KeyView};

/// Makes an offer for a key, or finds the same one that was made before and not yet taken.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MakeOffer {
    pub pubkey: String,
    pub relays: Vec<RelayUrl>,
    pub policy: Policy,
    /// Whether it is one of the vault's own, of which only the name counts.
    #[serde(default)]
    pub follows: bool,
    pub limits: Limits,
}

impl Call for MakeOffer {
    const NAME: &'static str = "bunker.offer";
    const CLASS: Class = Class::Manage;
    type Reply = BunkerView;

    fn run(self, host: &Host) -> Result<BunkerView, Fault> {
        offer(host, self)
    }
}

/// Makes an offer with a policy by its name, which may be one of the vault's own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MakeNamedOffer {
    pub pubkey: String,
    pub relays: Vec<RelayUrl>,
    pub policy: String,
}

impl Call for MakeNamedOffer {
    const NAME: &'static str = "bunker.offer_named";
    const CLASS: Class = Class::Manage;
    type Reply = BunkerView;

    fn run(self, host: &Host) -> Result<BunkerView, Fault> {
        let (policy, follows) = super::manage::named_policy(host, &self.policy)?;
        let limits = Limits::default();
        offer(host, MakeOffer { pubkey: self.pubkey, relays: self.relays, policy, follows, limits })
    }
}

fn offer(host: &Host, wanted: MakeOffer) -> Result<BunkerView, Fault> {
    if wanted.relays.is_empty() {
        return Err(Fault::new(ErrorCode::InvalidInput, "a bunker needs at least one relay")
            .with_hint("name one with --relay wss://…"));
    }
    let key = record(host, Some(&wanted.pubkey))?;
    let connections = Connections::new(host.vault().clone());
    let relays: Vec<String> = wanted.relays.iter().map(ToString::to_string).collect();
    let is_the_same = |endpoint: &Endpoint| {
        endpoint.key == key.id
            && !endpoint.is_claimed()
            && !endpoint.is_token
            && endpoint.follows == wanted.follows
            && !endpoint.stopped
            && endpoint.relays == relays
            && endpoint.policy == wanted.policy
            && endpoint.limits == wanted.limits
    };
    let endpoint = match connections.endpoints()?.into_iter().find(is_the_same) {
        Some(endpoint) => endpoint,
        None => {
            let (policy, limits) = (wanted.policy, wanted.limits);
            let new = NewEndpoint { key: key.id, relays, policy, limits, secret: fresh_secret()? };
            connections.create_with(new, Terms { follows: wanted.follows, ..Terms::default() })?
        }
    };
    // Whoever gets the address may use it at once.
    host.state::<Running>().settle();
    view(&KeyView::from(&key), &endpoint)
}

/// Takes an offer back.
#[derive(Serialize, Deserialize)]
pub(crate) struct WithdrawOffer {
    pub bunker_url: String,
}

impl Call for WithdrawOffer {
    const NAME: &'static str = "bunker.withdraw";
    const CLASS: Class = Class::Manage;
    type Reply = Done;

    fn run(self, host: &Host) -> Result<Done, Fault> {
        let uri = BunkerUri::parse(&self.bunker_url)?;
        let connections = Connections::new(host.vault().clone());
        let endpoints = connections.endpoints()?;
        let id =
            endpoints.iter().find(|endpoint| endpoint.transport_key() == *uri.remote()).map(|found| found.id);
        if id.map(|id| connections.remove(id)).transpose()?.unwrap_or(false) {
            host.state::<Running>().changed();
            return Ok(Done {});
        }
        Err(Fault::new(ErrorCode::NotFound, "this bunker address is not of this vault"))
    }
}

pub(super) fn fresh_secret() -> Result<String, Fault> {
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
        also_relays: Vec::new(),
    })
}
