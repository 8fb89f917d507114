//! A vault with one key, one endpoint and one connected client.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keep_policy::{Builtin, Limits};
use keep_signer::{Connections, Endpoint, Headless, NewEndpoint, Repeatable, Signer};
use keep_store::{MemoryStore, Row, Scan, Store};
use keep_testing::clock::FakeClock;
use keep_types::{
    Answer, Event, EventTemplate, Intent, KeyId, Name, Origin, PublicKey, Request, RequestId, SecretText,
    Timestamp,
};
use keep_vault::{Environment, KdfCost, Vault};

pub const NOW: u64 = 1_800_000_000;

pub struct World {
    pub store: MemoryStore,
    pub vault: Arc<Vault>,
    pub clock: FakeClock,
    pub key: KeyId,
    pub author: PublicKey,
    pub endpoint: Endpoint,
}

pub fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

pub fn client(n: u8) -> PublicKey {
    let keys = secp256k1::Keypair::from_seckey_slice(secp256k1::SECP256K1, &[n; 32]).unwrap();
    PublicKey::from_byte_array(keys.x_only_public_key().0.serialize())
}

impl World {
    pub async fn new(policy: Builtin, limits: Limits) -> Self {
        let store = MemoryStore::new();
        let clock = FakeClock::at(Timestamp::from_secs(NOW));
        let environment = Environment::new(clock.clone()).allow_weak_kdf();
        let cost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
        let own: Arc<dyn Store> = Arc::new(store.another_handle());
        let vault = Arc::new(Vault::create(own, &passphrase(), [7; 32], cost, &environment).unwrap());
        let key = vault.generate_key(Name::new("main").unwrap()).unwrap();
        let endpoint =
            Connections::new(Arc::clone(&vault)).create(new_endpoint(key.id, policy, limits)).unwrap();
        let world = Self { store, vault, clock, key: key.id, author: key.nostr_key(), endpoint };
        world
            .connections()
            .connect(client(1), world.endpoint.id, Some("s3cret-s3cret-s3cret".into()), None)
            .await
            .unwrap();
        world
    }
    pub fn another_process(&self) -> Arc<Vault> {
        let environment = Environment::new(self.clock.clone()).allow_weak_kdf();
        Arc::new(Vault::open(Arc::new(self.store.another_handle()), &passphrase(), &environment).unwrap())
    }
    pub fn signer(&self) -> Signer {
        Signer::new(Arc::clone(&self.vault), Arc::new(Headless))
    }
    pub fn connections(&self) -> Connections {
        Connections::new(Arc::clone(&self.vault))
    }
    pub fn sign(&self, id: u8, kind: u16) -> Request {
        let template = EventTemplate::new(kind, "hello", vec![], NOW).into_unsigned(self.author).unwrap();
        self.request(id, Intent::SignEvent(template))
    }
    pub fn request(&self, id: u8, intent: Intent) -> Request {
        let origin = Origin::Nip46 { client: client(1), endpoint: self.endpoint.id };
        Request {
            id: RequestId::from_bytes([id; 32]),
            origin,
            key: self.key,
            intent,
            asked_at: self.vault.now(),
        }
    }
    pub fn take_away(&self, collection: u8) {
        for row in self.rows(collection) {
            self.store.another_handle().write(&mut |tx| tx.delete(collection, &row.id).map(drop)).unwrap();
        }
    }
    pub fn rows(&self, collection: u8) -> Vec<Row> {
        let mut rows = vec![];
        self.store
            .read(&mut |tx| {
                tx.scan(Scan { collection: Some(collection), ..Scan::everything() }, &mut |row| {
                    rows.push(row);
                    std::ops::ControlFlow::Continue(())
                })
            })
            .unwrap();
        rows
    }
}

pub fn new_endpoint(key: KeyId, policy: Builtin, limits: Limits) -> NewEndpoint {
    NewEndpoint {
        key,
        relays: vec!["ws://127.0.0.1:7777".into()],
        policy: policy.policy(),
        limits,
        secret: "s3cret-s3cret-s3cret".into(),
    }
}

pub fn repeatable(fingerprint: &str) -> Option<Repeatable> {
    Some(Repeatable { received: b"{}".to_vec(), fingerprint: Some(fingerprint.to_owned()) })
}

pub fn event(answer: Answer) -> Event {
    match answer {
        Answer::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

/// Keeps the store busy for a while, so that what is submitted meanwhile shares a batch.
pub fn hold_store(store: &MemoryStore, millis: u64) -> std::thread::JoinHandle<()> {
    let other = store.another_handle();
    let started = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&started);
    let thread = std::thread::spawn(move || {
        other
            .write(&mut |_| {
                flag.store(true, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(millis));
                Ok(())
            })
            .unwrap();
    });
    while !started.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    thread
}

pub fn world_sign(world: &World) -> Request {
    let template = EventTemplate::new(1, "hello", vec![], NOW).into_unsigned(world.author).unwrap();
    let origin = Origin::Nip46 { client: client(1), endpoint: world.endpoint.id };
    Request {
        id: RequestId::from_bytes([1; 32]),
        origin,
        key: world.key,
        intent: Intent::SignEvent(template),
        asked_at: Timestamp::from_secs(NOW),
    }
}
