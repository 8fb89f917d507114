//! Verifying a signed message (BIP-322, "Verification").

use std::collections::{HashMap, HashSet};

use bitcoin::sighash::SighashCache;
use bitcoin::{Address, Amount, OutPoint, Psbt, Script, Transaction, TxOut, Txid, WitnessVersion};

use super::{MessageSignature, to_sign, to_spend};
use crate::verify::{Unsatisfied, verify_input};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The signature is valid.
    Valid {
        /// The lock time of `to_sign`: when above zero, the signer could spend only from this height or time on.
        lock_time: u32,
        /// The sequence of its first input: when above zero, only after this age.
        age: u32,
        /// The coins that the proof of funds controls, in satoshis. That they exist unspent, with these scripts and
        /// amounts, must be looked up in the chain.
        funds: Vec<(OutPoint, u64)>,
    },
    /// The script is one that Keep does not interpret.
    Inconclusive,
    /// The signature is not valid.
    Invalid {
        /// Why.
        reason: &'static str,
    },
}

/// Verifies that whoever owns `address` signed `message`.
pub fn verify(address: &Address, message: &[u8], signature: &MessageSignature) -> Verdict {
    let script = address.script_pubkey();
    let to_spend = to_spend(message, &script);
    let checked = match signature {
        MessageSignature::Simple(witness) if script.is_witness_program() => {
            let mut tx = to_sign(&to_spend);
            tx.input[0].witness = witness.clone();
            check(&to_spend, &tx, to_spend.output.clone())
        }
        MessageSignature::Simple(_) => Err(invalid("a simple signature is for native segwit addresses only")),
        MessageSignature::Full(tx) if tx.input.len() > 1 => {
            Err(invalid("it has further inputs without their outputs"))
        }
        MessageSignature::Full(tx) => check(&to_spend, tx, to_spend.output.clone()),
        MessageSignature::ProofOfFunds(file) => proof_of_funds(&to_spend, file.psbt()),
    };
    match checked {
        Ok(verdict) | Err(verdict) => verdict,
    }
}

const fn invalid(reason: &'static str) -> Verdict {
    Verdict::Invalid { reason }
}

fn check(to_spend: &Transaction, tx: &Transaction, prevouts: Vec<TxOut>) -> Result<Verdict, Verdict> {
    check_form(to_spend, tx)?;
    let mut cache = SighashCache::new(tx);
    for (index, prevout) in prevouts.iter().enumerate() {
        if is_future(&prevout.script_pubkey) {
            return Err(Verdict::Inconclusive);
        }
        match verify_input(tx, &mut cache, index, &prevouts) {
            Ok(satisfied) if satisfied.partial_signature => {
                return Err(invalid("a signature does not cover the whole transaction"));
            }
            Ok(_) => {}
            Err(Unsatisfied::Unknown) => return Err(Verdict::Inconclusive),
            Err(Unsatisfied::Invalid) => return Err(invalid("a signature does not verify")),
        }
    }
    if !matches!(tx.version.0, 0 | 2) {
        return Err(Verdict::Inconclusive);
    }
    let first = tx.input.first().map_or(0, |input| input.sequence.0);
    let proved = tx.input.iter().zip(&prevouts).skip(1);
    let funds = proved.map(|(input, output)| (input.previous_output, output.value.to_sat())).collect();
    Ok(Verdict::Valid { lock_time: tx.lock_time.to_consensus_u32(), age: first, funds })
}

/// The parts of `to_sign` that are fixed.
fn check_form(to_spend: &Transaction, tx: &Transaction) -> Result<(), Verdict> {
    let expected = OutPoint { txid: to_spend.compute_txid(), vout: 0 };
    if tx.input.first().map(|input| input.previous_output) != Some(expected) {
        return Err(invalid("it is a signature of another message or address"));
    }
    if tx.output != to_sign(to_spend).output {
        return Err(invalid("it has other outputs than a signed message"));
    }
    let mut seen = HashSet::new();
    if !tx.input.iter().all(|input| seen.insert(input.previous_output)) {
        return Err(invalid("it spends an output twice"));
    }
    Ok(())
}

fn is_future(script: &Script) -> bool {
    script.witness_version().is_some_and(|version| version > WitnessVersion::V1)
}

fn proof_of_funds(to_spend: &Transaction, psbt: &Psbt) -> Result<Verdict, Verdict> {
    let mut tx = psbt.unsigned_tx.clone();
    for (txin, input) in tx.input.iter_mut().zip(&psbt.inputs) {
        txin.script_sig = input.final_script_sig.clone().unwrap_or_default();
        txin.witness = input.final_script_witness.clone().unwrap_or_default();
    }
    let prevouts = prevouts(to_spend, psbt)?;
    let total = prevouts.iter().try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value));
    if total.is_none_or(|total| total > Amount::MAX_MONEY) {
        return Err(invalid("its amounts are more than all the coins there can be"));
    }
    check(to_spend, &tx, prevouts)
}

/// What every input spends. A previous transaction may be given with one of the inputs that spend from it.
fn prevouts(to_spend: &Transaction, psbt: &Psbt) -> Result<Vec<TxOut>, Verdict> {
    let given = psbt.inputs.iter().filter_map(|input| input.non_witness_utxo.as_ref());
    let mut transactions: HashMap<Txid, &Transaction> = given.map(|tx| (tx.compute_txid(), tx)).collect();
    transactions.insert(to_spend.compute_txid(), to_spend);
    let inputs = psbt.unsigned_tx.input.iter().zip(&psbt.inputs);
    let outputs = inputs.map(|(txin, input)| {
        let outpoint = txin.previous_output;
        let proved = transactions.get(&outpoint.txid).and_then(|tx| tx.output.get(outpoint.vout as usize));
        match (proved, &input.witness_utxo) {
            (Some(proved), Some(claimed)) if proved != claimed => Err(invalid("it contradicts itself")),
            (Some(output), _) | (None, Some(output)) => Ok(output.clone()),
            (None, None) => Err(invalid("it does not say what an input spends")),
        }
    });
    outputs.collect()
}
