//! From signatures to a transaction (BIP-174, "Input Finalizer" and "Transaction Extractor").

use std::collections::BTreeMap;

use bitcoin::key::XOnlyPublicKey;
use bitcoin::psbt::Input;
use bitcoin::sighash::SighashCache;
use bitcoin::taproot::LeafVersion;
use bitcoin::{Psbt, Transaction, TxOut, Witness};
use miniscript::psbt::{PsbtExt, PsbtInputSatisfier};
use miniscript::{Miniscript, Tap};

use super::{SkipReason, Skipped};
use crate::inspect::prevout;
use crate::verify::verify_input;
use crate::{BitcoinError, PsbtFile};

impl PsbtFile {
    /// Makes every input final that has its signatures; the others keep what they have.
    ///
    /// # Errors
    /// [`BitcoinError::NotFinal`] with the inputs that are not final now, each with the reason.
    pub fn finalize(&mut self) -> Result<(), BitcoinError> {
        let missing: Vec<Skipped> = (0..self.psbt().inputs.len())
            .filter_map(|input| {
                finalize_input(self.psbt_mut(), input).err().map(|reason| Skipped { input, reason })
            })
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(BitcoinError::NotFinal(missing)) }
    }

    /// The transaction, ready to be sent, after verifying every input.
    ///
    /// # Errors
    /// [`BitcoinError::NotFinal`] with the inputs that are not final or do not verify.
    pub fn extract(&self) -> Result<Transaction, BitcoinError> {
        let psbt = self.psbt();
        let mut tx = psbt.unsigned_tx.clone();
        let mut missing = Vec::new();
        let mut prevouts = Vec::with_capacity(psbt.inputs.len());
        for (index, (input, txin)) in psbt.inputs.iter().zip(&mut tx.input).enumerate() {
            match prevout(psbt, index) {
                Ok(output) => prevouts.push(output),
                Err(_) => missing.push(Skipped { input: index, reason: SkipReason::MissingPrevout }),
            }
            if !is_final(input) {
                missing.push(Skipped { input: index, reason: SkipReason::Incomplete });
            }
            txin.script_sig = input.final_script_sig.clone().unwrap_or_default();
            txin.witness = input.final_script_witness.clone().unwrap_or_default();
        }
        if missing.is_empty() {
            missing = unverified(&tx, &prevouts);
        }
        if missing.is_empty() { Ok(tx) } else { Err(BitcoinError::NotFinal(missing)) }
    }
}

/// The inputs whose scripts are not satisfied.
fn unverified(tx: &Transaction, prevouts: &[TxOut]) -> Vec<Skipped> {
    let mut cache = SighashCache::new(tx);
    (0..tx.input.len())
        .filter(|index| verify_input(tx, &mut cache, *index, prevouts).is_err())
        .map(|input| Skipped { input, reason: SkipReason::BadSignature })
        .collect()
}

const fn is_final(input: &Input) -> bool {
    input.final_script_sig.is_some() || input.final_script_witness.is_some()
}

fn finalize_input(psbt: &mut Psbt, index: usize) -> Result<(), SkipReason> {
    let input = psbt.inputs.get(index).ok_or(SkipReason::MissingPrevout)?;
    if is_final(input) {
        return Ok(());
    }
    let spent = prevout(psbt, index).map_err(|_| SkipReason::MissingPrevout)?;
    if !spent.script_pubkey.is_p2tr() {
        // Inputs of co-signers with other scripts.
        let secp = bitcoin::secp256k1::SECP256K1;
        return psbt.finalize_inp_mut(secp, index).map_err(|_| SkipReason::Incomplete);
    }
    let witness = match &input.tap_key_sig {
        Some(signature) => Witness::from_slice(&[signature.to_vec()]),
        None => script_path(psbt, index).ok_or(SkipReason::Incomplete)?,
    };
    set_final(psbt, index, witness);
    Ok(())
}

/// The smallest witness of all scripts that can be satisfied.
fn script_path(psbt: &Psbt, index: usize) -> Option<Witness> {
    let input = psbt.inputs.get(index)?;
    let satisfier = PsbtInputSatisfier::new(psbt, index);
    let scripts = input.tap_scripts.iter().filter(|(_, (_, version))| *version == LeafVersion::TapScript);
    let witnesses = scripts.filter_map(|(control, (script, _))| {
        let miniscript = Miniscript::<XOnlyPublicKey, Tap>::decode_consensus(script).ok()?;
        let mut stack = miniscript.satisfy(&satisfier).ok()?;
        stack.push(script.to_bytes());
        stack.push(control.serialize());
        Some(Witness::from_slice(&stack))
    });
    witnesses.min_by_key(Witness::size)
}

/// A final input keeps what it spends and what nobody here knows; everything else goes.
fn set_final(psbt: &mut Psbt, index: usize, witness: Witness) {
    let Some(input) = psbt.inputs.get_mut(index) else { return };
    *input = Input {
        non_witness_utxo: input.non_witness_utxo.take(),
        witness_utxo: input.witness_utxo.take(),
        final_script_witness: Some(witness),
        proprietary: std::mem::take(&mut input.proprietary),
        unknown: std::mem::take::<BTreeMap<_, _>>(&mut input.unknown),
        ..Input::default()
    };
}
