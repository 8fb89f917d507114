//! The store trait: what every back end does.

use std::ops::ControlFlow;

use keep_types::RecordId;

use crate::{NameIndex, Row, Scan, StoreError};

/// A consistent view of one vault's rows.
pub trait ReadTx {
    /// The header (unlock stanzas, in clear), if a vault was made here.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn header(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// The sealed head, if a vault was made here.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn head(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// One row. Absent (`None`) and unreadable (an error) are different answers.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, collection: u8, id: &RecordId) -> Result<Option<Row>, StoreError>;

    /// The row of a collection with this name index.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn find(&self, collection: u8, name: &NameIndex) -> Result<Option<Row>, StoreError>;

    /// Visits rows until `visit` breaks.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn scan(&self, scan: Scan, visit: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), StoreError>;
}

/// An exclusive transaction that can write.
pub trait WriteTx: ReadTx {
    /// Writes or replaces a row.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if another row of the collection has the same name index; otherwise when the store
    /// cannot be written.
    fn put(&mut self, row: &Row) -> Result<(), StoreError>;

    /// Removes a row; says whether there was one.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn delete(&mut self, collection: u8, id: &RecordId) -> Result<bool, StoreError>;

    /// Replaces the header.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn set_header(&mut self, header: &[u8]) -> Result<(), StoreError>;

    /// Replaces the sealed head.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn set_head(&mut self, head: &[u8]) -> Result<(), StoreError>;

    /// Whether anybody but this handle's own `write` changed the store since a committed transaction of this handle
    /// last asked (`true` at first). While it is `false`, what was read earlier under the lock still holds. `true` is
    /// a reason to look, no proof: the failed commit or the crash of another process can cause it as well.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn changed_by_others(&mut self) -> Result<bool, StoreError>;
}

/// The work of one read transaction.
pub type ReadWork<'a> = &'a mut dyn FnMut(&dyn ReadTx) -> Result<(), StoreError>;
/// The work of one write transaction.
pub type WriteWork<'a> = &'a mut dyn FnMut(&mut dyn WriteTx) -> Result<(), StoreError>;

/// One vault's rows, wherever they lie. Handles are shared between threads; several processes may hold one each.
pub trait Store: Send + Sync + 'static {
    /// Runs `work` on a consistent view. Readers never wait for writers.
    ///
    /// # Errors
    /// The error of `work`, or that of the store.
    fn read(&self, work: ReadWork<'_>) -> Result<(), StoreError>;

    /// Runs `work` exclusively and commits durably when it returns `Ok`; otherwise nothing is changed.
    /// Writers of several processes take turns in the order in which they came.
    ///
    /// # Errors
    /// The error of `work`, or that of the store; in both cases nothing was changed.
    fn write(&self, work: WriteWork<'_>) -> Result<(), StoreError>;

    /// Wipes what replaced rows have left behind where they lay, as far as that is in the store's hands. Slow: everything is
    /// written anew.
    ///
    /// # Errors
    /// When the store cannot be written, or is in use; nothing is lost then.
    fn wipe_leftovers(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Brings the files into the state in which the last process that had them open leaves them at its end, as far as others that
    /// read at this time let it.
    ///
    /// # Errors
    /// When the store cannot be written; nothing is lost then.
    fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
