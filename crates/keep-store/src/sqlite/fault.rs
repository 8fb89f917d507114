//! SQLite's errors in the words of a store.

use std::io;
use std::path::Path;

use rusqlite::ffi;

use super::again::is_held;
use crate::StoreError;

/// What an error of SQLite means for the store at `path`.
pub(super) fn translate(path: &Path, error: &rusqlite::Error) -> StoreError {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return StoreError::Damaged(format!("{}: {error}", path.display()));
    };
    let place = path.display();
    match failure.extended_code {
        // The index of the log is a file that grows when it is first used.
        ffi::SQLITE_IOERR_SHMSIZE => return StoreError::Full,
        ffi::SQLITE_IOERR_SHMMAP
        | ffi::SQLITE_IOERR_SHMLOCK
        | ffi::SQLITE_IOERR_LOCK
        | ffi::SQLITE_IOERR_RDLOCK => {
            return StoreError::Unsupported(format!(
                "the file system of {place} lacks locks or shared memory ({error})"
            ));
        }
        _ => {}
    }
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
        _ if is_held(error) => StoreError::Busy(format!("another program has {}: {error}", path.display())),
        _ => StoreError::Io(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32) -> StoreError {
        translate(Path::new("/v/keep.db"), &rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn codes_become_words() {
        assert_eq!(of(ffi::SQLITE_FULL), StoreError::Full);
        assert!(matches!(of(ffi::SQLITE_NOTADB), StoreError::Damaged(why) if why.contains("not a database")));
        assert!(matches!(of(ffi::SQLITE_CORRUPT_INDEX), StoreError::Damaged(_)));
        assert!(matches!(of(ffi::SQLITE_BUSY_RECOVERY), StoreError::Busy(_)));
        assert!(matches!(of(ffi::SQLITE_IOERR_SHMMAP), StoreError::Unsupported(_)));
        assert!(
            matches!(of(ffi::SQLITE_READONLY_DIRECTORY), StoreError::Io(why) if why.contains("read-only"))
        );
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_CANTOPEN, ffi::SQLITE_PERM, ffi::SQLITE_ERROR] {
            assert!(matches!(of(code), StoreError::Io(why) if why.contains("/v/keep.db")));
        }
    }

    #[test]
    fn a_full_disk_is_full_outside_of_sqlite_too() {
        assert_eq!(refused(Path::new("x"), &io::ErrorKind::StorageFull.into()), StoreError::Full);
        assert!(matches!(refused(Path::new("x"), &io::ErrorKind::NotFound.into()), StoreError::Io(_)));
    }
}
