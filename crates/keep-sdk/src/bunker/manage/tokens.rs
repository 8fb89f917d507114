//! Tokens: addresses that are handed out, whose secret carries a policy.

use std::collections::HashMap;

use keep_net::RelayUrl;
use keep_nip46::{BunkerUri, ConnectSecret};
use keep_policy::Limits;
use keep_signer::{Connections, Endpoint, NewEndpoint, Terms};
use keep_types::{DisplayText, EndpointId, ErrorCode, Fault};
use serde::{Deserialize, Serialize};

use super::{TokenView, named_policy};
use crate::bunker::calls::fresh_secret;
use crate::bunker::running::Running;
use crate::call::{Call, Class, Host};
use crate::keys::{bug, record};
use crate::views::Done;

/// What a token gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenTerms {
    /// The key; without it, the only one.
    pub key: Option<String>,
    /// The policy by name.
    pub policy: String,
    /// The owner's name for the token, and for the client that takes it.
    pub name: Option<String>,
    /// How many clients may connect with it.
    pub uses: u32,
    /// In how many seconds it, and what was granted for it, ends; without a number, never.
    pub seconds: Option<u64>,
    /// The relays; without any, those of the key's other addresses.
    pub relays: Vec<RelayUrl>,
    /// Bounds for each client.
    pub limits: Limits,
}

/// Makes a token.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreateToken {
    pub terms: TokenTerms,
}

impl Call for CreateToken {
    const NAME: &'static str = "nip46.token_create";
    const CLASS: Class = Class::Manage;
    type Reply = TokenView;

    fn run(self, host: &Host) -> Result<TokenView, Fault> {
        let terms = self.terms;
        host.check_intact()?;
        if terms.uses == 0 {
            return Err(Fault::new(ErrorCode::Usage, "a token has at least one use"));
        }
        let key = record(host, terms.key.as_deref())?;
        let connections = Connections::new(host.vault().clone());
        let relays: Vec<String> = match terms.relays.is_empty() {
            false => terms.relays.iter().map(ToString::to_string).collect(),
            true => {
                let endpoints = connections.endpoints()?;
                let own = |endpoint: &Endpoint| endpoint.key == key.id && !endpoint.asked_for;
                let latest = endpoints.into_iter().rfind(own);
                latest.map(|endpoint| endpoint.relays).ok_or_else(|| {
                    Fault::new(ErrorCode::Usage, "a token needs a relay")
                        .with_hint("name one with --relay wss://…")
                })?
            }
        };
        let (policy, follows) = named_policy(host, &terms.policy)?;
        let expires = terms.seconds.map(|seconds| host.now().plus(std::time::Duration::from_secs(seconds)));
        let new = NewEndpoint { key: key.id, relays, policy, limits: terms.limits, secret: fresh_secret()? };
        let name = terms.name;
        let with = Terms { name, follows, uses: terms.uses, expires, is_token: true, asked_for: false };
        let endpoint = connections.create_with(new, with)?;
        // Whoever gets the address may use it at once.
        host.state::<Running>().settle();
        view(host, &endpoint, key.name.to_string())
    }
}

/// Lists tokens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListTokens {}

impl Call for ListTokens {
    const NAME: &'static str = "nip46.tokens";
    const CLASS: Class = Class::Manage;
    type Reply = Vec<TokenView>;

    fn run(self, host: &Host) -> Result<Vec<TokenView>, Fault> {
        let names: HashMap<_, _> =
            host.vault().keys()?.into_iter().map(|key| (key.id, key.name.to_string())).collect();
        let endpoints = Connections::new(host.vault().clone()).endpoints()?;
        let tokens = endpoints.iter().filter(|endpoint| endpoint.is_token);
        tokens.map(|token| view(host, token, names.get(&token.key).cloned().unwrap_or_default())).collect()
    }
}

/// Withdraws a token, with the clients that took it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RevokeToken {
    pub token: String,
}

impl Call for RevokeToken {
    const NAME: &'static str = "nip46.token_revoke";
    const CLASS: Class = Class::Manage;
    type Reply = Done;

    fn run(self, host: &Host) -> Result<Done, Fault> {
        let connections = Connections::new(host.vault().clone());
        let id = find(&connections.endpoints()?, &self.token)?;
        connections.remove(id)?;
        host.state::<Running>().changed();
        Ok(Done {})
    }
}

/// The token that is meant by its id or the beginning of it, its name, or its address.
pub(super) fn find(endpoints: &[Endpoint], text: &str) -> Result<EndpointId, Fault> {
    let address = BunkerUri::parse(text).ok();
    let mut meant = endpoints.iter().filter(|endpoint| {
        endpoint.is_token
            && match &address {
                Some(uri) => endpoint.transport_key() == *uri.remote(),
                None => {
                    endpoint.name.as_deref() == Some(text)
                        || (text.len() >= 4 && endpoint.id.to_string().starts_with(text))
                }
            }
    });
    match (meant.next(), meant.next()) {
        (Some(endpoint), None) => Ok(endpoint.id),
        (Some(_), Some(_)) => Err(Fault::new(ErrorCode::Usage, "more than one token is meant")
            .with_hint("give more of its id, see `keep nip46 token list`")),
        (None, _) => {
            let shown = DisplayText::truncated(text, 80);
            Err(Fault::new(ErrorCode::NotFound, format!("there is no token \"{shown}\""))
                .with_hint("see `keep nip46 token list`"))
        }
    }
}

fn view(host: &Host, endpoint: &Endpoint, key: String) -> Result<TokenView, Fault> {
    let relays = endpoint.relays.iter().map(|relay| RelayUrl::parse(relay)).collect::<Result<Vec<_>, _>>()?;
    let expired = endpoint.is_expired(host.now());
    let secret = endpoint.unused_secret().filter(|_| !expired).and_then(ConnectSecret::parse);
    let uri = BunkerUri::new(endpoint.transport_key(), relays, secret.as_ref())
        .map_err(|error| bug(&error.to_string()))?;
    Ok(TokenView {
        id: endpoint.id.to_string(),
        name: endpoint.name.clone(),
        bunker_url: uri.to_string(),
        key,
        policy: endpoint.policy.name.clone(),
        uses: endpoint.uses(),
        used: endpoint.used(),
        expires_at: endpoint.expires.map(|time| time.to_string()),
        expired,
        relays: endpoint.relays.clone(),
        created_at: endpoint.created_at.to_string(),
        stopped: endpoint.stopped,
    })
}
