//! Random transactions: what is signed verifies, what the facts say is what the transaction does, and nothing that was
//! tampered with is signed or accepted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{
    change, claim_input, claim_output, consensus, inspect, prevouts, psbt, receive, signer, stranger,
};
use keep_bitcoin::bitcoin::{Amount, Psbt, ScriptBuf};
use keep_bitcoin::{BitcoinError, OwnAddress, PsbtFile, Severity};
use proptest::prelude::*;

/// An input: ours or foreign, its index, its amount.
type In = (bool, u32, u64);
/// An output: change, receive, stranger, or data; its index, its amount.
type Out = (u8, u32, u64);

/// One input alone is worth more than all outputs: a transaction that makes money is refused, which another test shows.
fn inputs() -> impl Strategy<Value = Vec<In>> {
    proptest::collection::vec((any::<bool>(), 0..40_u32, 80_000..1_000_000_u64), 1..8)
}

fn outputs() -> impl Strategy<Value = Vec<Out>> {
    proptest::collection::vec((0..4_u8, 0..40_u32, 1_000..15_000_u64), 1..6)
}

fn own(kind: u8, index: u32) -> Option<OwnAddress> {
    match kind {
        0 => Some(change(index)),
        1 => Some(receive(index)),
        _ => None,
    }
}

fn make(inputs: &[In], outputs: &[Out]) -> Psbt {
    let ins: Vec<(ScriptBuf, u64)> = inputs
        .iter()
        .map(|(ours, index, sats)| {
            (if *ours { receive(*index).script().into() } else { stranger(*index as u8 + 10) }, *sats)
        })
        .collect();
    let total: u64 = ins.iter().map(|(_, sats)| sats).sum();
    let mut outs: Vec<(ScriptBuf, u64)> = outputs
        .iter()
        .map(|(kind, index, sats)| match own(*kind, *index) {
            Some(address) => (address.script().into(), *sats),
            None if *kind == 3 => (ScriptBuf::from_hex("6a026869").unwrap(), 0),
            None => (stranger(*index as u8 + 100), *sats),
        })
        .collect();
    // What is left goes to a stranger, but for a fee of 1,000 sats.
    let spent: u64 = outs.iter().map(|(_, sats)| sats).sum();
    if total > spent + 2_000 {
        outs.push((stranger(200), total - spent - 1_000));
    }
    let mut psbt = psbt(&ins, &outs);
    for (number, (ours, index, _)) in inputs.iter().enumerate() {
        if *ours {
            claim_input(&mut psbt, number, &receive(*index));
        }
    }
    for (number, (kind, index, _)) in outputs.iter().enumerate() {
        if let Some(address) = own(*kind, *index) {
            claim_output(&mut psbt, number, &address);
        }
    }
    psbt
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn facts_and_signatures_are_right(ins in inputs(), outs in outputs()) {
        let psbt = make(&ins, &outs);
        let inspection = inspect(psbt.clone());
        let facts = inspection.facts().clone();
        let own_in: u64 = ins.iter().filter(|(ours, ..)| *ours).map(|(.., sats)| sats).sum();
        let own_out: u64 = outs.iter().filter(|(kind, ..)| *kind < 2).map(|(.., sats)| sats).sum();
        prop_assert_eq!(facts.own_inputs_sats, Some(own_in));
        prop_assert_eq!(facts.own_outputs_sats, own_out);
        let foreign_in: u64 = ins.iter().filter(|(ours, ..)| !ours).map(|(.., sats)| sats).sum();
        prop_assert_eq!(facts.leaving_sats, Some(own_in.saturating_sub(own_out.saturating_sub(foreign_in))));
        let destinations: u64 = facts.destinations.iter().map(|to| to.amount_sats).sum();
        let total: u64 = ins.iter().map(|(.., sats)| sats).sum();
        prop_assert_eq!(destinations + own_out + facts.fee_sats.unwrap(), total);
        prop_assert_eq!(facts.signable_inputs, ins.iter().filter(|(ours, ..)| *ours).count());
        match inspection.sign(&signer()) {
            Ok(mut signed) => {
                prop_assert_eq!(signed.signatures, facts.signable_inputs);
                let _ = signed.file.finalize();
                let spent = prevouts(signed.file.psbt());
                let mut tx = signed.file.psbt().unsigned_tx.clone();
                for (txin, input) in tx.input.iter_mut().zip(&signed.file.psbt().inputs) {
                    txin.witness = input.final_script_witness.clone().unwrap_or_default();
                }
                // Exactly our inputs are satisfied.
                let first_foreign = ins.iter().position(|(ours, ..)| !ours);
                prop_assert_eq!(consensus(&tx, &spent).err(), first_foreign);
                // Written and read, nothing changes.
                let again = PsbtFile::read(&signed.file.write()).unwrap();
                prop_assert_eq!(again.psbt(), signed.file.psbt());
            }
            Err(BitcoinError::NothingSigned(reasons)) => {
                prop_assert_eq!(facts.signable_inputs, 0);
                prop_assert_eq!(reasons.len(), ins.len());
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    /// However a transaction is signed in parts, each naming some inputs as ours, all of them together count what leaves.
    #[test]
    fn parts_count_what_the_whole_loses(ins in inputs(), outs in outputs(), parts in 1_usize..5) {
        let ins: Vec<In> = ins.into_iter().map(|(_, index, sats)| (true, index, sats)).collect();
        let whole = make(&ins, &outs);
        let leaving = |psbt| inspect(psbt).facts().leaving_sats.unwrap();
        let counted: u64 = (0..parts)
            .map(|part| {
                let mut psbt = whole.clone();
                for (number, input) in psbt.inputs.iter_mut().enumerate() {
                    if number % parts != part {
                        input.tap_key_origins.clear();
                        input.tap_internal_key = None;
                    }
                }
                leaving(psbt)
            })
            .sum();
        prop_assert!(counted >= leaving(whole), "{counted} in {parts} parts");
    }

    /// After signing, any change of an amount, a script or an order is rejected by consensus.
    #[test]
    fn tampering_after_signing_fails(ins in inputs(), outs in outputs(), at: usize, what in 0_u8..4) {
        let ins: Vec<In> = ins.into_iter().map(|(_, index, sats)| (true, index, sats)).collect();
        let mut signed = inspect(make(&ins, &outs)).sign(&signer()).unwrap();
        signed.file.finalize().unwrap();
        let spent = prevouts(signed.file.psbt());
        let mut tx = signed.file.extract().unwrap();
        prop_assert_eq!(consensus(&tx, &spent), Ok(()));
        let output = at % tx.output.len();
        match what {
            0 => tx.output[output].value = Amount::from_sat(tx.output[output].value.to_sat() ^ 1),
            1 => tx.output[output].script_pubkey = stranger(250),
            2 => tx.output.push(tx.output[output].clone()),
            _ => tx.lock_time = keep_bitcoin::bitcoin::absolute::LockTime::from_consensus(1 + (at % 1000) as u32),
        }
        prop_assert!(consensus(&tx, &spent).is_err());
    }

    /// Before signing: whatever is changed in the claims, only what is proved counts, and nothing else is signed.
    #[test]
    fn tampered_claims_gain_nothing(ins in inputs(), outs in outputs(), at: usize, other in 0..40_u32) {
        let ins: Vec<In> = ins.into_iter().map(|(_, index, sats)| (true, index, sats)).collect();
        let honest = make(&ins, &outs);
        let mut psbt = honest.clone();
        let output = at % psbt.outputs.len();
        // An output keeps its claim to be ours and pays to another key.
        let (script, claim) = (stranger(251), change(other));
        psbt.unsigned_tx.output[output].script_pubkey = script;
        claim_output(&mut psbt, output, &claim);
        let before = inspect(honest).facts().leaving_sats.unwrap();
        let inspection = inspect(psbt);
        prop_assert!(inspection.facts().leaving_sats.unwrap() >= before);
        prop_assert!(inspection.view().warnings.iter().any(|warning| warning.severity == Severity::Danger));
        prop_assert!(matches!(inspection.sign(&signer()), Err(BitcoinError::Refused(_))));
    }
}
