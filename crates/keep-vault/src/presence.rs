//! That somebody was here shows in the times of files; which vault was opened must not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keep_store::{ReadWork, Store, StoreError, WriteWork};

use crate::reserve::{Medium, RESERVE_FILE, ReserveFile};

/// The files of a vault that lie there between sessions.
const FILES: [&str; 4] = ["keep.db", "next.lock", "write.lock", RESERVE_FILE];

/// A session of either vault. At its beginning and at its end page 0 of the reserve is rewritten, unchanged, and all
/// files of the vault get the same times.
#[derive(Debug)]
pub(crate) struct Presence {
    directory: PathBuf,
}

impl Presence {
    pub fn begin(directory: &Path, salt: [u8; 32]) -> Self {
        let presence = Self { directory: directory.to_owned() };
        // The header's salt counts. This is its copy, also after a reset that was interrupted.
        presence.touch(Some(salt));
        presence
    }

    /// What cannot be touched cannot be hidden; it is no reason to keep somebody out of the vault.
    fn touch(&self, salt: Option<[u8; 32]>) {
        if let Ok(mut reserve) = ReserveFile::open(&self.directory) {
            let _ = reserve.read_page().and_then(|mut page| {
                if let Some(salt) = salt {
                    page[..salt.len()].copy_from_slice(&salt);
                }
                reserve.write(0, &page)
            });
        }
        for file in FILES {
            touch(&self.directory.join(file));
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.touch(None);
    }
}

/// Sets both times of a file to the present without opening it: closing a database that is open would drop its locks.
#[cfg(unix)]
fn touch(path: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let _ = utimensat(
        CWD,
        path,
        &Timestamps { last_access: now, last_modification: now },
        AtFlags::SYMLINK_NOFOLLOW,
    );
}

/// Sets both times of a file to the present. Here the locks of a database belong to its handle, and another one may be closed.
#[cfg(not(unix))]
fn touch(path: &Path) {
    let now = std::time::SystemTime::now();
    let times = std::fs::FileTimes::new().set_accessed(now).set_modified(now);
    let _ = std::fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_times(times));
}

/// The store of a session: that of the vault which is open, and with a hidden one the database beside it, open as well.
pub(crate) struct Attended {
    // In this order they end: the times are set last.
    store: Arc<dyn Store>,
    _beside: Option<Arc<dyn Store>>,
    _presence: Presence,
}

impl Attended {
    pub fn new(store: Arc<dyn Store>, beside: Option<Arc<dyn Store>>, presence: Presence) -> Self {
        Self { store, _beside: beside, _presence: presence }
    }
}

impl Store for Attended {
    fn read(&self, work: ReadWork<'_>) -> Result<(), StoreError> {
        self.store.read(work)
    }

    fn write(&self, work: WriteWork<'_>) -> Result<(), StoreError> {
        self.store.write(work)
    }

    fn wipe_leftovers(&self) -> Result<(), StoreError> {
        self.store.wipe_leftovers()
    }

    fn settle(&self) -> Result<(), StoreError> {
        self.store.settle()
    }
}
