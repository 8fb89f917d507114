//! PSBTs that try to deceive: each is refused, or warned about, with its reason; none is signed by accident.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{
    account, change, claim_input, claim_output, identity_key, inspect, master, psbt, receive, signer, simple,
    stranger, wallet,
};
use keep_bitcoin::bitcoin::absolute::LockTime;
use keep_bitcoin::bitcoin::bip32::DerivationPath;
use keep_bitcoin::bitcoin::hashes::Hash;
use keep_bitcoin::bitcoin::psbt::PsbtSighashType;
use keep_bitcoin::bitcoin::{
    Amount, Psbt, ScriptBuf, Sequence, TapNodeHash, TapSighashType, Transaction, TxOut,
};
use keep_bitcoin::{
    Account, BitcoinError, InspectOptions, Inspection, Network, OutputRole, Place, PsbtFile, Severity,
    WarningCode, script_mark,
};

/// Inspects, and demands that `code` is reported at `place` and that signing is refused exactly if it is a danger.
fn expect(name: &str, psbt: Psbt, code: WarningCode, place: Place) -> Inspection {
    let inspection = inspect(psbt.clone());
    let found =
        inspection.view().warnings.iter().find(|warning| warning.code == code && warning.place == place);
    let found = found.unwrap_or_else(|| panic!("{name}: {:?}", inspection.view().warnings));
    assert_eq!(found.severity, code.severity(), "{name}");
    let result = inspect(psbt).sign(&signer());
    if found.severity == Severity::Danger {
        let Err(BitcoinError::Refused(reasons)) = result else { panic!("{name}: {result:?}") };
        assert!(reasons.iter().any(|reason| reason.code == code), "{name}: {reasons:?}");
    } else {
        assert!(result.is_ok(), "{name}: {result:?}");
    }
    inspection
}

#[test]
fn prevouts_must_be_there_and_agree() {
    let mut psbt = simple();
    psbt.inputs[0].witness_utxo = None;
    let inspection = expect("missing", psbt, WarningCode::MissingPrevout, Place::Input(0));
    assert_eq!(inspection.facts().leaving_sats, None);
    assert_eq!(inspection.facts().fee_sats, None);

    // Of a foreign input too: a taproot signature commits to all of them.
    let ours = receive(0);
    let mut psbt =
        common::psbt(&[(ours.script().into(), 9_000), (stranger(2), 9_000)], &[(stranger(1), 17_000)]);
    claim_input(&mut psbt, 0, &ours);
    psbt.inputs[1].witness_utxo = None;
    expect("missing foreign", psbt, WarningCode::MissingPrevout, Place::Input(1));

    let previous = |psbt: &mut Psbt, value: u64| {
        let tx = Transaction {
            version: keep_bitcoin::bitcoin::transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![],
            output: vec![TxOut { value: Amount::from_sat(value), script_pubkey: receive(0).script().into() }],
        };
        psbt.unsigned_tx.input[0].previous_output.txid = tx.compute_txid();
        psbt.unsigned_tx.input[0].previous_output.vout = 0;
        psbt.inputs[0].non_witness_utxo = Some(tx);
    };
    let mut honest = simple();
    previous(&mut honest, 100_000);
    assert!(inspect(honest.clone()).sign(&signer()).is_ok());
    let mut amount = simple();
    previous(&mut amount, 90_000);
    expect("another amount", amount, WarningCode::ContradictingPrevout, Place::Input(0));
    let mut vout = honest.clone();
    vout.unsigned_tx.input[0].previous_output.vout = 1;
    expect("no such output", vout, WarningCode::ContradictingPrevout, Place::Input(0));
    let mut txid = honest;
    txid.unsigned_tx.input[0].previous_output.txid = common::outpoint(77).txid;
    expect("another transaction", txid, WarningCode::ContradictingPrevout, Place::Input(0));
}

#[test]
fn inputs_are_spent_once() {
    let ours = receive(0);
    let mut psbt =
        psbt(&[(ours.script().into(), 9_000), (ours.script().into(), 9_000)], &[(stranger(1), 17_000)]);
    claim_input(&mut psbt, 0, &ours);
    claim_input(&mut psbt, 1, &ours);
    assert!(inspect(psbt.clone()).jobs().is_ok());
    psbt.unsigned_tx.input[1].previous_output = psbt.unsigned_tx.input[0].previous_output;
    expect("duplicate", psbt, WarningCode::DuplicateInput, Place::Input(1));
}

#[test]
fn amounts_cannot_overflow() {
    for value in [u64::MAX, u64::MAX / 2 + 1, Amount::MAX_MONEY.to_sat() + 1] {
        let mut psbt = simple();
        psbt.unsigned_tx.output[0].value = Amount::from_sat(value);
        let inspection = expect("output", psbt, WarningCode::AmountOverflow, Place::Transaction);
        assert_eq!(inspection.facts().fee_sats, None);
        let mut psbt = simple();
        psbt.inputs[0].witness_utxo.as_mut().unwrap().value = Amount::from_sat(value);
        expect("input", psbt, WarningCode::AmountOverflow, Place::Transaction);
    }
    let mut psbt = simple();
    psbt.unsigned_tx.output.iter_mut().for_each(|output| output.value = Amount::MAX_MONEY);
    expect("sum", psbt, WarningCode::AmountOverflow, Place::Transaction);
    let mut psbt = simple();
    psbt.unsigned_tx.output[0].value = Amount::from_sat(100_000);
    expect("more out than in", psbt, WarningCode::OutputsExceedInputs, Place::Transaction);
    let mut psbt = simple();
    psbt.unsigned_tx.output.clear();
    psbt.outputs.clear();
    expect("no outputs", psbt, WarningCode::Empty, Place::Transaction);
}

#[test]
fn fees_are_limited() {
    let ours = receive(0);
    let rich = |fee: u64| {
        let mut psbt = psbt(&[(ours.script().into(), 100_000_000)], &[(stranger(1), 100_000_000 - fee)]);
        claim_input(&mut psbt, 0, &ours);
        psbt
    };
    expect("fee", rich(10_000_001), WarningCode::FeeOverLimit, Place::Transaction);
    let inspection = expect("rate", rich(5_000_000), WarningCode::FeeRateOverLimit, Place::Transaction);
    assert!(inspection.refusals().iter().all(|warning| warning.code != WarningCode::FeeOverLimit));
    assert!(inspect(rich(20_000)).view().warnings.is_empty());
    let mut high = psbt(&[(ours.script().into(), 10_000)], &[(stranger(1), 7_000)]);
    claim_input(&mut high, 0, &ours);
    expect("a quarter", high, WarningCode::FeeHigh, Place::Transaction);
    // The limits are the caller's.
    let options = InspectOptions { max_fee_sats: 999, ..InspectOptions::default() };
    let inspection = Inspection::new(PsbtFile::new(simple()).unwrap(), &wallet(), &options);
    assert_eq!(inspection.refusals()[0].text.as_str(), "the fee is 1000 sats, over the limit of 999");
}

#[test]
fn unusual_signature_types_need_permission() {
    use TapSighashType as T;
    let with = |kind: T| {
        let mut psbt = simple();
        psbt.inputs[0].sighash_type = Some(kind.into());
        psbt
    };
    for kind in [T::Default, T::All] {
        let signed = inspect(with(kind)).sign(&signer()).unwrap();
        let length = signed.file.psbt().inputs[0].tap_key_sig.unwrap().to_vec().len();
        assert_eq!(length, if kind == T::Default { 64 } else { 65 });
        common::spend(with(kind));
    }
    for kind in
        [T::None, T::Single, T::AllPlusAnyoneCanPay, T::NonePlusAnyoneCanPay, T::SinglePlusAnyoneCanPay]
    {
        let inspection = expect("sighash", with(kind), WarningCode::UnusualSighash, Place::Input(0));
        // Where anything stays open, nothing is known to come back.
        assert_eq!(inspection.facts().leaving_sats, Some(100_000), "{kind}");
        assert_eq!(inspection.facts().own_outputs_sats, 0, "{kind}");
        assert_eq!(inspection.facts().outputs_fixed, kind == T::AllPlusAnyoneCanPay);
        assert_eq!(inspection.facts().inputs_fixed, matches!(kind, T::None | T::Single));
        let options = InspectOptions { allow_unusual_sighash: true, ..InspectOptions::default() };
        let inspection = Inspection::new(PsbtFile::new(with(kind)).unwrap(), &wallet(), &options);
        assert!(inspection.view().warnings.iter().any(|w| w.severity == Severity::Caution));
        assert!(inspection.sign(&signer()).is_ok());
    }
    for number in [4, 0x80, 0x84, 0xff, 0x100, u32::MAX] {
        let mut psbt = simple();
        psbt.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(number));
        expect("unknown type", psbt, WarningCode::InvalidSighash, Place::Input(0));
    }
    // SINGLE without its output.
    let (a, b) = (receive(0), receive(1));
    let mut psbt = psbt(&[(a.script().into(), 9_000), (b.script().into(), 9_000)], &[(stranger(1), 17_000)]);
    claim_input(&mut psbt, 0, &a);
    claim_input(&mut psbt, 1, &b);
    psbt.inputs[1].sighash_type = Some(T::Single.into());
    expect("single", psbt, WarningCode::InvalidSighash, Place::Input(1));
}

/// Two transactions with the same outputs, each with an input of ours that binds the outputs and no other input: joined,
/// they pay the change once. What the two were said to cost is not less than what the joined one takes.
#[test]
fn change_is_not_counted_twice_when_transactions_are_joined() {
    use keep_bitcoin::bitcoin::psbt::Input;
    let kind = TapSighashType::AllPlusAnyoneCanPay;
    let options = InspectOptions { allow_unusual_sighash: true, ..InspectOptions::default() };
    let part = |number: usize| {
        let mut psbt = simple();
        psbt.unsigned_tx.input[0].previous_output = common::outpoint(number);
        psbt.inputs[0].sighash_type = Some(kind.into());
        psbt
    };
    let (mut said, mut inputs, mut psbt_inputs) = (0, Vec::new(), Vec::<Input>::new());
    for number in 0..2 {
        let inspection = Inspection::new(PsbtFile::new(part(number)).unwrap(), &wallet(), &options);
        said += inspection.facts().leaving_sats.unwrap();
        let signed = inspection.sign(&signer()).unwrap().file.psbt().clone();
        inputs.extend(signed.unsigned_tx.input.clone());
        psbt_inputs.extend(signed.inputs);
    }
    let mut joined = simple();
    joined.unsigned_tx.input = inputs;
    joined.inputs = psbt_inputs;
    let mut joined = PsbtFile::new(joined).unwrap();
    joined.finalize().unwrap();
    // The network would take it: this is no theory.
    let tx = joined.extract().unwrap();
    let back = tx.output[1].value.to_sat();
    assert_eq!((tx.input.len(), back), (2, 39_000));
    assert!(said >= 200_000 - back, "{said} were said to leave, and {} do", 200_000 - back);
    // One such input among others that bind everything: nothing is credited either.
    let (a, b) = (receive(0), receive(1));
    let mut mixed = psbt(
        &[(a.script().into(), 50_000), (b.script().into(), 50_000)],
        &[(stranger(1), 20_000), (change(0).script().into(), 79_000)],
    );
    claim_input(&mut mixed, 0, &a);
    claim_input(&mut mixed, 1, &b);
    claim_output(&mut mixed, 1, &change(0));
    let leaving = |psbt: &Psbt| {
        let file = PsbtFile::new(psbt.clone()).unwrap();
        Inspection::new(file, &wallet(), &options).facts().leaving_sats
    };
    assert_eq!(leaving(&mixed), Some(21_000));
    mixed.inputs[0].sighash_type = Some(kind.into());
    assert_eq!(leaving(&mixed), Some(100_000));
}

#[test]
fn origins_of_inputs_are_proved() {
    let ours = receive(0);
    let (fingerprint, path) = (account().fingerprint(), ours.origin().1.clone());
    // Another key at our path.
    let mut psbt = simple();
    psbt.inputs[0].tap_key_origins.clear();
    let theirs = receive(5).internal_key();
    psbt.inputs[0].tap_key_origins.insert(theirs, (vec![], (fingerprint, path.clone())));
    expect("lying path", psbt, WarningCode::LyingOrigin, Place::Input(0));
    // Our key, and an output of somebody else.
    let mut psbt = simple();
    psbt.inputs[0].witness_utxo.as_mut().unwrap().script_pubkey = stranger(3);
    expect("another output", psbt, WarningCode::WrongInternalKey, Place::Input(0));
    // Our output, and somebody else's internal key.
    let mut psbt = simple();
    psbt.inputs[0].tap_internal_key = Some(theirs);
    expect("internal key", psbt, WarningCode::WrongInternalKey, Place::Input(0));
    let mut psbt = common::psbt(
        &[(ScriptBuf::new_p2tr(keep_bitcoin::bitcoin::secp256k1::SECP256K1, identity_key(), None), 9_000)],
        &[(stranger(1), 8_000)],
    );
    psbt.inputs[0].tap_internal_key = Some(theirs);
    expect("identity", psbt, WarningCode::WrongInternalKey, Place::Input(0));
    // A root that does not belong to the output changes nothing: the output decides.
    let mut psbt = simple();
    psbt.inputs[0].tap_merkle_root = Some(TapNodeHash::from_byte_array([1; 32]));
    common::spend(psbt);
    // Too many.
    let mut psbt = simple();
    for index in 0..65 {
        claim_input(&mut psbt, 0, &receive(index));
    }
    psbt.inputs[0].tap_internal_key = None;
    expect("too many", psbt, WarningCode::TooManyOrigins, Place::Input(0));
}

#[test]
fn paths_outside_this_wallet_are_explained() {
    let claim = |path: &str| {
        let path: DerivationPath = path.parse().unwrap();
        let key = master().descend(path.as_ref()).unwrap().public_key().x_only_public_key().0;
        let script = ScriptBuf::new_p2tr(keep_bitcoin::bitcoin::secp256k1::SECP256K1, key, None);
        let mut psbt = psbt(&[(script, 9_000)], &[(stranger(1), 8_000)]);
        psbt.inputs[0].tap_key_origins.insert(key, (vec![], (account().fingerprint(), path)));
        psbt
    };
    expect("network", claim("86'/0'/0'/0/0"), WarningCode::WrongNetwork, Place::Input(0));
    for path in ["86'/1'/1'/0/0", "48'/1'/0'/2'/0/0", "86'/1'/0'/0'/1", "0"] {
        let error = inspect(claim(path)).sign(&signer()).unwrap_err();
        assert!(
            error.to_string().contains("its key is in an account that is not open here"),
            "{path}: {error}"
        );
    }
    // Any unhardened path below the account is ours as an input.
    common::spend(claim("86'/1'/0'/7/8/9"));
    common::spend(claim("86'/1'/0'"));
}

#[test]
fn change_is_proved_not_claimed() {
    let stolen = |change_script: ScriptBuf| {
        let ours = receive(0);
        let mut psbt =
            psbt(&[(ours.script().into(), 100_000)], &[(stranger(9), 60_000), (change_script, 39_000)]);
        claim_input(&mut psbt, 0, &ours);
        psbt
    };
    // Our key and path, and somebody else's script.
    let mut psbt = stolen(stranger(5));
    claim_output(&mut psbt, 1, &change(0));
    let inspection = expect("false change", psbt, WarningCode::FalseChange, Place::Output(1));
    assert_eq!(inspection.facts().leaving_sats, Some(100_000));
    assert_eq!(inspection.facts().destinations.len(), 2);
    // Another key at our path.
    let mut psbt = stolen(receive(5).script().into());
    let path = change(0).origin().1.clone();
    psbt.outputs[1]
        .tap_key_origins
        .insert(receive(5).internal_key(), (vec![], (account().fingerprint(), path)));
    expect("lying path", psbt, WarningCode::FalseChange, Place::Output(1));
    // An account that is not open.
    let second = Account::bip86(&master(), Network::Regtest, 1).unwrap();
    let address = second.address(keep_bitcoin::Branch::Change, 0).unwrap();
    let mut psbt = stolen(address.script().into());
    claim_output(&mut psbt, 1, &address);
    let inspection = expect("other account", psbt.clone(), WarningCode::ClaimedChange, Place::Output(1));
    assert_eq!(inspection.facts().leaving_sats, Some(100_000));
    let both = wallet().with_account(second).unwrap();
    let inspection = Inspection::new(PsbtFile::new(psbt).unwrap(), &both, &InspectOptions::default());
    assert_eq!(inspection.facts().leaving_sats, Some(61_000));
    // A path of another network.
    let mainnet = Account::bip86(&master(), Network::Mainnet, 0).unwrap();
    let address = mainnet.address(keep_bitcoin::Branch::Change, 0).unwrap();
    let mut psbt = stolen(address.script().into());
    claim_output(&mut psbt, 1, &address);
    expect("network", psbt, WarningCode::WrongNetwork, Place::Output(1));
    // An extended key of another network.
    let mut psbt = simple();
    psbt.xpub.insert(*mainnet.xpub(), (mainnet.fingerprint(), mainnet.path().clone()));
    expect("xpub", psbt, WarningCode::WrongNetwork, Place::Transaction);
    // A key of ours that pays to `rawtr`, where a restored wallet does not look.
    let raw =
        keep_bitcoin::bitcoin::key::TweakedPublicKey::dangerous_assume_tweaked(change(0).internal_key());
    let mut psbt = stolen(ScriptBuf::new_p2tr_tweaked(raw));
    claim_output(&mut psbt, 1, &change(0));
    expect("raw", psbt, WarningCode::FalseChange, Place::Output(1));
    // So far down that nobody finds it.
    let far = change(2_000_000_000);
    let mut psbt = stolen(far.script().into());
    claim_output(&mut psbt, 1, &far);
    expect("far", psbt, WarningCode::FarIndex, Place::Output(1));
}

#[test]
fn honest_change_is_ours() {
    let inspection = inspect(simple());
    assert!(inspection.view().warnings.is_empty(), "{:?}", inspection.view().warnings);
    let facts = inspection.facts();
    assert_eq!(
        (facts.leaving_sats, facts.fee_sats, facts.own_outputs_sats),
        (Some(61_000), Some(1_000), 39_000)
    );
    assert_eq!(facts.destinations.len(), 1);
    assert_eq!(facts.destinations[0].amount_sats, 60_000);
    let OutputRole::Ours { index: 0, key, .. } = &inspection.view().outputs[1].role else { panic!() };
    assert_eq!(key.as_str(), "[73c5da0a/86h/1h/0h/1/0]");
}

#[test]
fn odd_outputs_are_warned_about() {
    let pay = |script: ScriptBuf, sats: u64| {
        let ours = receive(0);
        let mut psbt = psbt(&[(ours.script().into(), 100_000)], &[(stranger(9), 98_000), (script, sats)]);
        claim_input(&mut psbt, 0, &ours);
        psbt
    };
    let place = Place::Output(1);
    expect("dust", pay(stranger(5), 329), WarningCode::Dust, place);
    assert!(inspect(pay(stranger(5), 330)).view().warnings.is_empty());
    expect("burn", pay(ScriptBuf::from_hex("6a026869").unwrap(), 1), WarningCode::Burn, place);
    let inspection = inspect(pay(ScriptBuf::from_hex("6a03681b69").unwrap(), 0));
    let OutputRole::Data { text } = &inspection.view().outputs[1].role else { panic!() };
    assert_eq!(text.as_str(), "h\\u{1b}i");
    let off_curve = ScriptBuf::from_hex(&format!("5120{}", "ff".repeat(32))).unwrap();
    expect("off the curve", pay(off_curve, 1_000), WarningCode::Burn, place);
    let future = ScriptBuf::from_hex(&format!("5220{}", "aa".repeat(32))).unwrap();
    expect("future", pay(future, 1_000), WarningCode::UnknownScript, place);
    expect("bare", pay(ScriptBuf::from_hex("51").unwrap(), 1_000), WarningCode::UnknownScript, place);
    expect("reused", pay(receive(0).script().into(), 1_000), WarningCode::ReusedAddress, place);
    expect("twice", pay(stranger(9), 1_000), WarningCode::ReusedAddress, place);
    let options = InspectOptions { used: [script_mark(&stranger(5))].into(), ..InspectOptions::default() };
    let file = PsbtFile::new(pay(stranger(5), 1_000)).unwrap();
    let inspection = Inspection::new(file, &wallet(), &options);
    assert_eq!(inspection.view().warnings[0].code, WarningCode::ReusedAddress);
}

#[test]
fn locks_are_shown() {
    let mut psbt = simple();
    psbt.unsigned_tx.lock_time = LockTime::from_height(900_000).unwrap();
    let inspection = expect("height", psbt.clone(), WarningCode::LockTime, Place::Transaction);
    assert_eq!(inspection.view().warnings[0].text.as_str(), "it cannot be mined before block 900000");
    psbt.unsigned_tx.lock_time = LockTime::from_time(1_900_000_000).unwrap();
    let inspection = expect("time", psbt.clone(), WarningCode::LockTime, Place::Transaction);
    assert_eq!(inspection.view().warnings[0].text.as_str(), "it cannot be mined before 2030-03-17T17:46:40Z");
    psbt.unsigned_tx.input[0].sequence = Sequence::MAX;
    assert!(inspect(psbt.clone()).view().warnings.is_empty(), "not in force");
    psbt.unsigned_tx.lock_time = LockTime::ZERO;
    psbt.unsigned_tx.input[0].sequence = Sequence::from_height(10);
    expect("relative", psbt, WarningCode::RelativeLock, Place::Input(0));
}

#[test]
fn ten_thousand_outputs() {
    let ours = receive(0);
    let own: Vec<_> = (0..50).map(change).collect();
    let theirs: Vec<_> = (0..200).map(stranger).collect();
    let outputs: Vec<_> = (0..10_000_u32)
        .map(|number| match number as usize {
            even if even % 2 == 0 => (own[even % 50].script().into(), 1_000),
            odd => (theirs[odd % 200].clone(), 1_000),
        })
        .collect();
    let mut psbt = psbt(&[(ours.script().into(), 11_000_000)], &outputs);
    claim_input(&mut psbt, 0, &ours);
    for index in (0..10_000).step_by(2) {
        claim_output(&mut psbt, index, &own[index % 50]);
    }
    let file = PsbtFile::read(&PsbtFile::new(psbt).unwrap().write()).unwrap();
    let inspection = Inspection::new(file, &wallet(), &InspectOptions::default());
    assert_eq!(inspection.facts().destinations.len(), 5_000);
    assert_eq!(inspection.facts().leaving_sats, Some(6_000_000));
    assert_eq!(inspection.sign(&signer()).unwrap().signatures, 1);
}

#[test]
fn a_block_is_the_limit() {
    let theirs = stranger(1);
    let outputs: Vec<_> = (0..25_000).map(|_| (theirs.clone(), 1_000)).collect();
    let file = PsbtFile::new(psbt(&[], &outputs)).unwrap().write();
    assert!(matches!(PsbtFile::read(&file), Err(BitcoinError::PsbtTooLarge { .. })));
}

#[test]
fn refusals_become_faults_with_every_reason() {
    let mut psbt = simple();
    psbt.inputs[0].witness_utxo = None;
    psbt.unsigned_tx.output[0].value = Amount::MAX;
    let fault = keep_types::Fault::from(inspect(psbt).jobs().unwrap_err());
    assert_eq!(fault.code(), keep_types::ErrorCode::InvalidInput);
    assert!(fault.message().contains("input 0: the PSBT does not say what this input spends"), "{fault}");
    assert!(fault.message().contains("more than all the coins"), "{fault}");
}

/// The view is plain data that survives JSON, with stable words.
#[test]
fn the_view_is_data() {
    let view = inspect(simple()).view().clone();
    let json = serde_json::to_value(&view).unwrap();
    let read: keep_bitcoin::TransactionView = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), json);
    assert_eq!(json["network"], "regtest");
    assert_eq!(json["inputs"][0]["ownership"]["kind"], "signable");
    assert_eq!(json["inputs"][0]["ownership"]["ways"][0]["kind"], "key_path");
    assert_eq!(json["outputs"][1]["role"]["branch"], "change");
    assert_eq!(json["facts"]["leaving_sats"], 61_000);
}
