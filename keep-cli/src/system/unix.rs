//! As a Unix answers it.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::MemoryLimit;

/// Who reads a file that is closed to others.
pub const READERS: &str = ", for you alone";

/// A terminal needs no preparation.
pub const fn prepare_console() {}

/// Makes a directory for its user only.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Makes files for their user only, and follows no link to them.
pub fn privately(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
}

/// Whether it belongs to the user of this process.
pub fn is_ours(found: &Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}

/// Its permissions, if others than its owner may do anything with it.
pub fn open_to_others(found: &Metadata) -> Option<u32> {
    (found.mode() & 0o077 != 0).then(|| found.mode() & 0o777)
}

/// How much memory this process may keep out of swap.
pub fn memory_limit() -> MemoryLimit {
    getrlimit(Resource::Memlock).current.map_or(MemoryLimit::Any, MemoryLimit::Bytes)
}

/// The signals that ask a process to end.
#[derive(Debug)]
pub struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl EndSignals {
    /// Takes them over. Needs the runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Tells that the terminal has another size.
#[derive(Debug)]
pub struct Resizes(Signal);

impl Resizes {
    /// Listens. Needs the runtime.
    pub fn new() -> io::Result<Self> {
        signal(SignalKind::window_change()).map(Self)
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}
