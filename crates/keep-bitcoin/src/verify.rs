//! Whether an input of a signed transaction satisfies the output that it spends.

use bitcoin::key::XOnlyPublicKey;
use bitcoin::script::Instruction;
use bitcoin::secp256k1::{Message, SECP256K1};
use bitcoin::sighash::{Annex, Prevouts, SighashCache};
use bitcoin::taproot::ControlBlock;
use bitcoin::{
    EcdsaSighashType, Script, Sequence, TapSighashType, Transaction, TxIn, TxOut, Witness, taproot,
};
use miniscript::interpreter::{Interpreter, KeySigPair, SatisfiedConstraint};

use crate::inspect::taproot_key;

/// What a verified input depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Satisfied {
    /// A signature of another type than ALL (or DEFAULT): it does not fix the whole transaction.
    pub(crate) partial_signature: bool,
}

/// Why an input does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsatisfied {
    /// The script is not one that is understood here.
    Unknown,
    /// The script is not satisfied.
    Invalid,
}

/// Verifies input `index` of `tx` against `prevouts`, all of them in order. `cache` is that of the same transaction.
pub(crate) fn verify_input(
    tx: &Transaction,
    cache: &mut SighashCache<&Transaction>,
    index: usize,
    prevouts: &[TxOut],
) -> Result<Satisfied, Unsatisfied> {
    let (Some(txin), Some(spent)) = (tx.input.get(index), prevouts.get(index)) else {
        return Err(Unsatisfied::Invalid);
    };
    if prevouts.len() != tx.input.len() {
        return Err(Unsatisfied::Invalid);
    }
    if let Some(key) = taproot_key(&spent.script_pubkey)
        && let Some(signature) = key_path_signature(&txin.witness)
    {
        return if txin.script_sig.is_empty() {
            key_path(cache, index, prevouts, key, signature)
        } else {
            Err(Unsatisfied::Invalid)
        };
    }
    interpret(tx, index, prevouts)
}

/// The signature of a key path spend without annex.
fn key_path_signature(witness: &Witness) -> Option<&[u8]> {
    witness.nth(0).filter(|_| witness.len() == 1)
}

fn key_path(
    cache: &mut SighashCache<&Transaction>,
    index: usize,
    prevouts: &[TxOut],
    key: XOnlyPublicKey,
    signature: &[u8],
) -> Result<Satisfied, Unsatisfied> {
    let signature = taproot::Signature::from_slice(signature).map_err(|_| Unsatisfied::Invalid)?;
    let kind = signature.sighash_type;
    let annex: Option<Annex<'_>> = None;
    let hash = cache
        .taproot_signature_hash(index, &Prevouts::All(prevouts), annex, None, kind)
        .map_err(|_| Unsatisfied::Invalid)?;
    SECP256K1
        .verify_schnorr(&signature.signature, &Message::from(hash), &key)
        .map_err(|_| Unsatisfied::Invalid)?;
    Ok(Satisfied { partial_signature: !matches!(kind, TapSighashType::Default | TapSighashType::All) })
}

/// Everything else: as miniscript, which covers the standard scripts.
fn interpret(tx: &Transaction, index: usize, prevouts: &[TxOut]) -> Result<Satisfied, Unsatisfied> {
    use miniscript::interpreter::Error as E;
    let (txin, spent) = (&tx.input[index], &prevouts[index]);
    let annex = txin.witness.len() > 1 && txin.witness.last().is_some_and(|last| last.first() == Some(&0x50));
    if annex && spent.script_pubkey.is_p2tr() {
        return Err(Unsatisfied::Unknown);
    }
    if !commits(&spent.script_pubkey, txin) {
        return Err(Unsatisfied::Invalid);
    }
    let interpreter = Interpreter::from_txdata(
        &spent.script_pubkey,
        &txin.script_sig,
        &txin.witness,
        txin.sequence,
        tx.lock_time,
    )
    .map_err(|error| match error {
        E::Miniscript(_) | E::CannotInferTrDescriptors | E::CouldNotEvaluate | E::TapAnnexUnsupported => {
            Unsatisfied::Unknown
        }
        _ => Unsatisfied::Invalid,
    })?;
    let mut satisfied = Satisfied::default();
    let all = Prevouts::All(prevouts);
    for constraint in interpreter.iter(SECP256K1, tx, index, &all) {
        match constraint.map_err(|_| Unsatisfied::Invalid)? {
            SatisfiedConstraint::PublicKey { key_sig }
            | SatisfiedConstraint::PublicKeyHash { key_sig, .. } => {
                satisfied.partial_signature |= is_partial(&key_sig);
            }
            // Locks are consensus only where the transaction opts in (BIP-65, BIP-112).
            SatisfiedConstraint::RelativeTimelock { .. } if tx.version.0 < 2 => {
                return Err(Unsatisfied::Invalid);
            }
            SatisfiedConstraint::AbsoluteTimelock { .. } if txin.sequence == Sequence::MAX => {
                return Err(Unsatisfied::Invalid);
            }
            SatisfiedConstraint::RelativeTimelock { .. }
            | SatisfiedConstraint::AbsoluteTimelock { .. }
            | SatisfiedConstraint::HashLock { .. } => {}
        }
    }
    Ok(satisfied)
}

/// Whether the output commits to the script that the input brings, where it brings one. So a foreign script is
/// invalid, however unknown it is.
fn commits(output: &Script, txin: &TxIn) -> bool {
    let (witness, pushed) = (&txin.witness, last_push(&txin.script_sig));
    if output.is_p2sh() {
        let Some(redeem) = pushed else { return false };
        let redeem = Script::from_bytes(redeem);
        return redeem.to_p2sh() == *output && (!redeem.is_p2wsh() || commits_p2wsh(redeem, witness));
    }
    if output.is_p2wsh() {
        return commits_p2wsh(output, witness);
    }
    match (taproot_key(output), witness.len()) {
        (Some(key), 2..) => {
            let (script, control) = (witness.second_to_last(), witness.last());
            let control = control.and_then(|bytes| ControlBlock::decode(bytes).ok());
            script.zip(control).is_some_and(|(script, control)| {
                control.verify_taproot_commitment(SECP256K1, key, Script::from_bytes(script))
            })
        }
        (Some(_), _) => false,
        (None, _) => true,
    }
}

fn commits_p2wsh(output: &Script, witness: &Witness) -> bool {
    witness.last().is_some_and(|script| Script::from_bytes(script).to_p2wsh() == *output)
}

fn last_push(script_sig: &Script) -> Option<&[u8]> {
    match script_sig.instructions().last()?.ok()? {
        Instruction::PushBytes(push) => Some(push.as_bytes()),
        Instruction::Op(_) => None,
    }
}

const fn is_partial(pair: &KeySigPair) -> bool {
    match pair {
        KeySigPair::Ecdsa(_, signature) => !matches!(signature.sighash_type, EcdsaSighashType::All),
        KeySigPair::Schnorr(_, signature) => {
            !matches!(signature.sighash_type, TapSighashType::Default | TapSighashType::All)
        }
    }
}
