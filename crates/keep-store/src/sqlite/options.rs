//! How a database is opened.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How a [`SqliteStore`](crate::SqliteStore) is opened. The default is right for everything but tests.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    pub(super) wait: Duration,
    pub(super) vfs: Option<String>,
    pub(super) checkpoint_frames: u32,
    pub(super) examine_place: bool,
    pub(super) sync: bool,
    pub(super) cutter: Option<Cutter>,
}

/// Cuts a file to a length in bytes, for good.
#[derive(Clone)]
pub(super) struct Cutter(Arc<Cut>);

type Cut = dyn Fn(&Path, u64) -> io::Result<()> + Send + Sync;

impl Cutter {
    pub(super) fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        (self.0)(path, length)
    }
}

impl fmt::Debug for Cutter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cutter")
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(10),
            vfs: None,
            checkpoint_frames: 2_000,
            examine_place: true,
            sync: true,
            cutter: None,
        }
    }
}

impl SqliteOptions {
    /// How long a writer waits for its turn before it reports who holds the vault (10 s).
    #[must_use]
    pub const fn wait(mut self, limit: Duration) -> Self {
        self.wait = limit;
        self
    }

    /// The name of a registered SQLite VFS to open the database through.
    #[must_use]
    pub fn vfs(mut self, name: impl Into<String>) -> Self {
        self.vfs = Some(name.into());
        self
    }

    /// How the write-ahead log is cut to a length in bytes and synced, which goes past SQLite: by the operating system. For a
    /// [VFS](Self::vfs) that has to know of it.
    #[must_use]
    pub fn cutter(mut self, cut: impl Fn(&Path, u64) -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.cutter = Some(Cutter(Arc::new(cut)));
        self
    }

    /// The length of the write-ahead log, in pages of 4 KiB, from which on it is copied into the database (2,000).
    #[must_use]
    pub const fn checkpoint_frames(mut self, frames: u32) -> Self {
        self.checkpoint_frames = frames;
        self
    }

    /// Whether to examine the file system first (yes). Only for places known to be safe.
    #[must_use]
    pub const fn examine_place(mut self, yes: bool) -> Self {
        self.examine_place = yes;
        self
    }

    /// Leaves out every sync, so that a test can show that it would notice.
    #[cfg(feature = "conformance")]
    #[must_use]
    pub const fn without_sync(mut self) -> Self {
        self.sync = false;
        self
    }
}
