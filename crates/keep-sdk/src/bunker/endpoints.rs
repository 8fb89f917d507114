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
    pub transport: Arc<TransportKey>,
    /// The public key in whose name it signs.
    pub author: PublicKey,
    /// Every relay on which it listens, in the form that transports take.
    pub relays: Vec<RelayUrl>,
}

impl Served {
    /// Whether `record` is of the same endpoint on the same relays.
    fn listens_as(&self, record: &Endpoint) -> bool {
        self.record.id == record.id && self.record.relays == record.relays && self.record.left == record.left
    }

    /// The relays that a client should use from now on, if they are others than it was told when it connected.
    pub fn moved(&self) -> Option<&[RelayUrl]> {
        self.record.moved().map(|relays| &self.relays[..relays.len()])
    }
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
            let known = before.by_id.get(&record.id);
            if let Some(known) = known.filter(|known| known.listens_as(&record)) {
                endpoints.by_key.insert(*known.transport.public_key(), Arc::clone(known));
                endpoints.by_id.insert(record.id, Arc::clone(known));
                continue;
            }
            // One that only moved keeps its key, with the conversations that it knows.
            let transport = match known {
                Some(known) => Arc::clone(&known.transport),
                None => Arc::new(TransportKey::new(&vault.transport_key(record.id)?)?),
            };
            let relays =
                record.listens_on().map(|relay| RelayUrl::parse(relay)).collect::<Result<Vec<_>, _>>()?;
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
        let is_there = |served: &Arc<Served>| {
            others.by_id.get(&served.record.id).is_some_and(|other| other.listens_as(&served.record))
        };
        self.by_id.len() == others.by_id.len() && self.by_id.values().all(is_there)
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
