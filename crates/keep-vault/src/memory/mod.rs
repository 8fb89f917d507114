//! Memory that is kept out of swap, core dumps and forks. The only unsafe code of the vault.
#![allow(unsafe_code)]

mod keypair;
mod locked;

pub(crate) use keypair::{EXPANDED_LEN, expand, restore};
pub(crate) use locked::LockedBytes;
