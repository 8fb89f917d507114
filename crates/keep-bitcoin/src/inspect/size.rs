//! How large the signed transaction will be (BIP-141).

use bitcoin::psbt::Input;
use bitcoin::{Psbt, TapSighashType, TxOut};
use miniscript::{Miniscript, Segwitv0, Tap};

use super::input::{Finding, Way};

/// A Schnorr signature with its length byte.
const SCHNORR: u64 = 65;
/// The witness of a P2WPKH input: two items, signature of 72 bytes, key of 33.
const P2WPKH_WITNESS: u64 = 1 + 73 + 34;
/// Scripts longer than this are not analysed.
pub(crate) const MAX_SCRIPT: usize = 10_000;

/// The weight of a transaction, and whether every input's share is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Estimate {
    pub(crate) vsize: u64,
    pub(crate) exact: bool,
}

/// Estimates the size of the transaction after signing.
pub(crate) fn estimate(psbt: &Psbt, findings: &[Finding]) -> Estimate {
    let mut weight = psbt.unsigned_tx.weight().to_wu();
    let (mut exact, mut segwit) = (true, false);
    for (input, finding) in psbt.inputs.iter().zip(findings) {
        let share = share(input, finding);
        exact &= share.exact;
        segwit |= share.witness > 0;
        // An input without witness still has the count of its items.
        weight += 4 * share.script_sig + share.witness.max(1);
    }
    // Marker and flag, or no witness at all.
    let extra = if segwit { 2 } else { 0 };
    let unused = if segwit { 0 } else { psbt.inputs.len() as u64 };
    Estimate { vsize: (weight + extra - unused).div_ceil(4), exact }
}

struct Share {
    /// Bytes of scriptSig beyond the empty one.
    script_sig: u64,
    witness: u64,
    exact: bool,
}

fn share(input: &Input, finding: &Finding) -> Share {
    let final_sig = input.final_script_sig.as_ref().map(|script| script.len() as u64);
    let final_witness = input.final_script_witness.as_ref().map(|witness| witness.size() as u64);
    if final_sig.is_some() || final_witness.is_some() {
        return Share {
            script_sig: final_sig.map_or(0, |len| len + if len > 252 { 2 } else { 0 }),
            witness: final_witness.unwrap_or(0),
            exact: true,
        };
    }
    let Some(prevout) = &finding.prevout else { return Share { script_sig: 0, witness: 0, exact: false } };
    let witness = |witness, exact| Share { script_sig: 0, witness, exact };
    let script = &prevout.script_pubkey;
    if script.is_p2tr() {
        taproot(input, finding).map_or(witness(1 + SCHNORR, false), |size| witness(size, true))
    } else if script.is_p2wpkh() {
        witness(P2WPKH_WITNESS, true)
    } else if script.is_p2wsh() {
        segwit_script(input).map_or(witness(0, false), |size| witness(size, true))
    } else if script.is_p2pkh() {
        Share { script_sig: 73 + 34, witness: 0, exact: true }
    } else {
        nested(input, prevout)
    }
}

fn taproot(input: &Input, finding: &Finding) -> Option<u64> {
    // Every type but DEFAULT is written behind the signature.
    let kind = u64::from(finding.sighash != TapSighashType::Default);
    match finding.ways.first() {
        Some(Way::Key { .. }) => Some(1 + SCHNORR + kind),
        Some(Way::Leaf { control, leaf_hash: _, .. }) => {
            let (script, _) = input.tap_scripts.get(control)?;
            let satisfaction = if script.len() > MAX_SCRIPT {
                return None;
            } else {
                Miniscript::<_, Tap>::decode_consensus(script).ok()?.max_satisfaction_size().ok()? as u64
            };
            Some(1 + satisfaction + kind + pushed(script.len()) + pushed(control.size()))
        }
        None => (input.tap_scripts.is_empty()).then_some(1 + SCHNORR + kind),
    }
}

fn segwit_script(input: &Input) -> Option<u64> {
    let script = input.witness_script.as_ref().filter(|script| script.len() <= MAX_SCRIPT)?;
    let satisfaction =
        Miniscript::<_, Segwitv0>::decode_consensus(script).ok()?.max_satisfaction_size().ok()?;
    Some(1 + satisfaction as u64 + pushed(script.len()))
}

fn nested(input: &Input, prevout: &TxOut) -> Share {
    let inner = input.redeem_script.as_ref().filter(|_| prevout.script_pubkey.is_p2sh());
    match inner {
        Some(inner) if inner.is_p2wpkh() => Share { script_sig: 23, witness: P2WPKH_WITNESS, exact: true },
        Some(inner) if inner.is_p2wsh() => {
            let size = segwit_script(input);
            Share { script_sig: 35, witness: size.unwrap_or(0), exact: size.is_some() }
        }
        Some(_) | None => Share { script_sig: 0, witness: 0, exact: false },
    }
}

/// An item of a witness with its length.
const fn pushed(len: usize) -> u64 {
    let len = len as u64;
    if len < 0xfd { len + 1 } else { len + 3 }
}
