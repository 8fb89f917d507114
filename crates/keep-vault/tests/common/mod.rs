//! Vaults for tests, with a cheap key derivation.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;

use keep_store::{MemoryStore, SqliteStore, Store};
use keep_testing::clock::FakeClock;
use keep_types::{KeyId, Name, SecretText, Timestamp};
use keep_vault::{Environment, KdfCost, Vault, VaultError};

pub const CHEAP: KdfCost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };

pub fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

pub fn environment() -> Environment {
    Environment::new(FakeClock::at(Timestamp::from_secs(1_800_000_000))).allow_weak_kdf()
}

pub fn memory_vault() -> Vault {
    create(Arc::new(MemoryStore::new()))
}

pub fn create(store: Arc<dyn Store>) -> Vault {
    Vault::create(store, &passphrase(), [7; 32], CHEAP, &environment()).unwrap()
}

pub fn open(store: Arc<dyn Store>) -> Result<Vault, VaultError> {
    Vault::open(store, &passphrase(), &environment())
}

pub fn sqlite(path: &Path) -> Arc<dyn Store> {
    if path.exists() {
        Arc::new(SqliteStore::open(path).unwrap())
    } else {
        Arc::new(SqliteStore::create(path).unwrap())
    }
}

pub fn generate(vault: &Vault, name: &str) -> KeyId {
    vault.generate_key(Name::new(name).unwrap()).unwrap().id
}
