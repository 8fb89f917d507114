//! What an input spends, as far as the PSBT proves it.

use bitcoin::{Psbt, TxOut};

use super::{Place, Warning, WarningCode};

/// The output that input `index` spends.
///
/// A whole previous transaction must have the id that the input names; what the PSBT says twice must agree.
pub(crate) fn prevout(psbt: &Psbt, index: usize) -> Result<TxOut, Warning> {
    let contradiction =
        |text: &str| Err(Warning::new(WarningCode::ContradictingPrevout, Place::Input(index), text));
    let (Some(input), Some(txin)) = (psbt.inputs.get(index), psbt.unsigned_tx.input.get(index)) else {
        return contradiction("the input does not exist");
    };
    let outpoint = txin.previous_output;
    let proved = match &input.non_witness_utxo {
        None => None,
        Some(tx) if tx.compute_txid() != outpoint.txid => {
            return contradiction(
                "the previous transaction in the PSBT is another one than the input spends",
            );
        }
        Some(tx) => match tx.output.get(outpoint.vout as usize) {
            None => {
                return contradiction(
                    "the previous transaction does not have the output that the input spends",
                );
            }
            found => found,
        },
    };
    match (proved, &input.witness_utxo) {
        (Some(proved), Some(claimed)) if proved != claimed => {
            contradiction("the previous output in the PSBT is not that of the previous transaction")
        }
        (Some(output), _) | (None, Some(output)) => Ok(output.clone()),
        (None, None) => Err(Warning::new(
            WarningCode::MissingPrevout,
            Place::Input(index),
            "the PSBT does not say what this input spends",
        )),
    }
}
