//! The reserve: 16 MiB of random bytes beside every vault, in which a hidden vault may lie.
//!
//! `docs/formats/reserve.md` describes the format, `docs/hidden.md` what it hides and what it does not.

#[cfg(test)]
mod durable_tests;
mod file;
mod journal;
mod layout;
mod log;
#[cfg(test)]
mod lost_tests;
mod slot;

use keep_store::MemoryStore;
use keep_types::SecretKey32;

use crate::VaultError;

pub use file::{Medium, ReserveFile};
pub(crate) use file::{RESERVE_FILE, create, failed, randomise};
pub use layout::{Layout, RESERVE_LEN};
pub(crate) use log::{Rekey, find};

/// Opens the store that lies in a reserve under `kek`; `None` if there is none, or under another key: nothing tells the
/// two apart.
///
/// # Errors
/// When the medium cannot be read.
pub fn open_store(
    mut medium: impl Medium,
    layout: Layout,
    salt: [u8; 32],
    kek: &SecretKey32,
) -> Result<Option<MemoryStore>, VaultError> {
    let bytes = medium.read_durable().map_err(file::failed)?;
    let Some(found) = find(&bytes, layout, &salt, kek) else { return Ok(None) };
    Ok(Some(found.into_store(Box::new(medium), layout, salt, kek)?.0))
}

/// Makes an empty store in a reserve. It is there from its first commit on, and what was there before is lost.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn make_store(
    medium: impl Medium,
    layout: Layout,
    salt: [u8; 32],
    kek: &SecretKey32,
) -> Result<MemoryStore, VaultError> {
    Ok(make(Box::new(medium), layout, salt, kek)?.0)
}

/// As [`make_store`], with the handle through which its passphrase changes.
pub(crate) fn make(
    medium: Box<dyn Medium>,
    layout: Layout,
    salt: [u8; 32],
    kek: &SecretKey32,
) -> Result<(MemoryStore, Rekey), VaultError> {
    let log = log::ReserveLog::empty(medium, layout, salt, kek)?;
    let rekey = log.rekey();
    Ok((MemoryStore::with_log([b""], log)?, rekey))
}
