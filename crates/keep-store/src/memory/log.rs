//! Where a store in memory keeps itself.

use crate::StoreError;

/// Keeps the changes of a [`MemoryStore`](crate::MemoryStore) durably. It knows nothing of rows: a change is bytes, and
/// so is everything together. Encryption, if there is to be any, happens here.
pub trait ChangeLog: Send + 'static {
    /// Makes a change durable before it returns: as an addition to those before, or by keeping `whole()`, which is
    /// everything with the change in it, in place of all that was kept before.
    ///
    /// # Errors
    /// When it cannot be kept. The change has failed then for everybody; after a crash it may come to light, as a whole.
    /// The changes before are safe.
    fn commit(&mut self, change: &[u8], whole: &dyn Fn() -> Vec<u8>) -> Result<(), StoreError>;

    /// Called once, when the last handle of the store goes. Everything is durable already.
    fn close(&mut self, whole: &dyn Fn() -> Vec<u8>);

    /// Keeps `whole()` and nothing of what was kept before, not even where it cannot be reached any more.
    ///
    /// # Errors
    /// When it cannot be kept. Nothing is lost then.
    fn wipe(&mut self, whole: &dyn Fn() -> Vec<u8>) -> Result<(), StoreError>;

    /// The most bytes that everything together may take.
    fn capacity(&self) -> usize;
}

/// Whether a change, as [`ChangeLog::commit`] is given it, replaces the header.
pub fn changes_header(change: &[u8]) -> bool {
    change.first() == Some(&super::codec::HEADER)
}
