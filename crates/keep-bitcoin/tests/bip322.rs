//! Signed messages: the vectors of BIP-322 version 2, and our own signatures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{change, consensus, identity_key, outpoint, receive, signer, stranger, vectors, wallet};
use keep_bitcoin::bitcoin::secp256k1::{Keypair, SECP256K1};
use keep_bitcoin::bitcoin::{Address, Amount, PrivateKey, ScriptBuf, TapSighashType};
use keep_bitcoin::message::{
    Coin, Format, MessageRequest, MessageSignature, Verdict, message_hash, to_sign, to_spend, verify,
};
use keep_bitcoin::{BitcoinError, LocalSigner, Network, OwnScript, Wallet, parse_address};
use keep_types::SecretKey32;
use serde_json::Value;

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap()
}

fn mainnet(value: &Value) -> Address {
    parse_address(text(value, "address"), Network::Mainnet).unwrap()
}

fn files() -> Vec<Value> {
    ["bip322/basic-test-vectors.json", "bip322/generated-test-vectors.json"]
        .into_iter()
        .flat_map(vectors)
        .collect()
}

fn judge(case: &Value, signature: &str) -> Result<Verdict, BitcoinError> {
    Ok(verify(&mainnet(case), text(case, "message").as_bytes(), &signature.parse()?))
}

#[test]
fn virtual_transactions() {
    for case in files().iter().filter_map(|file| file["tx_hashes"].as_array()).flatten() {
        let message = text(case, "message").as_bytes();
        let spend = to_spend(message, &mainnet(case).script_pubkey());
        assert_eq!(hex::encode(message_hash(message)), text(case, "message_hash"));
        assert_eq!(spend.compute_txid().to_string(), text(case, "to_spend_tx_hash"));
        assert_eq!(to_sign(&spend).compute_txid().to_string(), text(case, "to_sign_tx_hash"));
    }
}

#[test]
fn valid_signatures() {
    let (mut valid, mut inconclusive) = (0, 0);
    for file in files() {
        for kind in ["simple", "full", "proof_of_funds"] {
            for case in file[kind].as_array().into_iter().flatten() {
                let signatures = case["bip322_signatures"].as_array().unwrap();
                for signature in signatures.iter().map(|signature| signature.as_str().unwrap()) {
                    let verdict = judge(case, signature).unwrap();
                    // Scripts beyond miniscript (`CSV DROP`) cannot be judged here, as the BIP allows.
                    if text(case, "type").contains("time-lock") {
                        assert_eq!(verdict, Verdict::Inconclusive, "{case}");
                        inconclusive += 1;
                        continue;
                    }
                    let Verdict::Valid { lock_time, age, funds } = verdict else {
                        panic!("{verdict:?} {case}")
                    };
                    assert_eq!(u64::from(lock_time), case["lock_time"].as_u64().unwrap_or(0));
                    assert_eq!(u64::from(age), case["sequence"].as_u64().unwrap_or(0));
                    let coins = case["additional_inputs"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .flat_map(|c| c.as_array().unwrap());
                    let expected: u64 = coins.map(|coin| coin["value"].as_u64().unwrap()).sum();
                    assert_eq!(funds.iter().map(|(_, sats)| sats).sum::<u64>(), expected);
                    let written = signature.parse::<MessageSignature>().unwrap().to_string();
                    assert!(written.ends_with(signature), "{written}");
                    valid += 1;
                }
            }
        }
    }
    assert!(valid >= 20 && inconclusive >= 2, "{valid} {inconclusive}");
}

#[test]
fn invalid_signatures() {
    let mut refused = 0;
    for case in files().iter().flat_map(|file| file["error"].as_array().unwrap()) {
        let verdict = judge(case, text(case, "signature"));
        let refusal = match &verdict {
            Err(BitcoinError::MessageSignature(_)) | Ok(Verdict::Invalid { .. }) => true,
            Ok(Verdict::Inconclusive) => text(case, "description").contains("time-lock"),
            _ => false,
        };
        assert!(refusal, "{verdict:?} {case}");
        refused += 1;
    }
    assert!(refused > 30, "{refused}");
}

/// The vectors' taproot keys sign here too: another nonce, but a valid signature by the vectors' own key.
#[test]
fn taproot_keys_of_the_vectors() {
    let mut signed = 0;
    for file in files() {
        let cases = file["simple"].as_array().into_iter().chain(file["full"].as_array()).flatten();
        for case in cases.filter(|case| text(case, "type") == "p2tr") {
            let wif = case["private_keys"][0].as_str().unwrap();
            let mut bytes = PrivateKey::from_wif(wif).unwrap().inner.secret_bytes();
            let key = Keypair::from_seckey_slice(SECP256K1, &bytes).unwrap().x_only_public_key().0;
            let wallet = Wallet::new(Network::Mainnet).with_identity(key);
            let script = wallet.own_script(&mainnet(case)).unwrap().expect("tr(KEY)");
            let signer = LocalSigner::new(common::master(), [0; 32])
                .with_identity(&SecretKey32::take(&mut bytes))
                .unwrap();
            for format in [Format::Simple, Format::Full] {
                let request =
                    MessageRequest::new(&wallet, &script, text(case, "message"), &[], format).unwrap();
                let signature = request.sign(&signer).unwrap().to_string();
                assert!(matches!(judge(case, &signature), Ok(Verdict::Valid { .. })), "{signature}");
            }
            signed += 1;
        }
    }
    assert!(signed >= 2);
}

fn regtest(script: &OwnScript) -> Address {
    Address::from_script(script.script(), Network::Regtest.params()).unwrap()
}

#[test]
fn messages_of_our_addresses() {
    let own = OwnScript::from(&receive(3));
    let request = MessageRequest::new(&wallet(), &own, "pay\u{202e} me", &[], Format::Simple).unwrap();
    assert_eq!(request.view().message.as_str(), "pay\\u{202e} me");
    assert_eq!(request.view().address.as_ref().unwrap().as_str(), receive(3).to_string());
    let signature = request.sign(&signer()).unwrap();
    assert!(signature.to_string().starts_with("smp"));
    let valid = Verdict::Valid { lock_time: 0, age: 0, funds: vec![] };
    let check = |address: &Address, message: &str| verify(address, message.as_bytes(), &signature);
    assert_eq!(check(&regtest(&own), "pay\u{202e} me"), valid);
    assert!(matches!(check(&regtest(&own), "pay me"), Verdict::Invalid { .. }));
    assert!(matches!(check(&receive(4).address(), "pay\u{202e} me"), Verdict::Invalid { .. }));
    // Core's consensus code agrees.
    let spend = to_spend("pay\u{202e} me".as_bytes(), own.script());
    let MessageSignature::Simple(witness) = &signature else { panic!() };
    let mut tx = to_sign(&spend);
    tx.input[0].witness = witness.clone();
    assert_eq!(consensus(&tx, &spend.output), Ok(()));
}

#[test]
fn a_signature_does_not_move_to_other_forms() {
    let own = OwnScript::from(&receive(3));
    let sign =
        |format| MessageRequest::new(&wallet(), &own, "hi", &[], format).unwrap().sign(&signer()).unwrap();
    let address = regtest(&own);
    let MessageSignature::Full(tx) = sign(Format::Full) else { panic!() };
    assert!(matches!(verify(&address, b"hi", &MessageSignature::Full(tx.clone())), Verdict::Valid { .. }));
    let mut paying = tx.clone();
    paying.output[0].value = Amount::ONE_SAT;
    assert!(matches!(verify(&address, b"hi", &MessageSignature::Full(paying)), Verdict::Invalid { .. }));
    let mut more = tx.clone();
    more.input.push(more.input[0].clone());
    assert!(matches!(verify(&address, b"hi", &MessageSignature::Full(more)), Verdict::Invalid { .. }));
    let mut odd = tx;
    odd.version.0 = 3;
    assert!(matches!(verify(&address, b"hi", &MessageSignature::Full(odd)), Verdict::Invalid { .. }));
    for bad in ["", "smp", "smpAA==", "ful", "pof", "pof!!", "smp====", "fulAA==", "pofcHNidP8="] {
        assert!(bad.parse::<MessageSignature>().is_err(), "{bad}");
    }
}

/// The BIP demands that signatures cover everything.
#[test]
fn partial_signatures_are_invalid() {
    let own = OwnScript::from(&receive(3));
    let request = MessageRequest::new(&wallet(), &own, "hi", &[], Format::Simple).unwrap();
    let mut job = request.jobs().unwrap().remove(0);
    let spend = to_spend(b"hi", own.script());
    let tx = to_sign(&spend);
    for kind in [TapSighashType::None, TapSighashType::AllPlusAnyoneCanPay, TapSighashType::All] {
        use keep_bitcoin::TaprootSigner;
        use keep_bitcoin::bitcoin::sighash::{Prevouts, SighashCache};
        let all = Prevouts::All(&spend.output);
        job.sighash = SighashCache::new(&tx).taproot_key_spend_signature_hash(0, &all, kind).unwrap();
        let signature = signer().sign_taproot(std::slice::from_ref(&job)).unwrap()[0];
        let signature = keep_bitcoin::bitcoin::taproot::Signature { signature, sighash_type: kind };
        let witness = keep_bitcoin::bitcoin::Witness::from_slice(&[signature.to_vec()]);
        let verdict = verify(&regtest(&own), b"hi", &MessageSignature::Simple(witness));
        assert_eq!(
            matches!(verdict, Verdict::Valid { .. }),
            kind == TapSighashType::All,
            "{kind}: {verdict:?}"
        );
    }
}

#[test]
fn proofs_of_funds() {
    let own = OwnScript::from(&receive(0));
    let identity = wallet()
        .own_script(&Address::p2tr(SECP256K1, identity_key(), None, Network::Regtest.params()))
        .unwrap()
        .unwrap();
    let coins = [
        Coin { outpoint: outpoint(1), amount_sats: 40_000_000, script: (&change(5)).into() },
        Coin { outpoint: outpoint(2), amount_sats: 2, script: identity },
    ];
    let request = MessageRequest::new(&wallet(), &own, "solvent", &coins, Format::Simple).unwrap();
    assert_eq!((request.view().coins.len(), request.view().coins_sats), (2, 40_000_002));
    let signatures = {
        use keep_bitcoin::TaprootSigner;
        signer().sign_taproot(&request.jobs().unwrap()).unwrap()
    };
    let signature = request.attach(&signatures).unwrap().to_string();
    assert!(signature.starts_with("pof"));
    let signature: MessageSignature = signature.parse().unwrap();
    let Verdict::Valid { funds, .. } = verify(&regtest(&own), b"solvent", &signature) else { panic!() };
    assert_eq!(funds, [(outpoint(1), 40_000_000), (outpoint(2), 2)]);
    assert!(matches!(verify(&regtest(&own), b"other", &signature), Verdict::Invalid { .. }));
    // A claimed amount is covered by the signatures.
    let MessageSignature::ProofOfFunds(file) = &signature else { panic!() };
    let mut psbt = file.psbt().clone();
    psbt.inputs[1].witness_utxo.as_mut().unwrap().value += Amount::ONE_SAT;
    let lied = MessageSignature::ProofOfFunds(Box::new(keep_bitcoin::PsbtFile::new(psbt).unwrap()));
    assert!(matches!(verify(&regtest(&own), b"solvent", &lied), Verdict::Invalid { .. }));
    // The same coin twice, and a coin of somebody else.
    let twice = [coins[0].clone(), coins[0].clone()];
    let error = MessageRequest::new(&wallet(), &own, "x", &twice, Format::Simple).unwrap_err();
    assert_eq!(error, BitcoinError::Message("a coin is named twice"));
    assert!(
        wallet()
            .own_script(&Address::from_script(&stranger(1), Network::Regtest.params()).unwrap())
            .unwrap()
            .is_none()
    );
}

#[test]
fn an_address_is_found_by_lookahead() {
    let wallet = wallet().with_lookahead(3).unwrap();
    let own = wallet.own_script(&receive(2).address()).unwrap().unwrap();
    assert_eq!(own, OwnScript::from(&receive(2)));
    assert!(wallet.own_script(&receive(3).address()).unwrap().is_none());
    let unknown: ScriptBuf = stranger(1);
    assert!(
        wallet
            .own_script(&Address::from_script(&unknown, Network::Regtest.params()).unwrap())
            .unwrap()
            .is_none()
    );
}
