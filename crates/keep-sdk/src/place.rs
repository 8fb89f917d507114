//! The place of a vault: the directory and the files in it, before and while there is a vault.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use keep_store::{SqliteStore, Store, StoreError};
use keep_types::{ErrorCode, Fault, SecretText};
use keep_vault::{Holder, Vault};

use crate::daemon::Connection;
use crate::{Home, Keep, Options};

/// The daemon that holds the hidden vault in `home`, if one does.
pub(crate) fn holder(home: &Home) -> Holder {
    let home = home.clone();
    Holder::new(move || {
        let daemon = Connection::find(&home, None).ok().flatten()?;
        daemon.is_hidden().then(|| daemon.pid())
    })
}

pub(crate) fn open_store(home: &Home) -> Result<Arc<dyn Store>, Fault> {
    let store = SqliteStore::open(home.database());
    Ok(Arc::new(store.map_err(|error| missing(error, home)).map_err(rescuable)?))
}

pub(crate) fn refuse_empty(passphrase: &SecretText) -> Result<(), Fault> {
    if passphrase.expose().is_empty() {
        return Err(Fault::new(ErrorCode::InvalidInput, "the passphrase is empty")
            .with_hint("choose a passphrase; several random words are a good one"));
    }
    Ok(())
}

pub(crate) fn make(home: &Home, passphrase: &SecretText, options: &Options) -> Result<Vault, Fault> {
    // In this order, so that a reserve without a database is never what an interrupted `create` left.
    let store: Arc<dyn Store> = Arc::new(SqliteStore::create(home.database())?);
    let salt = Vault::create_reserve(home.path())?;
    let store = Vault::attend(store, home.path(), salt);
    let vault = Vault::create(store, passphrase, salt, options.cost(), &options.environment())?;
    Ok(vault.in_directory(home.path()))
}

/// Says of a vault that is too damaged to be opened that its keys need not be lost.
pub(crate) fn rescuable(fault: Fault) -> Fault {
    if fault.code() != ErrorCode::Integrity {
        return fault;
    }
    fault.with_hint(
        "keep the directory as it is; `keep list --rescue` and `keep export --rescue` search it for keys that still open",
    )
}

pub(crate) fn missing(error: StoreError, home: &Home) -> Fault {
    match error {
        StoreError::Missing(_) => no_vault(home),
        other => other.into(),
    }
}

pub(crate) fn no_vault(home: &Home) -> Fault {
    if home.has_lone_reserve() {
        return Fault::new(ErrorCode::NoVault, lone_reserve(home)).with_hint(
            "put keep.db back from a copy of the directory, or restore a backup into another directory; for a hidden vault in the \
             reserve, `keep init --keep-reserve` makes a new vault beside it",
        );
    }
    Fault::new(ErrorCode::NoVault, format!("there is no vault in {}", home.path().display()))
}

fn lone_reserve(home: &Home) -> String {
    format!("keep.db is missing in {}, and the vault's reserve is there", home.path().display())
}

pub(crate) fn exists(home: &Home) -> Fault {
    Fault::new(ErrorCode::AlreadyExists, format!("there is already a vault in {}", home.path().display()))
        .with_hint("use it as it is, or point KEEP_HOME to another directory")
}

pub(crate) fn make_directory(directory: &Path) -> Result<(), Fault> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(|error| cannot_write(directory, &error))
}

/// One `create` at a time. The lock is on the directory itself and leaves no file behind.
pub(crate) fn lock_directory(directory: &Path) -> Result<Option<File>, Fault> {
    // Where a directory cannot be opened as a file there is no such lock; the files are still made exclusively.
    let Ok(handle) = File::open(directory) else { return Ok(None) };
    match handle.try_lock() {
        Ok(()) => Ok(Some(handle)),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Fault::new(ErrorCode::StorageBusy, "another process is making a vault here"))
        }
        Err(std::fs::TryLockError::Error(_)) => Ok(None),
    }
}

/// Refuses if there is a vault; clears away what an interrupted `create` left.
pub(crate) fn prepare(home: &Home) -> Result<(), Fault> {
    Keep::expect_none(home)?;
    home.clear_leftovers().map_err(|error| cannot_write(home.path(), &error))
}

/// A vault that lost its database may have another one in its reserve.
pub(crate) fn refuse_lone_reserve(home: &Home) -> Result<(), Fault> {
    if !home.has_lone_reserve() {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::AlreadyExists, lone_reserve(home)).with_hint(
        "a hidden vault in it would be destroyed; put keep.db back, make a new one beside it with --keep-reserve, or move the file \
         reserve away if nothing is in it",
    ))
}

/// A log of the lost database would be replayed into a new one of its name.
pub(crate) fn refuse_leftovers(home: &Home) -> Result<(), Fault> {
    for end in ["wal", "journal"] {
        let left = home.path().join(format!("keep.db-{end}"));
        match left.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot_write(&left, &error)),
            Ok(_) => {
                let message = format!("{} belongs to the database that was lost", left.display());
                return Err(Fault::new(ErrorCode::AlreadyExists, message).with_hint(
                    "move it to where keep.db went, away from this directory; then run `keep init --keep-reserve` again",
                ));
            }
        }
    }
    Ok(())
}

/// Whether a vault is in `home`, or something that is not an unfinished vault of ours and must be left alone.
pub(crate) fn holds_vault(home: &Home) -> Result<bool, Fault> {
    let mut vault = false;
    match SqliteStore::open(home.database()) {
        Ok(store) => store.read(&mut |tx| {
            vault = tx.header()?.is_some();
            Ok(())
        })?,
        Err(StoreError::Missing(_)) => {}
        Err(link @ StoreError::Linked(_)) => return Err(link.into()),
        Err(_) => vault = is_not_empty(&home.database()) && !SqliteStore::is_unfinished(home.database()),
    }
    Ok(vault)
}

fn is_not_empty(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
}

pub(crate) fn cannot_write(path: &Path, error: &std::io::Error) -> Fault {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorCode::StorageFull,
        _ => ErrorCode::Storage,
    };
    Fault::new(code, format!("cannot write {}: {error}", path.display()))
}
