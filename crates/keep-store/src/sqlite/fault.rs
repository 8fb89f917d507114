//! SQLite's errors in the words of a store.

use std::io;
use std::path::Path;

use rusqlite::ffi;

use crate::StoreError;

/// What an error of SQLite means for the store at `path`.
pub(super) fn translate(path: &Path, error: &rusqlite::Error) -> StoreError {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return StoreError::Damaged(format!("{}: {error}", path.display()));
    };
    let place = path.display();
    match failure.extended_code & 0xff {
        ffi::SQLITE_FULL => StoreError::Full,
        ffi::SQLITE_NOTADB => {
            StoreError::Damaged(format!("{place} is not a database, or its first page is overwritten"))
        }
        ffi::SQLITE_CORRUPT => StoreError::Damaged(format!("{place} is truncated or has broken pages")),
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => {
            StoreError::Busy(format!("a program other than Keep has {place} open for writing"))
        }
        ffi::SQLITE_CANTOPEN => StoreError::Io(format!("{place} or its write-ahead log cannot be opened")),
        ffi::SQLITE_READONLY => StoreError::Io(format!("{place} is read-only")),
        ffi::SQLITE_PERM | ffi::SQLITE_AUTH => StoreError::Io(format!("access to {place} is denied")),
        ffi::SQLITE_NOMEM => StoreError::Io("out of memory".into()),
        ffi::SQLITE_TOOBIG => StoreError::Io("a record is larger than 1 GB".into()),
        _ => StoreError::Io(format!("{place}: {error}")),
    }
}

/// Whether a statement failed because the collection has the name already.
pub(super) fn is_name_conflict(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|failure| failure.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE)
}

/// What the operating system refused to do at `path`.
pub(super) fn refused(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Io(format!("{}: {error}", path.display())),
    }
}
