//! Answering a `nostrconnect://` address: the client asked for a signer, and gets one.

use std::sync::Arc;

use keep_net::{PoolOptions, RelayPolicy, RelayPool, RelayUrl, Relays, Transport};
use keep_nip46::envelope::{self, Seal};
use keep_nip46::message::{CallId, Reply};
use keep_nip46::{NostrConnectUri, TransportKey, UriError};
use keep_policy::Limits;
use keep_signer::{Claims, Connections, NewEndpoint, Terms};
use keep_types::{DisplayText, ErrorCode, Event, Fault, Scheme, SecretText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calls::fresh_secret;
use super::manage::named_policy;
use super::running::Running;
use crate::call::{Call, Class, Host};
use crate::keys::{bug, record};
use crate::views::npub;

/// On what terms a client that asked is connected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectTerms {
    /// The client's `nostrconnect://` address.
    pub uri: String,
    /// Whether it may be without the secret that NIP-46 requires. The client then takes whoever answers first for its bunker.
    #[serde(default)]
    pub without_secret: bool,
    /// The key; without it, the only one.
    pub key: Option<String>,
    /// The policy by name.
    pub policy: String,
    /// The owner's name for the client.
    pub name: Option<String>,
    /// For how many seconds; without a number, for ever.
    pub seconds: Option<u64>,
    /// Bounds.
    pub limits: Limits,
}

impl ConnectTerms {
    /// Reads the address.
    ///
    /// # Errors
    /// [`UriError`] names what does not fit.
    pub fn read_uri(&self) -> Result<NostrConnectUri, UriError> {
        let text = self.uri.trim();
        if self.without_secret {
            NostrConnectUri::parse_secretless(text)
        } else {
            NostrConnectUri::parse(text)
        }
    }
}

/// A client that was connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectedView {
    /// The client's public key in bech32 (NIP-19).
    pub npub: String,
    /// The client's public key in hexadecimal.
    pub client: String,
    /// What it calls itself. Unauthenticated.
    #[schemars(with = "Option<String>")]
    pub claims: Option<DisplayText>,
    /// What it wishes to be allowed. It is a wish: the policy decides.
    pub wishes: String,
    /// Its policy.
    pub policy: String,
    /// The name of the key that it may use.
    pub key: String,
    /// The relays on which it listens.
    pub relays: Vec<String>,
    /// The relays that took the answer.
    pub told: Vec<String>,
    /// Whether a bunker listens there now; otherwise `keep serve` has to be started.
    pub serving: bool,
}

/// Connects to a client that asked.
#[derive(Serialize, Deserialize)]
pub(crate) struct PairWith {
    pub terms: ConnectTerms,
}

impl Call for PairWith {
    const NAME: &'static str = "nip46.connect";
    const CLASS: Class = Class::Manage;
    type Reply = ConnectedView;

    fn run(self, host: &Host) -> Result<ConnectedView, Fault> {
        let terms = self.terms;
        host.check_intact()?;
        let uri = terms.read_uri()?;
        let key = record(host, terms.key.as_deref())?;
        let (policy, follows) = named_policy(host, &terms.policy)?;
        let connections = Connections::new(host.vault().clone());
        let seconds = terms.seconds.map(std::time::Duration::from_secs);
        let limits = Limits { expires: seconds.map(|length| host.now().plus(length)), ..terms.limits };
        // The secret of the endpoint is for this client alone, and used up at once.
        let secret = fresh_secret()?;
        let new = NewEndpoint {
            key: key.id,
            relays: uri.relays().iter().map(ToString::to_string).collect(),
            policy,
            limits,
            secret: secret.clone(),
        };
        let endpoint = connections
            .create_with(new, Terms { name: terms.name, follows, asked_for: true, ..Terms::default() })?;
        let outcome = (|| {
            let said = |text: &Option<DisplayText>| text.as_ref().map(ToString::to_string);
            let claims = Claims { name: said(&uri.metadata().name), url: said(&uri.metadata().url) };
            connections.connect_blocking(*uri.client(), endpoint.id, secret, claims)?;
            let running = host.state::<Running>();
            // The client may ask at once: the bunker must listen before the client knows of it.
            running.settle();
            let transport = TransportKey::new(&host.vault().transport_key(endpoint.id)?)?;
            let answer = answer(host, &uri, &transport)?;
            let told = host.runtime()?.block_on(publish(answer, uri.relays()))?;
            Ok(ConnectedView {
                npub: npub(uri.client()),
                client: uri.client().to_hex(),
                claims: uri.metadata().name.clone(),
                wishes: uri.permissions().to_string(),
                policy: endpoint.policy.name.clone(),
                key: key.name.to_string(),
                relays: endpoint.relays.clone(),
                told,
                serving: running.is_serving_at(key.id, uri.relays()),
            })
        })();
        if outcome.is_err() {
            // Nobody was told, so nobody is connected.
            connections.remove(endpoint.id)?;
            host.state::<Running>().changed();
        }
        outcome
    }
}

/// The answer that shows the client that its address was read: the secret of it, or `ack` if it has none.
fn answer(host: &Host, uri: &NostrConnectUri, transport: &TransportKey) -> Result<Event, Fault> {
    let mut random = [0; 80];
    getrandom::getrandom(&mut random).map_err(keep_vault::VaultError::from)?;
    let (mut nonce, mut aux_rand) = ([0; 32], [0; 32]);
    nonce.copy_from_slice(&random[..32]);
    aux_rand.copy_from_slice(&random[32..64]);
    let mut id = [0; 16];
    id.copy_from_slice(&random[64..]);
    let id = CallId::from_random(&id);
    let reply = match uri.secret() {
        Some(secret) => Reply::success(id, SecretText::new(secret.to_owned())),
        None => Reply::ack(id),
    };
    let seal = Seal { to: *uri.client(), scheme: Scheme::Nip44, created_at: host.now(), nonce, aux_rand };
    envelope::seal(transport, reply.to_json().expose(), &seal).map_err(|error| bug(&error.to_string()))
}

/// Sends the answer to the client's relays; those that took it.
async fn publish(answer: Event, relays: &[RelayUrl]) -> Result<Vec<String>, Fault> {
    let pool = Arc::new(RelayPool::new(PoolOptions::default())?);
    for relay in relays {
        // The owner read the address before giving it.
        pool.add(relay.clone(), RelayPolicy { allow_private: true });
    }
    let sent = pool.publish(&answer, &Relays::All);
    let reports = sent.reports().await;
    let told: Vec<String> = reports
        .into_iter()
        .filter(|report| matches!(report.outcome, keep_net::Outcome::Accepted | keep_net::Outcome::NoAnswer))
        .map(|report| report.relay.to_string())
        .collect();
    pool.shutdown().await;
    if told.is_empty() {
        return Err(Fault::new(ErrorCode::RelayUnreachable, "none of the client's relays took the answer"));
    }
    Ok(told)
}
