//! What several topics need: a place on the disk, a vault that is cheap to unlock, a connected client.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use keep_policy::{Builtin, Limits};
use keep_sdk::{Home, Keep, KeyView, Name, Options};
use keep_signer::{Connections, Endpoint, Headless, NewEndpoint, Signer};
use keep_store::Store;
use keep_types::{PublicKey, SecretText, SystemClock};
use keep_vault::{Environment, KdfCost, KeyRecord, Vault};

/// A directory beside the build, not in a temporary directory: that may lie in memory, where nothing is ever synced.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Result<Self> {
        std::fs::create_dir_all("target")?;
        Ok(Self(tempfile::tempdir_in("target").context("cannot make a directory in target")?))
    }

    pub fn path(&self, name: &str) -> Result<std::path::PathBuf> {
        Ok(std::fs::canonicalize(self.0.path())?.join(name))
    }

    pub fn home(&self, name: &str) -> Result<Home> {
        Ok(Home::new(self.path(name)?)?)
    }

    /// A vault with one key, in this directory.
    pub fn keep(&self, name: &str) -> Result<(Keep, KeyView)> {
        let keep = Keep::create(self.home(name)?, &passphrase(), &options())?;
        let key = keep.keys().generate(Name::new("main")?)?;
        Ok((keep, key))
    }
}

pub fn passphrase() -> SecretText {
    SecretText::from("correct horse battery staple".to_owned())
}

/// What it costs to unlock where the rest is to be seen.
pub const CHEAP: KdfCost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };

pub fn options() -> Options {
    Options::default().allow_weak_kdf().kdf_cost(CHEAP)
}

/// A vault in `store`.
pub fn vault(store: Arc<dyn Store>) -> Result<Arc<Vault>> {
    let environment = Environment::new(SystemClock).allow_weak_kdf();
    Ok(Arc::new(Vault::create(store, &passphrase(), [7; 32], CHEAP, &environment)?))
}

/// A vault with one key, and a client that may do everything with it.
pub struct Connected {
    pub vault: Arc<Vault>,
    pub key: KeyRecord,
    pub endpoint: Endpoint,
    pub signer: Signer,
}

const SECRET: &str = "bench-bench-bench-bench";

impl Connected {
    pub async fn new(store: Arc<dyn Store>, client: PublicKey) -> Result<Self> {
        let vault = vault(store)?;
        let key = vault.generate_key(Name::new("main")?)?;
        let connections = Connections::new(Arc::clone(&vault));
        let endpoint = connections.create(NewEndpoint {
            key: key.id,
            relays: vec!["ws://127.0.0.1:7777".into()],
            policy: Builtin::Full.policy(),
            limits: Limits::default(),
            secret: SECRET.into(),
        })?;
        connections
            .connect(client, endpoint.id, Some(SECRET.into()), None)
            .await
            .map_err(|error| anyhow!("{error}"))?;
        let signer = Signer::new(Arc::clone(&vault), Arc::new(Headless));
        Ok(Self { vault, key, endpoint, signer })
    }

    /// How many commits the vault has had.
    pub fn commits(&self) -> Result<u64> {
        Ok(self.vault.verify()?.revision.get())
    }
}
