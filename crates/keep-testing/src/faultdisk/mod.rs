//! A disk that fails and loses power, under SQLite.
//!
//! A [`FaultDisk`] is an SQLite VFS over the default one. It keeps a [`Log`] of every change to a database, its
//! journal and its write-ahead log, fails on demand, and tells with [`Replay`] what could be found on the disk if the
//! power had gone at any point: what was synced for certain, and of the rest whatever is worst.
//!
//! Locks and shared memory go straight through, and so do reads. Syncs are recorded, not executed: tests are quick, and
//! a program that forgets a sync is found out.
//!
//! ```
//! use keep_testing::faultdisk::{FaultDisk, Replay, Tear};
//! use rusqlite::{Connection, OpenFlags};
//!
//! let dir = tempfile::tempdir().unwrap();
//! let disk = FaultDisk::new();
//! let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
//! let conn = Connection::open_with_flags_and_vfs(dir.path().join("a.db"), flags, disk.vfs()).unwrap();
//! conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t (n)").unwrap();
//!
//! let log = disk.log();
//! let mut replay = Replay::new(&log);
//! while replay.step() {}
//! let image = replay.image(Tear::Nothing);
//! assert!(!image.files().contains_key("a.db-wal"), "without a sync the log is lost");
//! ```

mod failure;
mod image;
mod log;
mod recorder;
mod vfs;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use failure::{Failure, Lasting};
pub use image::{Image, Replay, Tear};
pub use log::{FileId, Log, Op};
use recorder::Recorder;

/// A disk for the databases of one directory. Databases are opened through it by the name of its [VFS](Self::vfs).
#[derive(Debug)]
pub struct FaultDisk {
    name: String,
    recorder: Arc<Mutex<Recorder>>,
}

impl FaultDisk {
    /// A new disk. Its VFS stays registered for the life of the process, since connections may outlive it.
    ///
    /// # Panics
    /// When SQLite refuses to register it, which it does only out of memory.
    #[allow(clippy::expect_used, clippy::new_without_default)]
    pub fn new() -> Self {
        let recorder = Arc::default();
        let name = vfs::register(Arc::clone(&recorder)).expect("SQLite registers a VFS");
        Self { name, recorder }
    }

    /// The name of the VFS.
    pub fn vfs(&self) -> &str {
        &self.name
    }

    /// Everything that was done so far.
    pub fn log(&self) -> Log {
        self.recorder().log()
    }

    /// How many operations were done so far: what has happened until now survives a loss of power after this point
    /// only if the code under test has synced it.
    pub fn position(&self) -> usize {
        self.recorder().position()
    }

    /// Forgets everything that was done, so that the same disk serves another directory. No file on it may be open.
    pub fn start_over(&self) {
        *self.recorder() = Recorder::default();
    }

    /// Fails the change (write, truncation, sync, creation, deletion) that comes after `skip` others, and perhaps all
    /// that follow.
    pub fn fail(&self, skip: usize, failure: Failure, lasting: Lasting) {
        self.recorder().plan(Some(failure::Plan::new(skip, failure, lasting)));
    }

    /// Records that the code under test has synced the directory, and the files in it whose names end so, without SQLite.
    pub fn synced_past_sqlite(&self, ending: &str) {
        self.recorder().synced_past(ending);
    }

    /// Cuts a file to a length in bytes and syncs it, for code under test that does so past SQLite. Both can fail, and both are
    /// recorded.
    pub fn cutter(&self) -> impl Fn(&Path, u64) -> io::Result<()> + Send + Sync + use<> {
        let recorder = Arc::clone(&self.recorder);
        move |path, length| recorder.lock().unwrap_or_else(PoisonError::into_inner).cut(path, length)
    }

    /// Works again from now on.
    pub fn heal(&self) {
        self.recorder().plan(None);
    }

    /// How many changes were made to fail since [`FaultDisk::fail`] was last called.
    pub fn failures(&self) -> usize {
        self.recorder().failures()
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
