//! What was done to the disk, in order.

use std::sync::Arc;

/// One file, whatever its name: a file that is deleted and made again is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(super) usize);

impl FileId {
    /// File number `number` of a log that is written by hand.
    pub const fn new(number: usize) -> Self {
        Self(number)
    }
}

/// One operation. Names are those of the files in the directory, without the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A file that was there before it was first opened through this disk, with its content.
    Found {
        /// Which file.
        file: FileId,
        /// Its name.
        name: String,
        /// What it held, safe on the disk.
        bytes: Arc<[u8]>,
    },
    /// A new, empty file.
    Created {
        /// Which file.
        file: FileId,
        /// Its name.
        name: String,
    },
    /// Bytes were written.
    Wrote {
        /// Into which file.
        file: FileId,
        /// From which byte on.
        at: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// A file was cut or extended to a length.
    Truncated {
        /// Which file.
        file: FileId,
        /// The new length in bytes.
        len: u64,
    },
    /// All that was written to a file before is safe.
    Synced {
        /// Which file.
        file: FileId,
    },
    /// A name was removed.
    Deleted {
        /// Which name.
        name: String,
    },
    /// All names that were made and removed before are safe.
    DirectorySynced,
}

impl Op {
    /// Whether something becomes safe here.
    pub fn is_sync(&self) -> bool {
        matches!(self, Self::Synced { .. } | Self::DirectorySynced)
    }
}

/// The operations of a disk. Copies share the bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    pub(super) ops: Vec<Op>,
}

impl Log {
    /// The log of a disk that is no SQLite VFS.
    pub const fn of(ops: Vec<Op>) -> Self {
        Self { ops }
    }

    /// The operations, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The same log without its syncs: a disk (or a program) that lies about them.
    #[must_use]
    pub fn without_syncs(&self) -> Self {
        Self { ops: self.ops.iter().filter(|op| !op.is_sync()).cloned().collect() }
    }
}
