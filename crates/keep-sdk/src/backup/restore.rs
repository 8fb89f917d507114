//! A new vault out of a backup.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keep_store::{SqliteStore, Store};
use keep_types::{Collection, ErrorCode, Fault, SecretText, SystemClock};
use keep_vault::{ArchiveContent, GiveArchive, RestoreOptions, Vault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calls::BackupSummary;
use super::{BackupKey, LockedBackup};
use crate::{Home, Options};

/// Where a vault is to be made, and how.
#[derive(Debug)]
pub struct RestoreTarget {
    /// Its directory, which must not exist or be empty.
    pub home: Home,
    /// Its passphrase.
    pub passphrase: SecretText,
    /// Whether the old device is gone, so that clients and sessions go on working.
    pub take_over: bool,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreView {
    /// The directory of the new vault.
    pub home: String,
    /// The id of the new vault.
    pub vault: String,
    /// The backup that it was made from.
    pub from: BackupSummary,
    /// How many records of each kind.
    pub records: BTreeMap<String, u64>,
    /// How many clients, endpoints and sessions are suspended until their owner lets them go on.
    pub suspended: u64,
}

/// Opens a backup and checks all of it: every record is read, every key and secret is compared with its other half, and the log
/// is linked from its first entry to its last, as [`restore`] does it. Nothing is made or written.
///
/// # Errors
/// [`ErrorCode::WrongPassphrase`]; [`ErrorCode::InvalidPayload`] or [`ErrorCode::Integrity`] when it is damaged;
/// [`ErrorCode::Storage`] when it cannot be read.
pub fn verify<R: Read>(file: LockedBackup<R>, key: &BackupKey) -> Result<BackupSummary, Fault> {
    let mut reading = file.open(key)?;
    let revive = |collection, cbor: &[u8], now| keep_signer::revive(collection, cbor, now, false);
    let content = Vault::examine(&mut reading, &revive, &super::form::form, &SystemClock)?;
    Ok(BackupSummary::of(&content, reading.into_created_at()))
}

/// Makes a vault of a backup in a directory of its own. It is made beside the target, verified, and put in its place in one
/// step: either the vault is there and whole, or nothing is. The new vault has an identity of its own; what worked with
/// the old one comes back suspended unless the old device is gone, secrets that work once are used up, rates are spent.
/// Budgets in satoshis are spent, too, until their window ends.
///
/// # Errors
/// [`ErrorCode::AlreadyExists`] when there is something at the target; as [`verify`]; the storage errors.
pub fn restore<R: Read>(
    file: LockedBackup<R>,
    key: &BackupKey,
    target: &RestoreTarget,
    options: &Options,
) -> Result<RestoreView, Fault> {
    crate::place::refuse_empty(&target.passphrase)?;
    refuse_occupied(target.home.path())?;
    let mut reading = file.open(key)?;
    let work = Workplace::make(target.home.path())?;
    let (vault, content) = match make(&work, &mut reading, target, options) {
        Ok(made) => made,
        Err(fault) => {
            work.clear();
            return Err(fault);
        }
    };
    work.finish(target.home.path())?;
    let count = |collection: &Collection| content.records.get(&collection.number()).copied();
    let held_back = [Collection::Grants, Collection::Endpoints, Collection::Sessions];
    let mut records = BTreeMap::new();
    for (number, count) in &content.records {
        let kind = Collection::from_number(*number).map_or("unknown", |known| known.as_str());
        *records.entry(kind.to_owned()).or_insert(0) += count;
    }
    Ok(RestoreView {
        home: target.home.path().display().to_string(),
        vault,
        from: BackupSummary::of(&content, reading.into_created_at()),
        records,
        suspended: if target.take_over { 0 } else { held_back.iter().filter_map(count).sum() },
    })
}

/// Makes the vault in the workplace, and checks it; its id, and what was in the backup.
fn make(
    work: &Workplace,
    from: &mut dyn GiveArchive,
    target: &RestoreTarget,
    options: &Options,
) -> Result<(String, ArchiveContent), Fault> {
    let salt = Vault::create_reserve(&work.path)?;
    let home = Home::new(work.path.clone())?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::create(home.database())?);
    let store = Vault::attend(store, &work.path, salt);
    let how = RestoreOptions { passphrase: &target.passphrase, salt, cost: options.cost() };
    let take_over = target.take_over;
    let (vault, content) = Vault::restore(
        store,
        from,
        &how,
        &|collection, cbor, now| keep_signer::revive(collection, cbor, now, take_over),
        &super::form::form,
        &options.environment(),
    )?;
    keep_signer::spend_uncounted(&vault)?;
    check(&vault, &content)?;
    Ok((vault.id().to_string(), content))
}

/// Every row, the log, and every key.
fn check(vault: &Vault, content: &ArchiveContent) -> Result<(), Fault> {
    let report = vault.verify()?;
    if !report.is_intact() {
        return Err(Fault::new(ErrorCode::Integrity, report.problems.join("; ")));
    }
    vault.verify_audit()?;
    if vault.keys()?.len() as u64 != content.keys {
        return Err(Fault::new(ErrorCode::Integrity, "not every key of the backup came back"));
    }
    Ok(())
}

/// Where the vault is made before it is put in its place.
struct Workplace {
    path: PathBuf,
    guard: Option<File>,
    /// The directories around it that were not there, the innermost first.
    around: Vec<PathBuf>,
}

impl Workplace {
    /// Beside the target, on the same file system. What an interrupted attempt left there is taken away.
    fn make(target: &Path) -> Result<Self, Fault> {
        let name = target.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Fault::new(ErrorCode::InvalidInput, "the target has no name").with_hint("name a directory")
        })?;
        let path = target.with_file_name(format!(".{name}.restoring"));
        if let Ok(left) = File::open(&path) {
            if matches!(left.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
                return Err(Fault::new(ErrorCode::StorageBusy, "another process is restoring there"));
            }
            std::fs::remove_dir_all(&path).map_err(|error| crate::place::cannot_write(&path, &error))?;
        }
        let around = path.ancestors().skip(1).take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
        let around: Vec<PathBuf> = around.map(Path::to_owned).collect();
        if let Err(fault) = crate::place::make_directory(&path) {
            remove_empty(&around);
            return Err(fault);
        }
        let guard = File::open(&path).ok();
        if let Some(guard) = &guard
            && matches!(guard.try_lock(), Err(std::fs::TryLockError::WouldBlock))
        {
            return Err(Fault::new(ErrorCode::StorageBusy, "another process is restoring there"));
        }
        Ok(Self { path, guard, around })
    }

    /// Takes away what was begun.
    fn clear(self) {
        // What cannot be removed now is taken away by the next attempt.
        let _ = std::fs::remove_dir_all(&self.path);
        remove_empty(&self.around);
    }

    /// Puts the vault in its place. An empty directory gives way; nothing else does.
    fn finish(self, target: &Path) -> Result<(), Fault> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::NotADirectory => occupied(target),
            _ => crate::place::cannot_write(target, &error),
        };
        if let Some(guard) = &self.guard {
            guard.sync_all().map_err(failed)?;
        }
        let moved = std::fs::rename(&self.path, target);
        if let Err(error) = moved {
            let fault = failed(error);
            self.clear();
            return Err(fault);
        }
        if let Some(parent) = target.parent().and_then(|parent| File::open(parent).ok()) {
            parent.sync_all().map_err(failed)?;
        }
        Ok(())
    }
}

/// Takes away directories, the innermost first, up to one that holds something.
fn remove_empty(directories: &[PathBuf]) {
    let _ = directories.iter().try_for_each(std::fs::remove_dir);
}

fn refuse_occupied(target: &Path) -> Result<(), Fault> {
    match std::fs::read_dir(target) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(occupied(target));
            }
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(_) => Err(occupied(target)),
    }
}

fn occupied(target: &Path) -> Fault {
    Fault::new(ErrorCode::AlreadyExists, format!("there is something in {} already", target.display()))
        .with_hint("restore into a directory that does not exist yet; nothing is ever overwritten")
}
