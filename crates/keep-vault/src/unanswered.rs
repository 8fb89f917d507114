//! What was received of requests whose answers have not left.

use std::fmt;

use keep_types::{Collection, Record, RecordId, Revision};
use minicbor::{Decode, Encode};

/// What one commit keeps of the requests that it decided, until all of their answers have left: so that they can be
/// answered after a crash. Events of NIP-46 are ephemeral, so these are stored nowhere else.
#[derive(Debug, Default, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Unanswered(#[n(0)] pub Vec<Received>);

/// One request as it was received.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Received {
    /// Where the record of the request lies.
    #[n(0)]
    pub place: RecordId,
    /// What was received, decrypted.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub content: Vec<u8>,
}

impl Record for Unanswered {
    const COLLECTION: Collection = Collection::Unanswered;
}

impl Unanswered {
    /// Where the commit with this revision keeps what it received: the number in the last 8 bytes, big-endian.
    pub fn place(revision: Revision) -> RecordId {
        RecordId::numbered(revision.get())
    }

    /// The revision of the commit that keeps something at `place`.
    pub fn revision_at(place: &RecordId) -> Revision {
        Revision::new(place.number())
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("place", &self.place).finish_non_exhaustive()
    }
}
