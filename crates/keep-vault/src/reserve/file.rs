//! The file, and what a file does.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keep_store::StoreError;
use keep_types::{ErrorCode, Fault};

use super::layout::{BLOCK, RESERVE_LEN};
use crate::{Holder, VaultError};

/// The file's name in the vault's directory.
pub(crate) const RESERVE_FILE: &str = "reserve";
/// How long to wait for a command that has the hidden vault open.
const WAIT: Duration = Duration::from_secs(10);
/// How often to look whether it is done: at first, and at last.
const LOOKS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(200)];

/// The bytes of a reserve, and their durability. Tests put a disk in its place that loses power.
pub trait Medium: Send + 'static {
    /// Reads everything.
    ///
    /// # Errors
    /// When the operating system refuses.
    fn read(&mut self) -> io::Result<Vec<u8>>;

    /// Reads everything as the device has it. What another process wrote and did not make durable is made durable first; and where
    /// the system tells (Linux), what it could not make durable is not read, though it still has it in memory.
    ///
    /// # Errors
    /// When the operating system refuses.
    fn read_durable(&mut self) -> io::Result<Vec<u8>> {
        self.sync()?;
        self.read()
    }

    /// Writes bytes from byte `at` on, which are within the reserve.
    ///
    /// # Errors
    /// When the operating system refuses.
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything durable that was written before.
    ///
    /// # Errors
    /// When the operating system refuses; what was written may be durable or not.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file `reserve` in a vault's directory.
#[derive(Debug)]
pub struct ReserveFile {
    file: File,
    path: PathBuf,
}

impl ReserveFile {
    /// Opens the reserve in `directory`.
    ///
    /// # Errors
    /// When it is not there, is not a file of 16 MiB, or cannot be opened.
    pub fn open(directory: &Path) -> Result<Self, VaultError> {
        let path = directory.join(RESERVE_FILE);
        let refused = |e: io::Error| VaultError::System(format!("cannot open {}: {e}", path.display()));
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(refused)?;
        let meta = file.metadata().map_err(refused)?;
        if !meta.is_file() || meta.len() != RESERVE_LEN {
            return Err(VaultError::System(format!(
                "{} is not a file of {RESERVE_LEN} bytes",
                path.display()
            )));
        }
        Ok(Self { file, path })
    }

    /// Page 0.
    pub(crate) fn read_page(&mut self) -> io::Result<[u8; BLOCK]> {
        let mut page = [0; BLOCK];
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_exact(&mut page)?;
        Ok(page)
    }

    /// Waits until no other process has a vault open in it, unless `holder` knows one that does not let go by itself. The lock
    /// ends with this value.
    pub(crate) fn lock(&self, holder: &Holder) -> Result<(), VaultError> {
        let deadline = Instant::now() + WAIT;
        let [mut pause, longest] = LOOKS;
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(()),
                Err(std::fs::TryLockError::Error(e)) => {
                    let what = format!("the file system does not lock {} ({e})", self.path.display());
                    return Err(StoreError::Unsupported(what).into());
                }
                Err(std::fs::TryLockError::WouldBlock) => {}
            }
            if let Some(process) = holder.process() {
                let message = format!(
                    "process {process} holds this vault unlocked, which can be open in one process at a time"
                );
                let fault = Fault::new(ErrorCode::StorageBusy, message);
                return Err(fault.with_hint("run `keep lock` first").into());
            }
            if Instant::now() >= deadline {
                return Err(StoreError::Busy("this vault can be open in one process at a time".into()).into());
            }
            std::thread::sleep(pause);
            pause = longest.min(pause * 2);
        }
    }
}

impl Medium for ReserveFile {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(RESERVE_LEN as usize + 1);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != RESERVE_LEN {
            return Err(io::Error::other("the reserve changed its length"));
        }
        Ok(bytes)
    }

    fn read_durable(&mut self) -> io::Result<Vec<u8>> {
        self.sync()?;
        // After a write failed, the system takes its page for clean. Without the page it must ask the device.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
        self.read()
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// What the operating system says, as a store says it.
pub(super) fn store_error(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Io(format!("cannot use the vault's files: {error}")),
    }
}

pub(crate) fn failed(error: io::Error) -> VaultError {
    store_error(&error).into()
}

/// Writes a new reserve into `directory`, durably; its first 32 bytes are the KDF salt.
pub(crate) fn create(directory: &Path) -> Result<[u8; 32], VaultError> {
    let path = directory.join(RESERVE_FILE);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => StoreError::Exists(directory.to_owned()).into(),
        _ => cannot_write(&path, &e),
    })?;
    let mut salt = [0; 32];
    getrandom::getrandom(&mut salt)?;
    fill(&mut file, &salt).map_err(|e| cannot_write(&path, &e))?;
    Ok(salt)
}

/// Overwrites the reserve in `directory` (making it, if it is lost) with new random bytes behind `salt`, durably. Whatever
/// it held is gone.
pub(crate) fn randomise(directory: &Path, salt: &[u8; 32]) -> Result<(), VaultError> {
    let path = directory.join(RESERVE_FILE);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || {
        let mut file = options.open(&path)?;
        file.set_len(RESERVE_LEN)?;
        fill(&mut file, salt)
    };
    write().map_err(|e| cannot_write(&path, &e))
}

fn fill(file: &mut File, salt: &[u8; 32]) -> io::Result<()> {
    let mut chunk = vec![0; 1024 * 1024];
    for index in 0..RESERVE_LEN / chunk.len() as u64 {
        getrandom::getrandom(&mut chunk).map_err(io::Error::other)?;
        if index == 0 {
            chunk[..32].copy_from_slice(salt);
        }
        file.write_all(&chunk)?;
    }
    file.sync_all()
}

fn cannot_write(path: &Path, error: &io::Error) -> VaultError {
    match store_error(error) {
        StoreError::Full => StoreError::Full.into(),
        _ => VaultError::System(format!("cannot write {}: {error}", path.display())),
    }
}
