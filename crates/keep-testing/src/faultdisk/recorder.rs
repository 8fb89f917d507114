//! Where the VFS writes down what it does.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use super::failure::{Failure, Plan};
use super::log::{FileId, Log, Op};

/// The log so far, the files as they are named now, and the failure that is to come.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    ops: Vec<Op>,
    names: BTreeMap<String, FileId>,
    files: usize,
    plan: Option<Plan>,
}

impl Recorder {
    pub(super) fn log(&self) -> Log {
        Log { ops: self.ops.clone() }
    }

    pub(super) fn position(&self) -> usize {
        self.ops.len()
    }

    pub(super) fn plan(&mut self, plan: Option<Plan>) {
        self.plan = plan;
    }

    pub(super) fn failures(&self) -> usize {
        self.plan.as_ref().map_or(0, Plan::failures)
    }

    /// Counts a change that is about to be made; says how it is to fail, if it is.
    pub(super) fn failure(&mut self) -> Option<Failure> {
        self.plan.as_mut()?.next()
    }

    /// The file with this name, if it was opened or made here before.
    pub(super) fn known(&self, path: &Path) -> Option<FileId> {
        self.names.get(&name(path)).copied()
    }

    /// A file that was there before this disk knew of it.
    pub(super) fn found(&mut self, path: &Path, bytes: Vec<u8>) -> FileId {
        let file = self.name_file(path);
        self.ops.push(Op::Found { file, name: name(path), bytes: bytes.into() });
        file
    }

    pub(super) fn created(&mut self, path: &Path) -> FileId {
        let file = self.name_file(path);
        self.ops.push(Op::Created { file, name: name(path) });
        file
    }

    pub(super) fn wrote(&mut self, file: FileId, at: u64, bytes: &[u8]) {
        self.ops.push(Op::Wrote { file, at, bytes: bytes.into() });
    }

    pub(super) fn truncated(&mut self, file: FileId, len: u64) {
        self.ops.push(Op::Truncated { file, len });
    }

    pub(super) fn synced(&mut self, file: FileId) {
        self.ops.push(Op::Synced { file });
    }

    pub(super) fn deleted(&mut self, path: &Path) {
        let name = name(path);
        self.names.remove(&name);
        self.ops.push(Op::Deleted { name });
    }

    pub(super) fn directory_synced(&mut self) {
        self.ops.push(Op::DirectorySynced);
    }

    /// Cuts a file that SQLite has open without a lock on it, and syncs it.
    pub(super) fn cut(&mut self, path: &Path, length: u64) -> io::Result<()> {
        let file = match self.known(path) {
            Some(file) => file,
            None => self.found(path, fs::read(path)?),
        };
        if self.failure().is_some() {
            return Err(io::Error::other("the disk does not cut"));
        }
        fs::OpenOptions::new().write(true).open(path)?.set_len(length)?;
        self.truncated(file, length);
        if self.failure().is_some() {
            return Err(io::Error::other("the disk does not sync"));
        }
        self.synced(file);
        Ok(())
    }

    /// Syncs that did not go through SQLite: of the files whose names end so, and of the directory.
    pub(super) fn synced_past(&mut self, ending: &str) {
        let files = self.names.iter().filter(|(name, _)| name.ends_with(ending));
        self.ops.extend(files.map(|(_, file)| Op::Synced { file: *file }));
        self.directory_synced();
    }

    fn name_file(&mut self, path: &Path) -> FileId {
        let file = FileId(self.files);
        self.files += 1;
        self.names.insert(name(path), file);
        file
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
