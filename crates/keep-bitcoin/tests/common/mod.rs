//! What the tests share: a wallet with a known mnemonic, PSBTs that spend from it, and the vectors.
#![allow(dead_code)]

use std::path::Path;
use std::sync::OnceLock;

use keep_bitcoin::bitcoin::absolute::LockTime;
use keep_bitcoin::bitcoin::hashes::Hash;
use keep_bitcoin::bitcoin::key::XOnlyPublicKey;
use keep_bitcoin::bitcoin::transaction::Version;
use keep_bitcoin::bitcoin::{
    Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, consensus,
};
use keep_bitcoin::{
    Account, Branch, InspectOptions, Inspection, LocalSigner, Network, OwnAddress, PsbtFile, SecretNode,
    Seed, Wallet,
};
use keep_types::{SecretKey32, SecretText};
use serde_json::Value;

pub const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// Every copy of a vector file: the one in this crate, and the full one beside the workspace if it is there.
pub fn vectors(name: &str) -> Vec<Value> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = [here.join("tests/vectors"), here.join("../../../shared/vectors")];
    let files = places.iter().filter_map(|place| std::fs::read_to_string(place.join(name)).ok());
    let found: Vec<Value> = files.map(|text| serde_json::from_str(&text).unwrap()).collect();
    assert!(!found.is_empty(), "{name}");
    found
}

pub fn master() -> SecretNode {
    Seed::from_mnemonic(&SecretText::from(WORDS.to_owned()), &SecretText::from(String::new()))
        .unwrap()
        .master()
        .unwrap()
}

pub fn identity_secret() -> SecretKey32 {
    SecretKey32::take(&mut [7; 32])
}

pub fn identity_key() -> XOnlyPublicKey {
    use keep_bitcoin::bitcoin::secp256k1::{Keypair, SECP256K1};
    Keypair::from_seckey_slice(SECP256K1, identity_secret().expose()).unwrap().x_only_public_key().0
}

pub fn account() -> Account {
    static ACCOUNT: OnceLock<Account> = OnceLock::new();
    ACCOUNT.get_or_init(|| Account::bip86(&master(), Network::Regtest, 0).unwrap()).clone()
}

pub fn wallet() -> Wallet {
    Wallet::new(Network::Regtest).with_account(account()).unwrap().with_identity(identity_key())
}

pub fn signer() -> LocalSigner {
    LocalSigner::new(master(), [0; 32]).with_identity(&identity_secret()).unwrap()
}

pub fn receive(index: u32) -> OwnAddress {
    account().address(Branch::Receive, index).unwrap()
}

pub fn change(index: u32) -> OwnAddress {
    account().address(Branch::Change, index).unwrap()
}

/// An output script of nobody here.
pub fn stranger(number: u8) -> ScriptBuf {
    use keep_bitcoin::bitcoin::secp256k1::{Keypair, SECP256K1};
    let key = Keypair::from_seckey_slice(SECP256K1, &[[number; 31].as_slice(), &[1]].concat())
        .unwrap()
        .x_only_public_key()
        .0;
    ScriptBuf::new_p2tr(SECP256K1, key, None)
}

pub fn outpoint(number: usize) -> OutPoint {
    OutPoint { txid: Txid::hash(&number.to_le_bytes()), vout: (number % 3) as u32 }
}

/// A PSBT that spends `inputs` to `outputs`, with prevouts, without origins.
pub fn psbt(inputs: &[(ScriptBuf, u64)], outputs: &[(ScriptBuf, u64)]) -> Psbt {
    let tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: (0..inputs.len())
            .map(|number| TxIn {
                previous_output: outpoint(number),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                witness: Witness::new(),
            })
            .collect(),
        output: outputs.iter().map(|(script, sats)| txout(script, *sats)).collect(),
    };
    let mut psbt = Psbt::from_unsigned_tx(tx).unwrap();
    for (input, (script, sats)) in psbt.inputs.iter_mut().zip(inputs) {
        input.witness_utxo = Some(txout(script, *sats));
    }
    psbt
}

pub fn txout(script: &ScriptBuf, sats: u64) -> TxOut {
    TxOut { value: Amount::from_sat(sats), script_pubkey: script.clone() }
}

/// Writes the origin of `address` into input `index`.
pub fn claim_input(psbt: &mut Psbt, index: usize, address: &OwnAddress) {
    let (fingerprint, path) = address.origin();
    let input = &mut psbt.inputs[index];
    input.tap_internal_key = Some(address.internal_key());
    input.tap_key_origins.insert(address.internal_key(), (vec![], (fingerprint, path.clone())));
}

/// Writes the origin of `address` into output `index`.
pub fn claim_output(psbt: &mut Psbt, index: usize, address: &OwnAddress) {
    let (fingerprint, path) = address.origin();
    let output = &mut psbt.outputs[index];
    output.tap_internal_key = Some(address.internal_key());
    output.tap_key_origins.insert(address.internal_key(), (vec![], (fingerprint, path.clone())));
}

/// One input of 100,000 sats at receive 0; 60,000 to a stranger, 39,000 of change, fee 1,000.
pub fn simple() -> Psbt {
    let (from, back) = (receive(0), change(0));
    let mut psbt =
        psbt(&[(from.script().into(), 100_000)], &[(stranger(9), 60_000), (back.script().into(), 39_000)]);
    claim_input(&mut psbt, 0, &from);
    claim_output(&mut psbt, 1, &back);
    psbt
}

pub fn inspect(psbt: Psbt) -> Inspection {
    Inspection::new(PsbtFile::new(psbt).unwrap(), &wallet(), &InspectOptions::default())
}

/// Signs, finalises, and lets Bitcoin Core's consensus code judge every input.
pub fn spend(psbt: Psbt) -> Transaction {
    let mut signed = inspect(psbt).sign(&signer()).unwrap();
    signed.file.finalize().unwrap();
    let tx = signed.file.extract().unwrap();
    assert_eq!(consensus(&tx, &prevouts(signed.file.psbt())), Ok(()));
    tx
}

pub fn prevouts(psbt: &Psbt) -> Vec<TxOut> {
    psbt.inputs.iter().map(|input| input.witness_utxo.clone().unwrap()).collect()
}

/// Bitcoin Core's verdict on every input, taproot included; the first input that fails.
pub fn consensus(tx: &Transaction, prevouts: &[TxOut]) -> Result<(), usize> {
    let raw = consensus::serialize(tx);
    let scripts: Vec<&[u8]> = prevouts.iter().map(|out| out.script_pubkey.as_bytes()).collect();
    let utxos: Vec<bitcoinconsensus::Utxo> = prevouts
        .iter()
        .zip(&scripts)
        .map(|(out, script)| bitcoinconsensus::Utxo {
            script_pubkey: script.as_ptr(),
            script_pubkey_len: script.len() as u32,
            value: out.value.to_sat() as i64,
        })
        .collect();
    for (index, out) in prevouts.iter().enumerate() {
        bitcoinconsensus::verify(scripts[index], out.value.to_sat(), &raw, Some(&utxos), index)
            .map_err(|_| index)?;
    }
    Ok(())
}
