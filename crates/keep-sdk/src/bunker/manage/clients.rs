//! Connected clients: listed, revoked, allowed kinds.

use std::collections::HashMap;

use keep_policy::{Effect, Grant, Rule};
use keep_signer::{Connections, Endpoint, GrantChange};
use keep_types::{DisplayText, ErrorCode, Fault, PublicKey};
use serde::{Deserialize, Serialize};

use super::views::{AppView, RevokedView};
use crate::bunker::running::Running;
use crate::call::{Call, Class, Host};
use crate::views::npub;

/// The grants of the client that `selector` means: the owner's name for it, its npub, its public key in hexadecimal or at
/// least 8 of its first digits. Never none.
pub(crate) fn client_grants(host: &Host, selector: &str) -> Result<Vec<Grant>, Fault> {
    let grants = Connections::new(host.vault().clone()).grants()?;
    let key = PublicKey::parse(selector).ok();
    let is_prefix = |grant: &Grant| selector.len() >= 8 && hex::encode(grant.client).starts_with(selector);
    let mut meant: Vec<Grant> = match key {
        Some(key) => grants.into_iter().filter(|grant| grant.client == key.to_bytes()).collect(),
        None => grants
            .into_iter()
            .filter(|grant| grant.name.as_deref() == Some(selector) || is_prefix(grant))
            .collect(),
    };
    let first = meant.first().map(|grant| grant.client);
    if meant.iter().any(|grant| Some(grant.client) != first) {
        let shown = DisplayText::truncated(selector, 80);
        return Err(Fault::new(ErrorCode::Usage, format!("more than one client is called \"{shown}\""))
            .with_hint("name it by its npub, see `keep nip46 apps`"));
    }
    if meant.is_empty() {
        let shown = DisplayText::truncated(selector, 80);
        return Err(Fault::new(ErrorCode::NotFound, format!("no client \"{shown}\" is connected"))
            .with_hint("`keep nip46 apps` lists those that are"));
    }
    meant.sort_by_key(|grant| grant.connected_at);
    Ok(meant)
}

pub(super) fn app_views(host: &Host, grants: &[Grant]) -> Result<Vec<AppView>, Fault> {
    let connections = Connections::new(host.vault().clone());
    let endpoints: HashMap<_, Endpoint> =
        connections.endpoints()?.into_iter().map(|endpoint| (endpoint.id, endpoint)).collect();
    let names: HashMap<_, _> =
        host.vault().keys()?.into_iter().map(|key| (key.id, key.name.to_string())).collect();
    grants
        .iter()
        .map(|grant| {
            let usage = connections.usage(&grant.client_key(), grant.endpoint)?;
            let key = names.get(&grant.key).cloned().unwrap_or_else(|| grant.key.to_string());
            Ok(AppView::new(grant, &usage, endpoints.get(&grant.endpoint), key, host.now()))
        })
        .collect()
}

/// Lists connected clients.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Apps {}

impl Call for Apps {
    const NAME: &'static str = "nip46.apps";
    const CLASS: Class = Class::Use;
    type Reply = Vec<AppView>;

    fn run(self, host: &Host) -> Result<Vec<AppView>, Fault> {
        let mut grants = Connections::new(host.vault().clone()).grants()?;
        grants.sort_by_key(|grant| (grant.connected_at, grant.client));
        app_views(host, &grants)
    }
}

/// Ends a client's connections.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Revoke {
    pub client: String,
}

impl Call for Revoke {
    const NAME: &'static str = "nip46.revoke";
    const CLASS: Class = Class::Manage;
    type Reply = RevokedView;

    fn run(self, host: &Host) -> Result<RevokedView, Fault> {
        let connections = Connections::new(host.vault().clone());
        let grants = client_grants(host, &self.client)?;
        for grant in &grants {
            connections.revoke(grant.client_key(), grant.endpoint)?;
        }
        host.state::<Running>().changed();
        let mut revoked: Vec<String> = grants.iter().map(|grant| npub(&grant.client_key())).collect();
        revoked.dedup();
        Ok(RevokedView { revoked })
    }
}

/// Allows clients to sign kinds of events without asking.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AutoApprove {
    pub client: Option<String>,
    pub kinds: Vec<u16>,
}

impl Call for AutoApprove {
    const NAME: &'static str = "nip46.auto_approve";
    const CLASS: Class = Class::Manage;
    type Reply = Vec<AppView>;

    fn run(self, host: &Host) -> Result<Vec<AppView>, Fault> {
        if self.kinds.is_empty() {
            return Err(Fault::new(ErrorCode::Usage, "no kind is named").with_hint("for example --kinds 1,7"));
        }
        let connections = Connections::new(host.vault().clone());
        let grants = match &self.client {
            Some(client) => client_grants(host, client)?,
            None => connections.grants()?,
        };
        if grants.is_empty() {
            return Err(Fault::new(ErrorCode::NotFound, "no client is connected")
                .with_hint("connect one with the address that `keep serve` prints"));
        }
        let rule = Rule { name: Some("auto-approve".to_owned()), ..Rule::sign(Effect::Allow, &self.kinds) };
        let changed: Result<Vec<Grant>, _> = grants
            .iter()
            .map(|grant| {
                let change = GrantChange { remember: Some(rule.clone()), ..GrantChange::default() };
                connections.change(grant.client_key(), grant.endpoint, change, false)
            })
            .collect();
        app_views(host, &changed?)
    }
}
