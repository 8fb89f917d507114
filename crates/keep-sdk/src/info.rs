//! What can be told of a vault as a whole.

use keep_store::{SqliteStore, Store};
use keep_types::Fault;
use keep_vault::KindDamage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::{Call, Class, Host};
use crate::place::missing;
use crate::{Home, Keep};

/// A vault as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VaultInfo {
    /// Its directory.
    pub home: String,
    /// Whether it is the one in the reserve.
    pub hidden: bool,
    /// Its identifier. A restored vault has a new one.
    pub id: String,
    /// The fingerprint of the key that signs its checkpoints; vaults of older versions have none yet.
    pub fingerprint: Option<String>,
    /// How many commits it has seen.
    pub revision: u64,
    /// How many keys it holds.
    pub keys: usize,
    /// Whether the process that holds it open keeps its keys out of swap.
    pub memory_locked: bool,
    /// What is wrong with it. Empty if it is as it was written.
    pub problems: Vec<String>,
}

/// The format of a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FormatView {
    /// The vault's.
    pub format: u64,
    /// The one that this version writes.
    pub writes: u64,
    /// Whether the vault has an older one.
    pub needs_migration: bool,
}

/// What was wrong with the records of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DamagedKind {
    /// The kind.
    pub kind: String,
    /// How many fewer there were than had been written.
    pub missing: u64,
    /// How many did not open.
    pub unreadable: u64,
    /// How many more there were than had been written.
    pub added: u64,
    /// How many were newer than the vault.
    pub newer: u64,
    /// Whether all opened, and at least one was older than it had been.
    pub replaced: bool,
}

impl From<KindDamage> for DamagedKind {
    fn from(damage: KindDamage) -> Self {
        let KindDamage { kind, missing, unreadable, added, newer, replaced } = damage;
        Self { kind: kind.to_owned(), missing, unreadable, added, newer, replaced }
    }
}

/// What was left of a vault that something else than Keep had changed, and is gone on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DamageView {
    /// What was wrong, one sentence each.
    pub problems: Vec<String>,
    /// How many records were taken out because they do not open, or speak of a secret that is gone.
    pub removed: u64,
    /// How many entries of the log went, because what is left of it does not lead to them.
    pub log_removed: u64,
    /// How much was wrong, for each kind of records that was not as it was written.
    pub kinds: Vec<DamagedKind>,
    /// The fingerprint of the log's signer from now on, if the key of the one before is lost.
    pub signer: Option<String>,
    /// How many clients, endpoints and sessions are suspended until their owner lets them go on.
    pub suspended: u64,
    /// The owner's policies. Look at each: it may be older than it was.
    pub policies: Vec<String>,
    /// The persons who approved beside the owner, whose codes are worthless now.
    pub persons: Vec<String>,
}

/// Goes on with what is left of the vault.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AcceptDamage {}

impl Call for AcceptDamage {
    const NAME: &'static str = "vault.accept_damage";
    const CLASS: Class = Class::Manage;
    type Reply = DamageView;

    fn run(self, host: &Host) -> Result<DamageView, Fault> {
        host.accept_damage()
    }
}

/// Tells of the vault as a whole.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Info {}

impl Call for Info {
    const NAME: &'static str = "vault.info";
    const CLASS: Class = Class::Use;
    type Reply = VaultInfo;

    fn run(self, host: &Host) -> Result<VaultInfo, Fault> {
        let vault = host.vault();
        Ok(VaultInfo {
            home: host.home().path().display().to_string(),
            hidden: vault.which() == keep_vault::Which::Hidden,
            id: vault.id().to_string(),
            fingerprint: vault.fingerprint()?.map(|fingerprint| fingerprint.to_string()),
            revision: vault.revision().get(),
            keys: vault.keys()?.len(),
            memory_locked: vault.memory_is_locked(),
            problems: vault.integrity().problems,
        })
    }
}

impl Keep {
    /// What can be told of the vault as a whole.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn info(&self) -> Result<VaultInfo, Fault> {
        self.call(Info {})
    }

    /// Goes on with what is left of a vault that something else than Keep changed. Records that do not open are taken out, and
    /// clients, endpoints and sessions are suspended: what is missing may have been a refusal.
    ///
    /// # Errors
    /// When nothing is wrong with the vault, or so much that it cannot be mended; nothing was changed then.
    pub fn accept_damage(&self) -> Result<DamageView, Fault> {
        self.call(AcceptDamage {})
    }

    /// The format of the vault in `home`, which stays closed.
    ///
    /// # Errors
    /// [`NoVault`](keep_types::ErrorCode::NoVault), [`FormatTooNew`](keep_types::ErrorCode::FormatTooNew),
    /// [`Integrity`](keep_types::ErrorCode::Integrity).
    pub fn format(home: &Home) -> Result<FormatView, Fault> {
        let store = SqliteStore::open(home.database()).map_err(|error| missing(error, home))?;
        let mut header = None;
        store.read(&mut |tx| {
            header = tx.header()?;
            Ok(())
        })?;
        let header = header.ok_or_else(|| crate::place::no_vault(home))?;
        // Reads every format that there is, and names one that is too new.
        keep_vault::inspect_header(&header)?;
        let writes = keep_vault::FORMAT;
        Ok(FormatView { format: writes, writes, needs_migration: false })
    }
}
