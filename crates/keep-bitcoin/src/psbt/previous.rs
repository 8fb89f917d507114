//! Previous transactions that a PSBT lacks.

use std::collections::BTreeSet;

use bitcoin::consensus::deserialize;
use bitcoin::{Transaction, Txid};

use super::PsbtFile;
use crate::BitcoinError;

impl PsbtFile {
    /// The transactions that inputs spend from and of which the PSBT says nothing.
    pub fn missing_previous(&self) -> Vec<Txid> {
        let inputs = self.psbt.unsigned_tx.input.iter().zip(&self.psbt.inputs);
        let missing = inputs
            .filter(|(_, input)| input.witness_utxo.is_none() && input.non_witness_utxo.is_none())
            .map(|(txin, _)| txin.previous_output.txid);
        missing.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Adds a whole previous transaction, wherever the PSBT lacks it. Its id is computed, so a lie about it fits nowhere.
    /// Says how many inputs got it.
    ///
    /// # Errors
    /// [`BitcoinError::Psbt`] when the bytes are no transaction.
    pub fn add_previous(&mut self, bytes: &[u8]) -> Result<usize, BitcoinError> {
        let transaction: Transaction = deserialize(bytes)
            .map_err(|_| BitcoinError::Psbt("a previous transaction is none".to_owned()))?;
        let txid = transaction.compute_txid();
        let mut filled = 0;
        for (txin, input) in self.psbt.unsigned_tx.input.iter().zip(&mut self.psbt.inputs) {
            let lacks = input.witness_utxo.is_none() && input.non_witness_utxo.is_none();
            if lacks && txin.previous_output.txid == txid {
                input.non_witness_utxo = Some(transaction.clone());
                filled += 1;
            }
        }
        Ok(filled)
    }
}
