//! Records that go into a vault together with something else, in the same commit.

use keep_types::{Collection, Record, RecordId, Timestamp};
use zeroize::Zeroizing;

use crate::VaultError;
use crate::subkeys::Subkeys;

/// A record without a name of its own that is written in the commit of something else.
#[derive(Debug, Clone)]
pub struct Addition {
    pub(crate) collection: Collection,
    at: At,
    pub(crate) plain: Zeroizing<Vec<u8>>,
}

#[derive(Debug, Clone)]
enum At {
    /// There, whatever is there.
    Place(RecordId),
    /// Where the record with this natural key lies, unless there is one.
    Vacant(Vec<u8>),
}

/// Makes such records, at the vault's time, once everything else was looked at.
pub type Additions<'a> = &'a dyn Fn(Timestamp) -> Result<Vec<Addition>, VaultError>;

impl Addition {
    /// A record at `place`, instead of the one that may be there.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn at<R: Record>(place: RecordId, record: &R) -> Result<Self, VaultError> {
        Ok(Self { collection: R::COLLECTION, at: At::Place(place), plain: record.to_cbor()? })
    }

    /// A record with this natural key, if there is none.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn unless_there<R: Record>(natural: &[u8], record: &R) -> Result<Self, VaultError> {
        Ok(Self { collection: R::COLLECTION, at: At::Vacant(natural.to_vec()), plain: record.to_cbor()? })
    }

    /// Where it goes, and whether only if nothing is there.
    pub(crate) fn place(&self, keys: &Subkeys) -> (RecordId, bool) {
        match &self.at {
            At::Place(place) => (*place, false),
            At::Vacant(natural) => (keys.locate(self.collection, natural), true),
        }
    }
}
