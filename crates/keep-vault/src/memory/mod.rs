//! Memory that is kept out of swap, core dumps and forks. The only unsafe code of the vault.
#![allow(unsafe_code)]

mod keypair;
#[cfg(unix)]
mod locked;
#[cfg(not(unix))]
mod plain;

pub(crate) use keypair::{EXPANDED_LEN, expand, restore};
#[cfg(unix)]
pub(crate) use locked::LockedBytes;
#[cfg(not(unix))]
pub(crate) use plain::LockedBytes;
