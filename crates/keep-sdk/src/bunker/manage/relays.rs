//! Moving the clients of an address to other relays.

use keep_net::RelayUrl;
use keep_signer::{Connections, Endpoint};
use keep_types::{DisplayText, EndpointId, ErrorCode, Fault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clients::client_grants;
use super::tokens::find;
use crate::bunker::running::Running;
use crate::call::{Call, Class, Host};

/// The most relays of one address.
const MOST: usize = 16;

/// An address whose clients were moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MovedView {
    /// The public transport key of the address, in hexadecimal.
    pub transport: String,
    /// The relays that its clients are told to use when they ask.
    pub relays: Vec<String>,
    /// The relays on which the bunker still listens, for clients that do not ask.
    pub left: Vec<String>,
}

/// Moves the clients of a client's or token's addresses to other relays.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MoveRelays {
    pub whose: String,
    pub relays: Vec<RelayUrl>,
}

impl Call for MoveRelays {
    const NAME: &'static str = "nip46.relays";
    const CLASS: Class = Class::Manage;
    type Reply = Vec<MovedView>;

    fn run(self, host: &Host) -> Result<Vec<MovedView>, Fault> {
        if self.relays.is_empty() || self.relays.len() > MOST {
            return Err(Fault::new(ErrorCode::Usage, format!("an address has 1 to {MOST} relays"))
                .with_hint("name them with --relay wss://…"));
        }
        let connections = Connections::new(host.vault().clone());
        let mut relays: Vec<String> = Vec::new();
        for relay in self.relays.iter().map(ToString::to_string) {
            if !relays.contains(&relay) {
                relays.push(relay);
            }
        }
        let endpoints = connections.endpoints()?;
        let moved: Result<Vec<Endpoint>, _> = meant(host, &endpoints, &self.whose)?
            .into_iter()
            .map(|id| connections.move_to(id, relays.clone()))
            .collect();
        // Whoever asks next is told of relays on which the bunker listens already.
        host.state::<Running>().settle();
        let view = |endpoint: Endpoint| MovedView {
            transport: endpoint.transport_key().to_hex(),
            relays: endpoint.relays,
            left: endpoint.left,
        };
        Ok(moved?.into_iter().map(view).collect())
    }
}

/// The addresses of a client, or a token's.
fn meant(host: &Host, endpoints: &[Endpoint], whose: &str) -> Result<Vec<EndpointId>, Fault> {
    match client_grants(host, whose) {
        Ok(grants) => {
            let mut ids: Vec<EndpointId> = grants.iter().map(|grant| grant.endpoint).collect();
            ids.sort();
            ids.dedup();
            ids.retain(|id| endpoints.iter().any(|endpoint| endpoint.id == *id));
            if ids.is_empty() {
                let message = "this client has not connected to an address yet";
                return Err(Fault::new(ErrorCode::NotFound, message));
            }
            Ok(ids)
        }
        Err(fault) if fault.code() == ErrorCode::NotFound => {
            find(endpoints, whose).map(|id| vec![id]).map_err(|_| {
                let shown = DisplayText::truncated(whose, 80);
                Fault::new(ErrorCode::NotFound, format!("there is no client or token \"{shown}\""))
                    .with_hint("see `keep nip46 apps` and `keep nip46 token list`")
            })
        }
        Err(fault) => Err(fault),
    }
}
