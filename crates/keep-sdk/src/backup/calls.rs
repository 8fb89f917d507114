//! Making a backup, where the vault is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keep_types::{ErrorCode, Fault, Intent, KeyId, Origin, Request, RequestId, SecretText};
use keep_vault::{Archive, VaultError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{document, seal};
use crate::call::{Call, Class, Host, secret};

/// Makes a backup.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Make {
    #[serde(with = "secret::optional_text")]
    pub passphrase: Option<SecretText>,
    pub recipients: Vec<String>,
}

/// A backup.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BackupFile {
    /// The age file, in base64.
    data: String,
    /// What is in it.
    pub summary: BackupSummary,
}

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupSummary {
    /// The vault, by its id.
    pub vault: String,
    /// Its revision.
    pub revision: u64,
    /// When the backup was made, RFC 3339.
    pub created_at: String,
    /// How many keys.
    pub keys: u64,
    /// How many shares of threshold keys' groups.
    pub groups: u64,
    /// How many stored secrets.
    pub secrets: u64,
    /// How many records in all, with the log.
    pub records: u64,
}

impl BackupSummary {
    pub(super) fn new(archive: &Archive, created_at: String) -> Self {
        let of = |number: u8| archive.records.iter().filter(|record| record.collection == number).count();
        Self {
            vault: archive.vault.to_string(),
            revision: archive.revision.get(),
            created_at,
            keys: archive.keys.len() as u64,
            groups: of(keep_types::Collection::Groups.number()) as u64,
            secrets: archive.secrets.len() as u64,
            records: archive.records.len() as u64,
        }
    }
}

impl BackupFile {
    /// The bytes of the file.
    ///
    /// # Errors
    /// [`ErrorCode::Bug`] when what came is not base64.
    pub fn bytes(&self) -> Result<Vec<u8>, Fault> {
        let unreadable = |_| Fault::new(ErrorCode::Bug, "a backup came as something else");
        STANDARD.decode(&self.data).map_err(unreadable)
    }
}

impl Call for Make {
    const NAME: &'static str = "backup.make";
    const CLASS: Class = Class::Manage;
    type Reply = BackupFile;

    fn run(self, host: &Host) -> Result<BackupFile, Fault> {
        host.check_intact()?;
        let archive = take(host)?;
        let created_at = host.now().to_string();
        let plain = document::write(&archive, &created_at)?;
        let file = seal(self.passphrase.as_ref(), &self.recipients, &plain)?;
        Ok(BackupFile { data: STANDARD.encode(file), summary: BackupSummary::new(&archive, created_at) })
    }
}

fn take(host: &Host) -> Result<Archive, Fault> {
    let id = RequestId::random().map_err(VaultError::from)?;
    let key = KeyId::from_bytes([0; 16]);
    let request = Request { id, origin: Origin::Cli, key, intent: Intent::Backup, asked_at: host.now() };
    Ok(host.owner().archive(request)?)
}
