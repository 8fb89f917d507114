//! Memory for keys where a safe interface to the system's locks is missing.

use zeroize::Zeroizing;

use crate::VaultError;

/// Bytes that are wiped on drop. The system may swap them to disk: [`is_locked`](Self::is_locked) says so.
pub(crate) struct LockedBytes(Zeroizing<Vec<u8>>);

impl LockedBytes {
    /// `len` zero bytes.
    ///
    /// # Errors
    /// None here.
    #[allow(clippy::unnecessary_wraps, reason = "the other systems' form can fail")]
    pub fn zeroed(len: usize) -> Result<Self, VaultError> {
        Ok(Self(Zeroizing::new(vec![0; len])))
    }

    /// Whether the bytes are kept out of swap: not here.
    pub const fn is_locked(&self) -> bool {
        false
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
