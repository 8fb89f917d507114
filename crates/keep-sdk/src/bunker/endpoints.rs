//! The endpoints that are served, with their transport keys.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use keep_nip46::TransportKey;
use keep_signer::Endpoint;
use keep_types::{EndpointId, Fault, KeyId, PublicKey, RelayUrl};
use keep_vault::Vault;

/// An endpoint and its transport key.
#[derive(Debug)]
pub struct Served {
    pub record: Endpoint,
    pub transport: TransportKey,
    /// The public key in whose name it signs.
    pub author: PublicKey,
    /// The relays in the form that transports take.
    pub relays: Vec<RelayUrl>,
}

/// The endpoints as they are now.
#[derive(Debug)]
pub struct Directory(RwLock<Arc<Endpoints>>);

impl Directory {
    pub fn new(endpoints: Endpoints) -> Self {
        Self(RwLock::new(Arc::new(endpoints)))
    }

    pub fn now(&self) -> Arc<Endpoints> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn replace(&self, endpoints: Endpoints) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(endpoints);
    }
}

/// All of them, by public transport key and by id.
#[derive(Debug, Default)]
pub struct Endpoints {
    by_key: HashMap<PublicKey, Arc<Served>>,
    by_id: HashMap<EndpointId, Arc<Served>>,
}

impl Endpoints {
    /// The endpoints of these identities. What is open in `before` stays open.
    pub fn open(
        vault: &Vault,
        records: Vec<Endpoint>,
        identities: &HashMap<KeyId, PublicKey>,
        before: &Self,
    ) -> Result<Self, Fault> {
        let mut endpoints = Self::default();
        for record in records {
            let Some(author) = identities.get(&record.key).copied() else { continue };
            if let Some(known) = before.by_id.get(&record.id) {
                endpoints.by_key.insert(*known.transport.public_key(), Arc::clone(known));
                endpoints.by_id.insert(record.id, Arc::clone(known));
                continue;
            }
            let transport = TransportKey::new(&vault.transport_key(record.id)?)?;
            let relays =
                record.relays.iter().map(|relay| RelayUrl::parse(relay)).collect::<Result<Vec<_>, _>>()?;
            let id = record.id;
            let served = Arc::new(Served { record, transport, author, relays });
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

    /// Whether they are the same endpoints.
    pub fn are(&self, others: &Self) -> bool {
        self.by_id.len() == others.by_id.len() && self.by_id.keys().all(|id| others.by_id.contains_key(id))
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
