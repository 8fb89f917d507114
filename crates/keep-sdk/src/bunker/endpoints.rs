//! The endpoints that are served, with their transport keys.

use std::collections::HashMap;
use std::sync::Arc;

use keep_nip46::TransportKey;
use keep_signer::Endpoint;
use keep_types::{EndpointId, Fault, PublicKey, RelayUrl};
use keep_vault::Vault;

/// An endpoint and its transport key.
#[derive(Debug)]
pub struct Served {
    pub record: Endpoint,
    pub transport: TransportKey,
    /// The relays in the form that transports take.
    pub relays: Vec<RelayUrl>,
}

/// All of them, by public transport key and by id.
#[derive(Debug, Default)]
pub struct Endpoints {
    by_key: HashMap<PublicKey, Arc<Served>>,
    by_id: HashMap<EndpointId, Arc<Served>>,
}

impl Endpoints {
    pub fn open(vault: &Vault, records: Vec<Endpoint>) -> Result<Self, Fault> {
        let mut endpoints = Self::default();
        for record in records {
            let transport = TransportKey::new(&vault.transport_key(record.id)?)?;
            let relays =
                record.relays.iter().map(|relay| RelayUrl::parse(relay)).collect::<Result<Vec<_>, _>>()?;
            let id = record.id;
            let served = Arc::new(Served { record, transport, relays });
            endpoints.by_key.insert(*served.transport.public_key(), Arc::clone(&served));
            endpoints.by_id.insert(id, served);
        }
        Ok(endpoints)
    }

    /// The endpoint that an event with these tags is addressed to.
    pub fn addressed(&self, tags: &[Vec<String>]) -> Option<&Arc<Served>> {
        let named = |tag: &Vec<String>| match tag.as_slice() {
            [name, value, ..] if name == "p" => PublicKey::from_hex(value).ok(),
            _ => None,
        };
        tags.iter().filter_map(named).find_map(|key| self.by_key.get(&key))
    }

    pub fn get(&self, id: EndpointId) -> Option<&Arc<Served>> {
        self.by_id.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.by_id.values()
    }

    /// The public transport keys.
    pub fn keys(&self) -> Vec<PublicKey> {
        self.by_key.keys().copied().collect()
    }

    /// Every relay of every endpoint, once.
    pub fn relays(&self) -> Result<Vec<RelayUrl>, Fault> {
        let mut relays: Vec<RelayUrl> =
            self.by_id.values().flat_map(|served| served.relays.clone()).collect();
        relays.sort();
        relays.dedup();
        Ok(relays)
    }
}
