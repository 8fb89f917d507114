//! An inspected transaction as the pipeline carries it.

use std::any::Any;

use bitcoin::hashes::Hash;
use keep_types::{InspectedSpend, SpendFacts};

use crate::Inspection;

impl InspectedSpend for Inspection {
    fn facts(&self) -> &SpendFacts {
        Self::facts(self)
    }

    fn txid(&self) -> [u8; 32] {
        self.file().unsigned_tx().compute_txid().to_byte_array()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
