//! What Keep signs, Bitcoin Core's consensus code accepts; what is changed afterwards, it rejects.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{
    account, change, claim_input, claim_output, consensus, identity_key, inspect, master, prevouts, psbt,
    receive, signer, simple, spend, stranger, wallet,
};
use keep_bitcoin::bitcoin::absolute::LockTime;
use keep_bitcoin::bitcoin::key::{TweakedPublicKey, XOnlyPublicKey};
use keep_bitcoin::bitcoin::opcodes::all::{
    OP_CHECKSIG, OP_CHECKSIGADD, OP_CLTV, OP_CSV, OP_DROP, OP_NUMEQUAL, OP_VERIFY,
};
use keep_bitcoin::bitcoin::secp256k1::{Keypair, Message, SECP256K1};
use keep_bitcoin::bitcoin::taproot::{LeafVersion, TapLeafHash, TaprootBuilder, TaprootSpendInfo};
use keep_bitcoin::bitcoin::{Amount, Psbt, ScriptBuf, Sequence, TapSighashType, script, taproot};
use keep_bitcoin::{
    BitcoinError, Encoding, InspectOptions, Inspection, LocalSigner, PsbtFile, SignerError, SkipReason,
    TaprootSigner,
};

#[test]
fn a_bip86_payment_with_change() {
    let tx = spend(simple());
    assert_eq!(tx.input[0].witness.len(), 1);
    assert_eq!(tx.input[0].witness.nth(0).unwrap().len(), 64);
}

#[test]
fn many_keys_at_once() {
    let from: Vec<_> = (0..20).map(|n| if n % 2 == 0 { receive(n * 37) } else { change(n) }).collect();
    let inputs: Vec<_> = from.iter().map(|address| (address.script().into(), 10_000)).collect();
    let mut psbt = psbt(&inputs, &[(stranger(1), 190_000)]);
    from.iter().enumerate().for_each(|(index, address)| claim_input(&mut psbt, index, address));
    spend(psbt);
}

#[test]
fn outputs_of_the_identity_key() {
    let key = identity_key();
    let tr = ScriptBuf::new_p2tr(SECP256K1, key, None);
    let raw = ScriptBuf::new_p2tr_tweaked(TweakedPublicKey::dangerous_assume_tweaked(key));
    let tx =
        spend(psbt(&[(tr.clone(), 50_000), (raw.clone(), 60_000)], &[(stranger(1), 100_000), (tr, 9_000)]));
    assert_eq!(tx.input.len(), 2);
    // `rawtr` of a derived key is spent without a tweak.
    let address = receive(4);
    let raw = ScriptBuf::new_p2tr_tweaked(TweakedPublicKey::dangerous_assume_tweaked(address.internal_key()));
    let mut psbt = psbt(&[(raw, 50_000)], &[(stranger(1), 49_000)]);
    claim_input(&mut psbt, 0, &address);
    psbt.inputs[0].tap_internal_key = None;
    spend(psbt);
}

/// A key without a coin type in its path is the same on every network: whoever is asked is told.
#[test]
fn keys_of_every_network_are_named() {
    let tr = ScriptBuf::new_p2tr(SECP256K1, identity_key(), None);
    let identity = inspect(psbt(&[(tr, 50_000)], &[(stranger(1), 49_000)]));
    let facts = identity.facts();
    assert!(facts.any_network && facts.network.as_str() == "regtest");
    // A list of destinations means scripts, whatever network the asker says.
    let elsewhere: Vec<&str> =
        facts.destinations[0].elsewhere.iter().map(|text| &text.as_str()[..4]).collect();
    assert_eq!(elsewhere, ["bc1p", "tb1p", "bcrt"]);
    let ours = receive(1);
    let mut psbt = psbt(&[(ours.script().into(), 50_000)], &[(stranger(1), 49_000)]);
    claim_input(&mut psbt, 0, &ours);
    assert!(!inspect(psbt).facts().any_network);
}

#[test]
fn known_scripts_need_no_origins() {
    let bare = || psbt(&[(receive(3).script().into(), 20_000)], &[(change(2).script().into(), 19_000)]);
    let file = PsbtFile::new(bare()).unwrap();
    let wallet = wallet().with_lookahead(5).unwrap();
    let inspection = Inspection::new(file, &wallet, &InspectOptions::default());
    assert_eq!(inspection.facts().leaving_sats, Some(1_000));
    let mut signed = inspection.sign(&signer()).unwrap();
    signed.file.finalize().unwrap();
    signed.file.extract().unwrap();
    let error = inspect(bare()).jobs().unwrap_err();
    assert!(
        matches!(&error, BitcoinError::NothingSigned(why) if why[0].reason == SkipReason::NoKeyOfOurs),
        "{error}"
    );
}

/// A key of another wallet.
fn other(number: u8) -> Keypair {
    Keypair::from_seckey_slice(SECP256K1, &[number; 32]).unwrap()
}

fn x(pair: &Keypair) -> XOnlyPublicKey {
    pair.x_only_public_key().0
}

/// A tree of two scripts under a foreign internal key: `script` and one of somebody else.
fn tree(script: &ScriptBuf) -> TaprootSpendInfo {
    let theirs = script::Builder::new().push_x_only_key(&x(&other(3))).push_opcode(OP_CHECKSIG).into_script();
    TaprootBuilder::new()
        .add_leaf(1, script.clone())
        .unwrap()
        .add_leaf(1, theirs)
        .unwrap()
        .finalize(SECP256K1, x(&other(2)))
        .unwrap()
}

/// A PSBT that spends `script` in that tree, in which the key of `address` takes part.
fn script_path(script: &ScriptBuf, address: &keep_bitcoin::OwnAddress) -> Psbt {
    let info = tree(script);
    let output = ScriptBuf::new_p2tr_tweaked(info.output_key());
    let mut psbt = psbt(&[(output, 100_000)], &[(stranger(1), 99_000)]);
    let (fingerprint, path) = address.origin();
    let leaf = TapLeafHash::from_script(script, LeafVersion::TapScript);
    let input = &mut psbt.inputs[0];
    input.tap_internal_key = Some(x(&other(2)));
    input.tap_merkle_root = info.merkle_root();
    let control = info.control_block(&(script.clone(), LeafVersion::TapScript)).unwrap();
    input.tap_scripts.insert(control, (script.clone(), LeafVersion::TapScript));
    input.tap_key_origins.insert(address.internal_key(), (vec![leaf], (fingerprint, path.clone())));
    psbt
}

fn single(address: &keep_bitcoin::OwnAddress) -> ScriptBuf {
    script::Builder::new().push_x_only_key(&address.internal_key()).push_opcode(OP_CHECKSIG).into_script()
}

#[test]
fn a_script_with_our_key() {
    let address = receive(8);
    let tx = spend(script_path(&single(&address), &address));
    assert_eq!(tx.input[0].witness.len(), 3);
}

#[test]
fn scripts_with_time_locks() {
    let address = receive(8);
    let key = address.internal_key();
    let older = script::Builder::new()
        .push_x_only_key(&key)
        .push_opcode(OP_CHECKSIG)
        .push_opcode(OP_VERIFY)
        .push_int(144)
        .push_opcode(OP_CSV)
        .into_script();
    // Miniscript writes CHECKSIG VERIFY as CHECKSIGVERIFY.
    let older = ScriptBuf::from(older.to_bytes().iter().scan(0, |_, b| Some(*b)).collect::<Vec<_>>());
    let older = ScriptBuf::from_hex(&older.to_hex_string().replace("ac69", "ad")).unwrap();
    let mut ready = script_path(&older, &address);
    let view = inspect(ready.clone()).view().clone();
    let shown = serde_json::to_string(&view.inputs[0]).unwrap();
    assert!(shown.contains(r#""older":[{"kind":"blocks","blocks":144}]"#), "{shown}");
    ready.unsigned_tx.input[0].sequence = Sequence::from_height(144);
    spend(ready.clone());
    ready.unsigned_tx.input[0].sequence = Sequence::from_height(143);
    let mut early = inspect(ready).sign(&signer()).unwrap();
    let error = early.file.finalize().unwrap_err();
    assert!(
        matches!(&error, BitcoinError::NotFinal(why) if why[0].reason == SkipReason::Incomplete),
        "{error}"
    );

    let after = script::Builder::new()
        .push_int(800_000)
        .push_opcode(OP_CLTV)
        .push_opcode(OP_DROP)
        .push_x_only_key(&key)
        .push_opcode(OP_CHECKSIG)
        .into_script();
    let mut psbt = script_path(&after, &address);
    psbt.unsigned_tx.lock_time = LockTime::from_height(800_000).unwrap();
    let shown = serde_json::to_string(inspect(psbt.clone()).view()).unwrap();
    assert!(shown.contains(r#""after":[{"kind":"height","height":800000}]"#), "{shown}");
    assert_eq!(inspect(psbt).sign(&signer()).unwrap().signatures, 1);
}

#[test]
fn two_of_two_with_another_signer() {
    let (address, partner) = (receive(8), other(5));
    let script = script::Builder::new()
        .push_x_only_key(&address.internal_key())
        .push_opcode(OP_CHECKSIG)
        .push_x_only_key(&x(&partner))
        .push_opcode(OP_CHECKSIGADD)
        .push_int(2)
        .push_opcode(OP_NUMEQUAL)
        .into_script();
    let inspection = inspect(script_path(&script, &address));
    let job = inspection.jobs().unwrap().remove(0);
    let mut signed = inspection.sign(&signer()).unwrap();
    assert!(signed.file.clone().finalize().is_err(), "one signature of two");
    // The partner signs the same hash.
    let signature = SECP256K1.sign_schnorr_no_aux_rand(&Message::from(job.sighash), &partner);
    let mut psbt = signed.file.psbt().clone();
    let signature = taproot::Signature { signature, sighash_type: TapSighashType::Default };
    psbt.inputs[0].tap_script_sigs.insert((x(&partner), job.leaf_hash.unwrap()), signature);
    signed.file = PsbtFile::new(psbt).unwrap();
    signed.file.finalize().unwrap();
    let tx = signed.file.extract().unwrap();
    assert_eq!(consensus(&tx, &prevouts(signed.file.psbt())), Ok(()));
}

#[test]
fn scripts_that_lie_are_not_signed() {
    let address = receive(8);
    let script = single(&address);
    let honest = script_path(&script, &address);
    let reason = |psbt: Psbt| match inspect(psbt).sign(&signer()) {
        Err(BitcoinError::NothingSigned(why)) => why[0].reason,
        other => panic!("{other:?}"),
    };
    // The script does not contain our key.
    let theirs = single(&receive(9));
    let mut psbt = script_path(&theirs, &address);
    assert_eq!(reason(psbt), SkipReason::KeyNotInScript);
    // The output does not commit to the script.
    psbt = honest.clone();
    psbt.inputs[0].witness_utxo.as_mut().unwrap().script_pubkey = stranger(4);
    assert_eq!(reason(psbt), SkipReason::NoScript);
    // The script is not there.
    psbt = honest.clone();
    psbt.inputs[0].tap_scripts.clear();
    assert_eq!(reason(psbt), SkipReason::NoScript);
    // A signature could be moved to another position in the script.
    let separated = ScriptBuf::from_hex(&format!("ab{}", script.to_hex_string())).unwrap();
    assert_eq!(reason(script_path(&separated, &address)), SkipReason::CodeSeparator);
    // Already there.
    let signed = inspect(honest).sign(&signer()).unwrap();
    assert_eq!(reason(signed.file.psbt().clone()), SkipReason::Signed);
}

#[test]
fn the_key_path_of_an_output_with_scripts_is_ours_to_spend_but_not_change() {
    let address = receive(8);
    let script = single(&receive(11));
    let info = TaprootBuilder::new()
        .add_leaf(0, script)
        .unwrap()
        .finalize(SECP256K1, address.internal_key())
        .unwrap();
    let output = ScriptBuf::new_p2tr_tweaked(info.output_key());
    let mut psbt = psbt(&[(output.clone(), 100_000)], &[(stranger(1), 50_000), (output, 49_000)]);
    claim_input(&mut psbt, 0, &address);
    psbt.inputs[0].tap_merkle_root = info.merkle_root();
    claim_output(&mut psbt, 1, &address);
    let tree = TaprootBuilder::new().add_leaf(0, single(&receive(11))).unwrap().try_into_taptree().unwrap();
    psbt.outputs[1].tap_tree = Some(tree);
    let facts = inspect(psbt.clone()).facts().clone();
    assert_eq!((facts.leaving_sats, facts.destinations.len()), (Some(100_000), 2));
    spend(psbt);
}

#[test]
fn foreign_inputs_stay_untouched() {
    let ours = receive(0);
    let mut psbt = psbt(&[(stranger(3), 70_000), (ours.script().into(), 30_000)], &[(stranger(1), 99_000)]);
    claim_input(&mut psbt, 1, &ours);
    let inspection = inspect(psbt);
    assert_eq!(inspection.facts().leaving_sats, Some(30_000));
    let signed = inspection.sign(&signer()).unwrap();
    assert_eq!(signed.signatures, 1);
    assert_eq!(signed.skipped.len(), 1);
    assert_eq!(
        signed.skipped[0].to_string(),
        "input 0: no key of ours: the PSBT names none, and its address is not a known one"
    );
    assert!(signed.file.psbt().inputs[0].tap_key_sig.is_none());
    assert!(signed.file.extract().is_err());
}

#[test]
fn what_is_changed_after_signing_is_rejected() {
    let mut signed = inspect(simple()).sign(&signer()).unwrap();
    signed.file.finalize().unwrap();
    let (tx, outputs) = (signed.file.extract().unwrap(), prevouts(signed.file.psbt()));
    let mut more = tx.clone();
    more.output[0].value += Amount::ONE_SAT;
    assert_eq!(consensus(&more, &outputs), Err(0));
    let mut elsewhere = tx.clone();
    elsewhere.output[0].script_pubkey = stranger(8);
    assert_eq!(consensus(&elsewhere, &outputs), Err(0));
    let mut lied = outputs.clone();
    lied[0].value += Amount::ONE_SAT;
    assert_eq!(consensus(&tx, &lied), Err(0));
    // Our own extraction sees it too.
    let mut psbt = signed.file.psbt().clone();
    psbt.unsigned_tx.output[0].value += Amount::ONE_SAT;
    let error = PsbtFile::new(psbt).unwrap().extract().unwrap_err();
    assert!(
        matches!(&error, BitcoinError::NotFinal(why) if why[0].reason == SkipReason::BadSignature),
        "{error}"
    );
}

#[test]
fn signing_is_repeatable_and_done_once() {
    let sign = |aux: [u8; 32]| {
        let signed = inspect(simple()).sign(&LocalSigner::new(master(), aux)).unwrap();
        signed.file.psbt().inputs[0].tap_key_sig.unwrap().to_vec()
    };
    assert_eq!(sign([1; 32]), sign([1; 32]));
    assert_ne!(sign([1; 32]), sign([2; 32]));
    let once = inspect(simple()).sign(&signer()).unwrap();
    let again = inspect(once.file.psbt().clone()).sign(&signer()).unwrap_err();
    assert_eq!(again.to_string(), "nothing was signed: input 0: it has our signature already");
}

/// A signer that is not trusted, as a group of co-signers would be.
struct Broken(&'static str);

impl TaprootSigner for Broken {
    fn sign_taproot(
        &self,
        jobs: &[keep_bitcoin::SignJob],
    ) -> Result<Vec<keep_bitcoin::bitcoin::secp256k1::schnorr::Signature>, SignerError> {
        let mut signatures = signer().sign_taproot(jobs)?;
        match self.0 {
            "wrong" => signatures.reverse(),
            "short" => drop(signatures.pop()),
            _ => {}
        }
        Ok(signatures)
    }
}

#[test]
fn signatures_of_others_are_verified() {
    let two = || {
        let (a, b) = (receive(0), receive(1));
        let mut psbt =
            psbt(&[(a.script().into(), 9_000), (b.script().into(), 9_000)], &[(stranger(1), 17_000)]);
        claim_input(&mut psbt, 0, &a);
        claim_input(&mut psbt, 1, &b);
        inspect(psbt)
    };
    assert_eq!(two().sign(&Broken("")).unwrap().signatures, 2);
    assert_eq!(two().sign(&Broken("wrong")).unwrap_err(), SignerError::BadSignature(0).into());
    assert_eq!(two().sign(&Broken("short")).unwrap_err(), SignerError::Count.into());
    let signatures = signer().sign_taproot(&two().jobs().unwrap()).unwrap();
    assert_eq!(two().attach(&signatures).unwrap().signatures, 2);
    assert_eq!(two().attach(&signatures[..1]).unwrap_err(), SignerError::Count.into());
    // A hint that lies is noticed.
    let mut jobs = two().jobs().unwrap();
    jobs[0].untweaked = jobs[1].untweaked;
    assert_eq!(signer().sign_taproot(&jobs).unwrap_err(), SignerError::KeyMismatch(0));
    // A signer of another vault.
    let wrong = keep_bitcoin::Seed::from_bytes(&[9; 32]).unwrap().master().unwrap();
    let error = two().sign(&LocalSigner::new(wrong, [0; 32])).unwrap_err();
    assert_eq!(error, SignerError::UnknownKey(0).into());
}

/// The same transaction as version 2, with both flags of modifiability set.
fn version_2(psbt: &Psbt) -> Vec<u8> {
    let raw = psbt.serialize();
    let tx = &psbt.unsigned_tx;
    let unsigned = keep_bitcoin::bitcoin::consensus::serialize(tx);
    let mut out = b"psbt\xff".to_vec();
    let pair = |out: &mut Vec<u8>, key: u8, value: &[u8]| {
        out.extend([1, key, value.len() as u8]);
        out.extend(value);
    };
    pair(&mut out, 0x02, &2_i32.to_le_bytes());
    pair(&mut out, 0x04, &[tx.input.len() as u8]);
    pair(&mut out, 0x05, &[tx.output.len() as u8]);
    pair(&mut out, 0x06, &[0b11]);
    pair(&mut out, 0xfb, &2_u32.to_le_bytes());
    out.push(0);
    // The maps after the global one, which holds the transaction only.
    let mut rest = &raw[5 + 2 + 1 + unsigned.len() + 1..];
    for (number, input) in tx.input.iter().enumerate() {
        pair(&mut out, 0x0e, input.previous_output.txid.as_ref());
        pair(&mut out, 0x0f, &input.previous_output.vout.to_le_bytes());
        pair(&mut out, 0x10, &input.sequence.0.to_le_bytes());
        rest = copy_map(rest, &mut out, number);
    }
    for (number, output) in tx.output.iter().enumerate() {
        pair(&mut out, 0x03, &output.value.to_sat().to_le_bytes());
        pair(&mut out, 0x04, output.script_pubkey.as_bytes());
        rest = copy_map(rest, &mut out, number);
    }
    out
}

fn copy_map<'r>(mut rest: &'r [u8], out: &mut Vec<u8>, _number: usize) -> &'r [u8] {
    while rest[0] != 0 {
        let key = 1 + rest[0] as usize;
        let whole = key + 1 + rest[key] as usize;
        out.extend(&rest[..whole]);
        rest = &rest[whole..];
    }
    out.push(0);
    &rest[1..]
}

#[test]
fn version_2_is_signed_as_version_2() {
    let file = PsbtFile::read(&version_2(&simple())).unwrap();
    assert_eq!(file.version(), 2);
    assert_eq!(file.psbt().unsigned_tx, simple().unsigned_tx);
    let inspection = Inspection::new(file, &wallet(), &InspectOptions::default());
    assert_eq!(inspection.view().psbt_version, 2);
    let mut signed = inspection.sign(&signer()).unwrap();
    let written = signed.file.write_as(Encoding::Binary);
    let again = PsbtFile::read(&written).unwrap();
    assert_eq!(again.version(), 2);
    assert!(again.psbt().inputs[0].tap_key_sig.is_some());
    // The signature fixes inputs and outputs: both flags are gone (BIP-370).
    assert!(written.windows(4).any(|bytes| bytes == [1, 6, 1, 0]), "{}", hex::encode(&written));
    signed.file.finalize().unwrap();
    let tx = signed.file.extract().unwrap();
    assert_eq!(consensus(&tx, &prevouts(signed.file.psbt())), Ok(()));
}

#[test]
fn the_estimated_size_is_the_real_one() {
    for psbt in [simple(), script_path(&single(&receive(8)), &receive(8))] {
        let facts = inspect(psbt.clone()).facts().clone();
        assert!(facts.vsize_is_exact);
        assert_eq!(facts.vsize, spend(psbt).vsize() as u64);
        assert_eq!(facts.fee_rate_sats_per_kvb, Some(1_000_000 / facts.vsize));
    }
    assert_eq!(account().network(), keep_bitcoin::Network::Regtest);
}
