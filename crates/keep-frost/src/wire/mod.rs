//! What travels: authenticated round messages, and shares as text.

mod bech;
mod envelope;
mod kdf;
mod kshare;

pub use envelope::{Envelope, Kind};
pub use kdf::KdfCost;
pub use kshare::{Enrolment, ShareExport, ShareLabel};

pub(crate) use bech::{decode as bech32m_decode, encode as bech32m_encode};
