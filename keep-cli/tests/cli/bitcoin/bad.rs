//! PSBTs that try to deceive, through the program: refused with the reason, or warned about; never signed by accident, and
//! nothing crashes.

use bdk_wallet::bitcoin::bip32::DerivationPath;
use bdk_wallet::bitcoin::psbt::PsbtSighashType;
use bdk_wallet::bitcoin::{Amount, Psbt, ScriptBuf, TapSighashType};

use super::{Own, about, claim, codes, outcomes, payment, psbt, refusal, stranger};
use crate::world::World;

/// The vault, and addresses of its key.
struct Case {
    world: World,
    first: Own,
    other: Own,
    change: Own,
}

impl Case {
    fn new() -> Self {
        let world = World::with_key();
        let (first, other, change) =
            (Own::of(&world, false, 0), Own::of(&world, false, 5), Own::of(&world, true, 0));
        Self { world, first, other, change }
    }

    /// 60,000 to a stranger, 39,000 back.
    fn honest(&self) -> Psbt {
        let outputs = [(stranger(9), 60_000), (self.change.script(), 39_000)];
        let mut psbt = psbt(&[(&self.first, 100_000)], &outputs);
        claim(&mut psbt, 1, &self.change);
        psbt
    }

    /// The same after a change.
    fn but(&self, change: impl FnOnce(&mut Psbt)) -> Psbt {
        let mut psbt = self.honest();
        change(&mut psbt);
        psbt
    }

    /// It is shown with this warning, and not signed for this reason.
    fn refused(&self, psbt: &Psbt, code: &str, reason: &str) {
        let seen = about(&self.world, "analyze", psbt, &[]).json();
        assert!(codes(&seen).contains(&code.to_owned()), "{code}: {}", seen["warnings"]);
        assert!(!seen["refusals"].as_array().unwrap().is_empty(), "{code}");
        let said = refusal(&about(&self.world, "sign", psbt, &["-o", "out.psbt"]), 5);
        assert!(said.contains(reason), "{code}: {said}");
        assert!(!self.world.path().join("out.psbt").exists(), "{code}");
    }
}

#[test]
fn dangers_are_refused_with_the_reason() {
    let case = Case::new();
    let (own, other) = (&case.first, &case.other);
    let lying = case.but(|psbt| {
        psbt.inputs[0].tap_key_origins.clear();
        psbt.inputs[0].tap_key_origins.insert(other.key, (vec![], (own.fingerprint, own.path.clone())));
    });
    case.refused(&lying, "lying_origin", "input 0: it names a key as ours that is not at the path it names");
    let internal = case.but(|psbt| psbt.inputs[0].tap_internal_key = Some(other.key));
    case.refused(&internal, "wrong_internal_key", "input 0: it names another internal key");
    let foreign = case.but(|psbt| psbt.inputs[0].witness_utxo.as_mut().unwrap().script_pubkey = stranger(3));
    case.refused(&foreign, "wrong_internal_key", "spends an output of another key");
    let prevout = case.but(|psbt| psbt.inputs[0].witness_utxo = None);
    case.refused(&prevout, "missing_prevout", "input 0: the PSBT does not say what this input spends");
    let two = case.but(|psbt| {
        let mut lie = psbt.unsigned_tx.clone();
        lie.output[0].value = Amount::from_sat(1);
        psbt.inputs[0].non_witness_utxo = Some(lie);
    });
    case.refused(
        &two,
        "contradicting_prevout",
        "input 0: the previous transaction in the PSBT is another one",
    );
    for (kind, reason) in [
        (TapSighashType::None, "send the coins anywhere"),
        (TapSighashType::NonePlusAnyoneCanPay, "send the coins anywhere"),
        (TapSighashType::Single, "fix one output only"),
        (TapSighashType::AllPlusAnyoneCanPay, "let anybody add inputs"),
    ] {
        let psbt = case.but(|psbt| psbt.inputs[0].sighash_type = Some(kind.into()));
        case.refused(&psbt, "unusual_sighash", reason);
    }
    let invalid = case.but(|psbt| psbt.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(0x84)));
    case.refused(&invalid, "invalid_sighash", "input 0: the signature type does not exist");
    let fee = case.but(|psbt| psbt.unsigned_tx.output[0].value = Amount::ZERO);
    let limited = about(&case.world, "sign", &fee, &["--max-fee", "60999"]);
    assert!(refusal(&limited, 5).contains("the fee is 61000 sats, over the limit of 60999"));
    let twice = case.but(|psbt| {
        psbt.unsigned_tx.input.push(psbt.unsigned_tx.input[0].clone());
        psbt.inputs.push(psbt.inputs[0].clone());
    });
    case.refused(&twice, "duplicate_input", "input 1: another input spends the same output");
    // Nothing of this was even asked of the key.
    assert_eq!(outcomes(&case.world), Vec::<String>::new());
    assert_eq!(about(&case.world, "sign", &case.honest(), &[]).code, Some(0));
}

#[test]
fn amounts_that_overflow_are_refused() {
    let case = Case::new();
    for sats in [u64::MAX, u64::MAX / 2 + 1, Amount::MAX_MONEY.to_sat() + 1] {
        let out = case.but(|psbt| psbt.unsigned_tx.output[0].value = Amount::from_sat(sats));
        case.refused(&out, "amount_overflow", "more than all the coins there can be");
        let spent =
            case.but(|psbt| psbt.inputs[0].witness_utxo.as_mut().unwrap().value = Amount::from_sat(sats));
        case.refused(&spent, "amount_overflow", "more than all the coins there can be");
    }
    let more = case.but(|psbt| psbt.unsigned_tx.output[0].value = Amount::from_sat(100_000));
    case.refused(&more, "outputs_exceed_inputs", "its outputs are worth more than its inputs");
}

#[test]
fn change_that_is_claimed_and_not_ours_counts_as_spent() {
    let case = Case::new();
    // Our key and path in an output of somebody else.
    let stolen = case.but(|psbt| psbt.unsigned_tx.output[1].script_pubkey = stranger(5));
    case.refused(&stolen, "false_change", "output 1: it claims to be ours, and pays to another key");
    let seen = about(&case.world, "analyze", &stolen, &[]).json();
    assert_eq!(seen["facts"]["leaving_sats"], 100_000);
    assert_eq!(seen["outputs"][1]["role"]["kind"], "destination");
    // Another key of ours at that path.
    let path = case.change.path.clone();
    let lying = case.but(|psbt| {
        psbt.outputs[1].tap_key_origins.clear();
        psbt.unsigned_tx.output[1].script_pubkey = stranger(5);
        let source = (case.first.fingerprint, path);
        psbt.outputs[1].tap_key_origins.insert(case.other.key, (vec![], source));
    });
    case.refused(&lying, "false_change", "its key is not at the path it names");
    // A path of mainnet.
    let mainnet: DerivationPath = "86h/0h/0h/1/0".parse().unwrap();
    let network = case.but(|psbt| {
        let (_, source) = psbt.outputs[1].tap_key_origins.values_mut().next().unwrap();
        source.1 = mainnet;
        psbt.unsigned_tx.output[1].script_pubkey = stranger(5);
    });
    case.refused(&network, "wrong_network", "at a path of another network");
    // An account that nobody opened: it may be ours, and counts as spent.
    let account: DerivationPath = "86h/1h/7h/1/0".parse().unwrap();
    let unopened = case.but(|psbt| {
        let (_, source) = psbt.outputs[1].tap_key_origins.values_mut().next().unwrap();
        source.1 = account;
        psbt.unsigned_tx.output[1].script_pubkey = stranger(5);
    });
    let seen = about(&case.world, "analyze", &unopened, &[]).json();
    assert_eq!(
        (codes(&seen), &seen["facts"]["leaving_sats"]),
        (vec!["claimed_change".to_owned()], &100_000.into())
    );
}

#[test]
fn nothing_of_ours_is_an_error_that_says_why_for_each_input() {
    let case = Case::new();
    let mut psbt = psbt(&[(&case.first, 9_000), (&case.first, 9_000)], &[(stranger(1), 17_000)]);
    for (input, script) in psbt
        .inputs
        .iter_mut()
        .zip([stranger(2), ScriptBuf::from_hex(&format!("0014{}", "11".repeat(20))).unwrap()])
    {
        input.witness_utxo.as_mut().unwrap().script_pubkey = script;
        input.tap_key_origins.clear();
        input.tap_internal_key = None;
    }
    let said = refusal(&about(&case.world, "sign", &psbt, &[]), 5);
    assert!(
        said.contains("input 0: no key of ours") && said.contains("input 1: not a taproot input"),
        "{said}"
    );
}

#[test]
fn ten_thousand_outputs_are_read_shown_and_signed() {
    let case = Case::new();
    let outputs: Vec<_> = (0..10_000_u32)
        .map(|number| match number % 2 {
            0 => (case.change.script(), 1_000),
            _ => (stranger((number % 200) as u8 + 1), 1_000),
        })
        .collect();
    let mut psbt = psbt(&[(&case.first, 11_000_000)], &outputs);
    for index in (0..10_000).step_by(2) {
        claim(&mut psbt, index, &case.change);
    }
    let seen = about(&case.world, "analyze", &psbt, &[]).json();
    assert_eq!(seen["facts"]["leaving_sats"], 6_000_000);
    assert_eq!(seen["facts"]["destinations"].as_array().unwrap().len(), 5_000);
    assert_eq!(about(&case.world, "sign", &psbt, &[]).json()["signatures"], 1);
    // More than a block holds.
    let outputs: Vec<_> = (0..25_000).map(|_| (stranger(1), 1_000)).collect();
    let huge = super::psbt(&[(&case.first, 99_000_000)], &outputs);
    let said = refusal(&about(&case.world, "sign", &huge, &[]), 5);
    assert!(said.contains("more than 4000000 weight units"), "{said}");
}

#[test]
fn what_is_no_psbt_is_refused_in_every_encoding() {
    let world = World::with_key();
    let honest = payment(&world, stranger(9), 10_000, 500);
    let sign = |bytes: &[u8]| {
        std::fs::write(world.path().join("in.psbt"), bytes).unwrap();
        world.run(&["--json", "bitcoin", "sign", "--network", "regtest", "--psbt", "in.psbt"])
    };
    let raw = honest.serialize();
    for good in [raw.clone(), honest.serialize_hex().into_bytes(), honest.to_string().into_bytes()] {
        // What is binary comes back as such.
        std::fs::write(world.path().join("in.psbt"), &good).unwrap();
        let line =
            ["bitcoin", "sign", "--network", "regtest", "--psbt", "in.psbt", "-o", "out.psbt", "--force"];
        world.done(&line);
        let signed = std::fs::read(world.path().join("out.psbt")).unwrap();
        assert_eq!(signed[..5], good[..5]);
    }
    for cut in [0, 4, 5, 10, raw.len() / 2, raw.len() - 1] {
        let ran = sign(&raw[..cut]);
        assert_eq!(ran.code, Some(5), "{cut}: {ran:?}");
    }
    for at in (0..raw.len()).step_by(7) {
        let mut bent = raw.clone();
        bent[at] ^= 0x40;
        let ran = sign(&bent);
        assert!([Some(0), Some(5)].contains(&ran.code), "{at}: {ran:?}");
    }
    assert_eq!(world.run(&["bitcoin", "sign", "--psbt", "absent.psbt"]).code, Some(3));
}
