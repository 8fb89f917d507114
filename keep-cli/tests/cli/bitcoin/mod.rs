//! Bitcoin as people and wallets meet it.

mod bad;
mod bdk;
mod esplora;
mod hwi;
mod limits;
mod reuse;

use std::str::FromStr;

use bdk_wallet::bitcoin::absolute::LockTime;
use bdk_wallet::bitcoin::bip32::{DerivationPath, Fingerprint};
use bdk_wallet::bitcoin::hashes::Hash;
use bdk_wallet::bitcoin::key::{Secp256k1, XOnlyPublicKey};
use bdk_wallet::bitcoin::transaction::Version;
use bdk_wallet::bitcoin::{
    Address, Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
};
use serde_json::Value;

use crate::world::{Ran, World};

/// The network of the tests.
const REGTEST: [&str; 2] = ["--network", "regtest"];

/// An address of ours, as `keep` printed it, with the origin of its key.
#[derive(Clone)]
struct Own {
    address: String,
    key: XOnlyPublicKey,
    fingerprint: Fingerprint,
    path: DerivationPath,
}

impl Own {
    fn of(world: &World, change: bool, index: u32) -> Self {
        let index = index.to_string();
        let mut line = vec!["--json", "bitcoin", "address", "--index", &index];
        line.extend(REGTEST);
        line.extend(change.then_some("--change"));
        let view = world.done(&line).json()["addresses"][0].clone();
        let word = |name: &str| view[name].as_str().unwrap().to_owned();
        let origin = word("origin");
        let (fingerprint, path) = origin.trim_matches(['[', ']']).split_once('/').unwrap();
        Self {
            address: word("address"),
            key: word("internal_key").parse().unwrap(),
            fingerprint: fingerprint.parse().unwrap(),
            path: path.parse().unwrap(),
        }
    }

    fn script(&self) -> ScriptBuf {
        script(&self.address)
    }
}

fn script(address: &str) -> ScriptBuf {
    Address::from_str(address).unwrap().assume_checked().script_pubkey()
}

/// An output script of nobody here.
fn stranger(number: u8) -> ScriptBuf {
    let secp = Secp256k1::new();
    let secret = bdk_wallet::bitcoin::secp256k1::SecretKey::from_slice(&[number; 32]).unwrap();
    ScriptBuf::new_p2tr(&secp, secret.x_only_public_key(&secp).0, None)
}

/// The address of [`stranger`].
fn stranger_address(number: u8) -> String {
    Address::from_script(&stranger(number), bdk_wallet::bitcoin::Network::Regtest).unwrap().to_string()
}

fn output(script_pubkey: ScriptBuf, sats: u64) -> TxOut {
    TxOut { value: Amount::from_sat(sats), script_pubkey }
}

/// A PSBT that spends coins of ours, each with its origin.
fn psbt(inputs: &[(&Own, u64)], outputs: &[(ScriptBuf, u64)]) -> Psbt {
    let mut psbt = Psbt::from_unsigned_tx(Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: (0..inputs.len())
            .map(|number| TxIn {
                previous_output: OutPoint { txid: Txid::hash(&number.to_le_bytes()), vout: 0 },
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            })
            .collect(),
        output: outputs.iter().map(|(script, sats)| output(script.clone(), *sats)).collect(),
    })
    .unwrap();
    for (input, (own, sats)) in psbt.inputs.iter_mut().zip(inputs) {
        input.witness_utxo = Some(output(own.script(), *sats));
        input.tap_internal_key = Some(own.key);
        input.tap_key_origins.insert(own.key, (vec![], (own.fingerprint, own.path.clone())));
    }
    psbt
}

/// Claims in output `index` that it is ours.
fn claim(psbt: &mut Psbt, index: usize, own: &Own) {
    psbt.outputs[index].tap_internal_key = Some(own.key);
    psbt.outputs[index].tap_key_origins.insert(own.key, (vec![], (own.fingerprint, own.path.clone())));
}

/// A payment of `sats` out of a coin of 100,000, with `fee` and the rest as change.
fn payment(world: &World, to: ScriptBuf, sats: u64, fee: u64) -> Psbt {
    let (from, change) = (Own::of(world, false, 0), Own::of(world, true, 0));
    let mut psbt = psbt(&[(&from, 100_000)], &[(to, sats), (change.script(), 100_000 - sats - fee)]);
    claim(&mut psbt, 1, &change);
    psbt
}

/// Runs a command about this PSBT, which is on its stdin.
fn about(world: &World, command: &str, psbt: &Psbt, more: &[&str]) -> Ran {
    let line = [&["--json", "bitcoin", command, "--psbt", "-"], &REGTEST[..], more].concat();
    world.run_with(&line, &psbt.serialize_hex(), |_| {})
}

/// The message of a refusal, which must have this exit code.
fn refusal(ran: &Ran, code: i32) -> String {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    ran.error()["error"]["message"].as_str().unwrap().to_owned()
}

/// What the log has about signatures of transactions: their outcomes.
fn outcomes(world: &World) -> Vec<String> {
    let log = world.done(&["--json", "audit", "list", "--limit", "200"]).json();
    let entries = log["entries"].as_array().unwrap().iter();
    let signing = entries.filter(|entry| entry["action"] == "sign_psbt");
    signing.map(|entry| entry["outcome"].as_str().unwrap().to_owned()).collect()
}

/// The codes of the warnings of an analysis.
fn codes(analysis: &Value) -> Vec<String> {
    let warnings = analysis["warnings"].as_array().unwrap().iter();
    warnings.map(|warning| warning["code"].as_str().unwrap().to_owned()).collect()
}
