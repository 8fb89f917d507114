//! An inspected transaction as the pipeline carries it.

use std::any::Any;

use bitcoin::Script;
use bitcoin::hashes::{Hash, sha256};
use keep_types::{InspectedSpend, ScriptMark, SpendFacts};

use crate::Inspection;

/// How many scripts of one transaction are marked: what pays to more of them is no payment between people.
const MAX_MARKS: usize = 512;

/// The mark of an output script: the first eight bytes of its SHA-256.
pub fn script_mark(script: &Script) -> ScriptMark {
    let hash = sha256::Hash::hash(script.as_bytes()).to_byte_array();
    let mut mark = ScriptMark::default();
    mark.copy_from_slice(&hash[..8]);
    mark
}

impl InspectedSpend for Inspection {
    fn facts(&self) -> &SpendFacts {
        Self::facts(self)
    }

    fn txid(&self) -> [u8; 32] {
        self.file().unsigned_tx().compute_txid().to_byte_array()
    }

    fn marks(&self) -> Vec<ScriptMark> {
        let own = self.findings.iter().filter(|found| found.own).filter_map(|found| found.prevout.as_ref());
        let outputs = self.file().unsigned_tx().output.iter();
        let scripts = own.chain(outputs).map(|output| &output.script_pubkey);
        scripts.filter(|script| !script.is_op_return()).take(MAX_MARKS).map(|s| script_mark(s)).collect()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
