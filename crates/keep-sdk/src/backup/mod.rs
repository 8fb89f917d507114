//! Backups: everything in one file in the age format, and a new vault out of it.

mod calls;
mod document;
mod form;
mod pieces;
mod reading;
mod restore;

use std::io::{Read, Write};

use keep_cipher::age::{self, Identity, Lock, Needs, Opening, Recipient, Sealer, Unlock};
use keep_types::{ErrorCode, Fault, SecretText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::reading::Reading;
use crate::Keep;

pub(crate) use calls::Make;
pub use calls::{BackupFile, BackupSummary};
pub use restore::{RestoreTarget, RestoreView, restore, verify};

/// What a backup is locked with.
#[derive(Debug)]
pub enum BackupLock {
    /// A passphrase.
    Passphrase(SecretText),
    /// Recipients: `age1…`.
    Recipients(Vec<String>),
}

/// What a backup is opened with.
#[derive(Debug)]
pub enum BackupKey {
    /// Its passphrase.
    Passphrase(SecretText),
    /// A file of identities as `age-keygen` writes it.
    Identities(SecretText),
}

/// What a backup asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupNeeds {
    /// Its passphrase.
    Passphrase,
    /// The secret key of a recipient.
    Identity,
}

/// Makes backups.
#[derive(Debug, Clone)]
pub struct Backups {
    keep: Keep,
}

impl Backups {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// Everything in the vault, as one file. Recorded before it leaves.
    ///
    /// # Errors
    /// [`ErrorCode::Integrity`] when the vault was tampered with; [`ErrorCode::InvalidKey`] for a recipient that is none.
    pub fn make(&self, lock: BackupLock) -> Result<BackupFile, Fault> {
        let (passphrase, recipients) = match lock {
            BackupLock::Passphrase(passphrase) => (Some(passphrase), Vec::new()),
            BackupLock::Recipients(recipients) => (None, recipients),
        };
        self.keep.call(Make { passphrase, recipients })
    }

    /// As [`make`](Self::make), to `file` piece by piece; only where another process holds the vault is all of it in memory
    /// at once. What was written when this fails is no backup.
    ///
    /// # Errors
    /// As [`make`](Self::make); [`ErrorCode::StorageFull`] and [`ErrorCode::Storage`] when `file` takes no more.
    pub fn write(&self, lock: BackupLock, file: &mut dyn Write) -> Result<BackupSummary, Fault> {
        if !self.keep.is_here() {
            let made = self.make(lock)?;
            file.write_all(&made.bytes()?).map_err(|error| document::cannot_write(&error))?;
            return Ok(made.summary);
        }
        let host = self.keep.host()?;
        match &lock {
            BackupLock::Passphrase(passphrase) => calls::write(host, Some(passphrase), &[], file),
            BackupLock::Recipients(recipients) => calls::write(host, None, recipients, file),
        }
    }
}

/// A new passphrase for a backup: twelve random words, 128 bits.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn new_backup_passphrase() -> Result<SecretText, Fault> {
    let made = keep_vault::MnemonicSecret::generate(12)?;
    Ok(SecretText::new(made.words().expose().replace(' ', "-")))
}

/// A backup whose beginning was read. The rest is read when it is checked or restored, record by record: what that takes of
/// memory does not depend on how long its log is.
#[derive(Debug)]
pub struct LockedBackup<R: Read>(age::Locked<R>);

impl<R: Read> LockedBackup<R> {
    /// Reads the beginning of `file`. Of what is no backup no more than that: it may have no end.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidPayload`] when it is no age file; [`ErrorCode::Storage`] when it cannot be read.
    pub fn read(file: R) -> Result<Self, Fault> {
        Ok(Self(age::Locked::read(file)?))
    }

    /// What opens it.
    pub fn needs(&self) -> BackupNeeds {
        match self.0.needs() {
            Needs::Passphrase => BackupNeeds::Passphrase,
            Needs::Identity => BackupNeeds::Identity,
        }
    }

    fn open(self, key: &BackupKey) -> Result<Reading<Opening<R>>, Fault> {
        let identities;
        let unlock = match key {
            BackupKey::Passphrase(passphrase) => Unlock::Passphrase(passphrase),
            BackupKey::Identities(text) => {
                identities = Identity::parse_file(text)?;
                Unlock::Identities(&identities)
            }
        };
        Reading::begin(self.0.open(&unlock)?)
    }
}

fn seal<W: Write>(
    passphrase: Option<&SecretText>,
    recipients: &[String],
    file: W,
) -> Result<Sealer<W>, Fault> {
    match passphrase {
        Some(passphrase) if recipients.is_empty() => {
            Ok(age::encrypt_to(&Lock::Passphrase(passphrase, age::DEFAULT_LOG_N), file)?)
        }
        None if !recipients.is_empty() => {
            let to: Vec<Recipient> =
                recipients.iter().map(|text| Recipient::parse(text)).collect::<Result<_, _>>()?;
            Ok(age::encrypt_to(&Lock::Recipients(&to), file)?)
        }
        Some(_) | None => {
            Err(Fault::new(ErrorCode::Usage, "a backup has a passphrase or recipients, and not both"))
        }
    }
}
