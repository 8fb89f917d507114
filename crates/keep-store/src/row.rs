//! Rows and ranges of rows.

use keep_types::{Collection, RecordId, Revision};

/// A keyed hash of a record's name (32 bytes). No two rows of a collection may have the same.
pub type NameIndex = [u8; 32];

/// One sealed record, as it lies in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The collection number. Numbers that this version does not know are carried along.
    pub collection: u8,
    /// Where in the collection.
    pub id: RecordId,
    /// The revision of the commit that wrote this row.
    pub revision: Revision,
    /// The keyed hash of the record's name, if its collection has unique names.
    pub name: Option<NameIndex>,
    /// Ciphertext: nonce, sealed record, tag.
    pub sealed: Vec<u8>,
}

/// Which rows to visit. Those of one collection come in the order of their ids; those of all collections in whatever
/// order is quickest to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scan {
    /// Only this collection; all collections when absent.
    pub collection: Option<u8>,
    /// Only collections with a higher number than this.
    pub beyond: Option<u8>,
    /// Only ids greater than or equal to this.
    pub from: Option<RecordId>,
    /// Only rows written by a later revision than this.
    pub after: Option<Revision>,
    /// From the last id to the first (with `from`: ids less than or equal to it).
    pub backwards: bool,
}

impl Scan {
    /// Every row, in the order of collections and ids.
    pub const fn everything() -> Self {
        Self { collection: None, beyond: None, from: None, after: None, backwards: false }
    }

    /// Every row of one collection.
    pub const fn collection(collection: Collection) -> Self {
        Self { collection: Some(collection.number()), ..Self::everything() }
    }

    /// Only collections with a higher number than that of `collection`.
    #[must_use]
    pub const fn beyond(mut self, collection: Collection) -> Self {
        self.beyond = Some(collection.number());
        self
    }

    /// From this id on.
    #[must_use]
    pub const fn from(mut self, id: RecordId) -> Self {
        self.from = Some(id);
        self
    }

    /// Only rows written after this revision.
    #[must_use]
    pub const fn after(mut self, revision: Revision) -> Self {
        self.after = Some(revision);
        self
    }

    /// In reverse order.
    #[must_use]
    pub const fn backwards(mut self) -> Self {
        self.backwards = true;
        self
    }
}
