//! A vault that is driven by steps, and what must hold of it at any time.
#![allow(dead_code, clippy::unwrap_used)]

mod check;
mod step;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keep_policy::Builtin;
use keep_signer::{Connections, Headless, NewEndpoint, Repeatable, Signer, SignerError};
use keep_store::Store;
use keep_testing::clock::FakeClock;
use keep_types::{
    Answer, EndpointId, ErrorCode, Event, EventTemplate, Fault, Intent, KeyId, Name, Origin, PublicKey,
    Request, RequestId, SecretKey32, SecretText, Timestamp,
};
use keep_vault::{Environment, KdfCost, KeyRecord, Vault, VaultError};

#[allow(unused_imports)]
pub use check::check;
#[allow(unused_imports)]
pub use step::{Dice, Step, script};

pub const NOW: u64 = 1_800_000_000;
pub const CHEAP: KdfCost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
/// The key that always exists.
pub const MAIN: &str = "main";

pub fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

pub fn environment() -> Environment {
    Environment::new(FakeClock::at(Timestamp::from_secs(NOW))).allow_weak_kdf()
}

/// A directory in memory, where there is one.
pub fn quick_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn database(directory: &Path) -> PathBuf {
    directory.join("keep.db")
}

/// The public key of client number `n`.
pub fn client(n: usize) -> PublicKey {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&(n as u64 + 1).to_be_bytes());
    let pair = secp256k1::Keypair::from_seckey_slice(secp256k1::SECP256K1, &secret).unwrap();
    PublicKey::from_byte_array(pair.x_only_public_key().0.serialize())
}

fn secret(n: usize) -> String {
    format!("s3cret-s3cret-s3cret-{n}")
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// One vault, opened.
pub struct World {
    pub vault: Arc<Vault>,
    signer: Signer,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// A new vault with its main key.
    pub fn create(store: Arc<dyn Store>) -> Result<Self, VaultError> {
        let vault = Vault::create(store, &passphrase(), [7; 32], CHEAP, &environment())?;
        vault.generate_key(name(MAIN))?;
        Ok(Self::of(vault))
    }

    pub fn open(store: Arc<dyn Store>) -> Result<Self, VaultError> {
        Ok(Self::of(Vault::open(store, &passphrase(), &environment())?))
    }

    pub fn of(vault: Vault) -> Self {
        let vault = Arc::new(vault);
        let signer = Signer::new(Arc::clone(&vault), Arc::new(Headless));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { vault, signer, runtime }
    }

    pub fn connections(&self) -> Connections {
        Connections::new(Arc::clone(&self.vault))
    }

    pub fn key(&self, name: &str) -> Result<KeyRecord, Fault> {
        let found = self.vault.keys()?.into_iter().find(|key| key.name.as_str() == name);
        found.ok_or_else(|| VaultError::NoSuchKey.into())
    }

    /// The endpoint of client `n`, told by its relay.
    fn endpoint(&self, n: usize) -> Option<EndpointId> {
        let endpoints = self.connections().endpoints().unwrap();
        endpoints.iter().find(|endpoint| endpoint.relays == [relay(n)]).map(|endpoint| endpoint.id)
    }

    /// Whether client `n` is connected.
    pub fn is_connected(&self, n: usize) -> bool {
        let client = client(n).to_bytes();
        self.connections().grants().unwrap().iter().any(|grant| grant.client == client)
    }

    pub fn sign_as_owner(&self, key: &KeyRecord, text: &str) -> Result<Event, Fault> {
        let template = EventTemplate::new(1, text, vec![], NOW);
        event(self.ask_as_owner(key, Intent::SignEvent(template.into_unsigned(key.nostr_key())?))?)
    }

    pub fn ask_as_owner(&self, key: &KeyRecord, intent: Intent) -> Result<Answer, Fault> {
        let (id, asked_at) = (RequestId::random().unwrap(), Timestamp::from_secs(NOW));
        let request = Request { id, origin: Origin::Cli, key: key.id, intent, asked_at };
        Ok(self.signer.handle_blocking(request)?)
    }

    /// The request number `id` of client `n` for an event of `kind`.
    fn request(&self, n: usize, id: u64, kind: u16, text: &str) -> Result<(Request, Repeatable), Fault> {
        let key = self.key(MAIN)?;
        let endpoint = self.endpoint(n).ok_or_else(|| Fault::new(ErrorCode::NotConnected, "no endpoint"))?;
        let unsigned = EventTemplate::new(kind, text, vec![], NOW).into_unsigned(key.nostr_key())?;
        let mut bytes = [n as u8; 32];
        bytes[..8].copy_from_slice(&id.to_be_bytes());
        let request = Request {
            id: RequestId::from_bytes(bytes),
            origin: Origin::Nip46 { client: client(n), endpoint },
            key: key.id,
            intent: Intent::SignEvent(unsigned),
            asked_at: Timestamp::from_secs(NOW),
        };
        let repeat = Repeatable { received: text.as_bytes().to_vec(), fingerprint: Some(hex::encode(bytes)) };
        Ok((request, repeat))
    }

    /// Several requests of client `n` at once; their answers in order. `Ok(None)` for a refusal by policy.
    pub fn ask(&self, n: usize, kind: u16, requests: &[(u64, String)]) -> Vec<Result<Option<Event>, Fault>> {
        let all = requests.iter().map(|(id, text)| async move {
            let (request, repeat) = self.request(n, *id, kind, text)?;
            let id = request.id;
            match self.signer.handle(request, Some(repeat)).await {
                Ok(answer) => {
                    self.signer.answered(id);
                    event(answer).map(Some)
                }
                Err(SignerError::Refused(_)) => Ok(None),
                Err(other) => Err(other.into()),
            }
        });
        self.runtime.block_on(futures_util::future::join_all(all))
    }

    fn offer(&self, n: usize) -> Result<(), Fault> {
        let new = NewEndpoint {
            key: self.key(MAIN)?.id,
            relays: vec![relay(n)],
            policy: Builtin::Social.policy(),
            limits: keep_policy::Limits { uses: Some(1_000_000), ..Default::default() },
            secret: secret(n),
        };
        self.connections().create(new)?;
        Ok(())
    }

    fn connect(&self, n: usize) -> Result<(), Fault> {
        let endpoint = self.endpoint(n).ok_or_else(|| Fault::new(ErrorCode::NotFound, "no endpoint"))?;
        let connections = self.connections();
        self.runtime.block_on(connections.connect(client(n), endpoint, Some(secret(n)), None))?;
        Ok(())
    }

    fn disconnect(&self, n: usize) -> Result<(), Fault> {
        let endpoint = self.endpoint(n).ok_or_else(|| Fault::new(ErrorCode::NotFound, "no endpoint"))?;
        self.runtime.block_on(self.connections().disconnect(client(n), endpoint, Origin::Cli))?;
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<(), Fault> {
        Ok(self.vault.delete_key(self.key(name)?.id)?)
    }

    fn import(&self, text: &str, seed: u64) -> Result<KeyId, Fault> {
        let mut bytes = [1; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        bytes[0] = 0;
        Ok(self.vault.import_key(name(text), &SecretKey32::take(&mut bytes))?.id)
    }
}

fn relay(n: usize) -> String {
    format!("ws://127.0.0.1:7777/{n}")
}

fn event(answer: Answer) -> Result<Event, Fault> {
    match answer {
        Answer::Event(event) => Ok(*event),
        _ => Err(Fault::new(ErrorCode::Bug, "not an event")),
    }
}
