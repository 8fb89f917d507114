//! Where records lie, by what they say themselves.

use keep_types::{Collection, EndpointId, Record, RecordId};

use crate::VaultError;

/// Where a record lies, and under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub(crate) spot: Spot,
    pub(crate) name: Option<String>,
    pub(crate) transport: Option<Transport>,
}

/// The transport key that a record speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transport {
    pub place: RecordId,
    /// Its public key, where the record says it (32 bytes).
    pub public: Option<[u8; 32]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spot {
    /// There.
    At(RecordId),
    /// Where what has this natural key lies.
    By(Vec<u8>),
    /// It does not say.
    Anywhere,
}

/// What a record of a collection that the vault itself does not read says; `None` for a collection that is not known.
pub type Forms<'a> = &'a dyn Fn(Collection, &[u8]) -> Result<Option<Form>, VaultError>;

impl Form {
    /// A record that lies at `place`.
    pub fn at<R: Record>(record: &R, place: RecordId) -> Self {
        Self::of(record, Spot::At(place))
    }

    /// A record that is found by its natural key.
    pub fn by<R: Record>(record: &R, natural: &[u8]) -> Self {
        Self::of(record, Spot::By(natural.to_vec()))
    }

    /// A record that does not say where it lies.
    pub fn anywhere<R: Record>(record: &R) -> Self {
        Self::of(record, Spot::Anywhere)
    }

    fn of<R: Record>(record: &R, spot: Spot) -> Self {
        Self { spot, name: record.unique_name().map(str::to_owned), transport: None }
    }

    /// The record speaks of the transport key of `endpoint`, and of its public key where it says that (32 bytes).
    #[must_use]
    pub fn with_transport(self, endpoint: EndpointId, public: Option<[u8; 32]>) -> Self {
        let place = RecordId::from_bytes(*endpoint.as_bytes());
        Self { transport: Some(Transport { place, public }), ..self }
    }
}
