//! The reserve: 16 MiB of random bytes beside every vault.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::VaultError;

/// The file's name in the vault's directory.
pub(crate) const RESERVE_FILE: &str = "reserve";
/// Its exact length in bytes.
pub const RESERVE_LEN: u64 = 16 * 1024 * 1024;

/// Writes a new reserve into `directory`, durably; its first 32 bytes are the KDF salt.
pub(crate) fn create(directory: &Path) -> Result<[u8; 32], VaultError> {
    let path = directory.join(RESERVE_FILE);
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            keep_store::StoreError::Full.into()
        }
        std::io::ErrorKind::AlreadyExists => keep_store::StoreError::Exists(directory.to_owned()).into(),
        _ => VaultError::System(format!("cannot write {}: {e}", path.display())),
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).map_err(failed)?;
    let mut salt = [0; 32];
    let mut chunk = vec![0; 1024 * 1024];
    for index in 0..RESERVE_LEN / chunk.len() as u64 {
        getrandom::getrandom(&mut chunk)?;
        if index == 0 {
            salt.copy_from_slice(&chunk[..32]);
        }
        file.write_all(&chunk).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    Ok(salt)
}
