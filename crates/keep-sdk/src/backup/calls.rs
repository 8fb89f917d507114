//! Making a backup, where the vault is.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keep_types::{Collection, ErrorCode, Fault, Intent, KeyId, Origin, Request, RequestId, SecretText};
use keep_vault::{Archive, ArchiveContent, ArchivedRecord, VaultError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::{Document, cannot_write};
use super::seal;
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
        let mut summary = Self {
            vault: archive.vault.to_string(),
            revision: archive.revision.get(),
            created_at,
            keys: archive.keys.len() as u64,
            groups: 0,
            secrets: archive.secrets.len() as u64,
            records: 0,
        };
        archive.records.iter().for_each(|record| summary.count(record));
        summary
    }

    /// What was read of a backup.
    pub(super) fn of(content: &ArchiveContent, created_at: String) -> Self {
        Self {
            vault: content.vault.to_string(),
            revision: content.revision.get(),
            created_at,
            keys: content.keys,
            groups: content.records.get(&Collection::Groups.number()).copied().unwrap_or_default(),
            secrets: content.secrets,
            records: content.records.values().sum(),
        }
    }

    /// Counts a record that did not come with the rest.
    pub(super) fn count(&mut self, record: &ArchivedRecord) {
        self.records += 1;
        self.groups += u64::from(record.collection == Collection::Groups.number());
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
        let mut file = Vec::new();
        let summary = write(host, self.passphrase.as_ref(), &self.recipients, &mut file)?;
        if file.len() > MAX_FILE {
            let message = "the backup is too large to come from the process that holds the vault unlocked";
            return Err(Fault::new(ErrorCode::StorageBusy, message)
                .with_hint("`keep lock` first, then `keep backup`"));
        }
        Ok(BackupFile { data: STANDARD.encode(file), summary })
    }
}

/// The longest file that fits into a reply, in bytes.
const MAX_FILE: usize = 380 << 20;

/// Writes a backup to `file` piece by piece. What is there when this fails is cut off and does not open.
pub(super) fn write(
    host: &Host,
    passphrase: Option<&SecretText>,
    recipients: &[String],
    file: &mut dyn Write,
) -> Result<BackupSummary, Fault> {
    host.check_intact()?;
    host.vault().expect_archivable()?;
    let sealer = seal(passphrase, recipients, file)?;
    let mut document = Document::new(sealer, host.now().to_string());
    let id = RequestId::random().map_err(VaultError::from)?;
    let key = KeyId::from_bytes([0; 16]);
    let request = Request { id, origin: Origin::Cli, key, intent: Intent::Backup, asked_at: host.now() };
    host.owner().archive(request, &mut document)?;
    let (sealer, summary) = document.end()?;
    sealer.finish().map_err(|error| cannot_write(&error))?;
    Ok(summary)
}
