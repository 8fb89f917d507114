//! Bitcoin: a PSBT with a thousand taproot inputs against as many bare signatures, and addresses against the two point
//! operations that each of them needs.

use std::hint::black_box;

use anyhow::{Context as _, Result};
use keep_bitcoin::bitcoin::absolute::LockTime;
use keep_bitcoin::bitcoin::hashes::Hash as _;
use keep_bitcoin::bitcoin::secp256k1::schnorr::Signature;
use keep_bitcoin::bitcoin::secp256k1::{Keypair, Message, PublicKey, SECP256K1, Scalar, SecretKey};
use keep_bitcoin::bitcoin::transaction::Version;
use keep_bitcoin::bitcoin::{
    Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
};
use keep_bitcoin::{
    Account, Branch, Encoding, InspectOptions, Inspection, LocalSigner, Network, PsbtFile, Seed, Wallet,
};

use crate::measure::Measure;
use crate::table::Row;

const INPUTS: u32 = 1_000;
const ADDRESSES: u32 = 10_000;

pub fn rows() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (keys, of) in [(1, "one key"), (INPUTS, "a key each")] {
        rows.extend(signing(keys, of)?);
    }
    rows.push(against_primitives()?);
    rows.push(addresses()?);
    Ok(rows)
}

/// Where each input has a key of its own, that key is derived and tweaked as public key, to know that it is ours, and as secret
/// key, to sign with it. Nothing that knows its keys by derivation can do with less.
fn against_primitives() -> Result<Row> {
    let raw = psbt(INPUTS)?;
    let wallet = Wallet::new(Network::Mainnet).with_account(account()?)?;
    let options = InspectOptions { max_fee_sats: u64::MAX, ..InspectOptions::default() };
    let signer = LocalSigner::new(seed()?.master()?, [0; 32]);
    let parse = Measure::LONG.of(|| drop(black_box(PsbtFile::read(&raw))));
    let secret = SecretKey::from_slice(&[9; 32])?;
    let public = secret.public_key(SECP256K1);
    let mut failed = None;
    let (whole, primitives) = Measure::LONG.both(
        || {
            let signed = PsbtFile::read(&raw)
                .map(|file| Inspection::new(file, &wallet, &options))
                .and_then(|inspection| inspection.sign(&signer));
            failed = signed.err();
        },
        || {
            for number in 0..INPUTS {
                black_box(derive_tweak_sign(&secret, &public, number));
            }
        },
    );
    anyhow::ensure!(failed.is_none(), "the PSBT was not signed: {failed:?}");
    let what = "PSBT of 1,000 inputs, a key each: parse, inspect, sign";
    Ok(Row::new(what, whole, "derive, tweak and sign 1,000 times, and parsing", primitives + parse))
}

/// One input by the bare operations on keys, without the hashes between them.
fn derive_tweak_sign(secret: &SecretKey, public: &PublicKey, number: u32) -> Option<Signature> {
    let mut digest = [3; 32];
    digest[..4].copy_from_slice(&number.to_le_bytes());
    let step = Scalar::from_be_bytes(digest).ok()?;
    let child = public.add_exp_tweak(SECP256K1, &step).ok()?;
    black_box(child.x_only_public_key().0.add_tweak(SECP256K1, &step).ok()?);
    let tweaked = secret.add_tweak(&step).ok()?.add_tweak(&step).ok()?;
    let pair = Keypair::from_secret_key(SECP256K1, &tweaked);
    Some(SECP256K1.sign_schnorr_with_aux_rand(&Message::from_digest(digest), &pair, &[0; 32]))
}

fn seed() -> Result<Seed> {
    Ok(Seed::from_bytes(&[7; 32])?)
}

fn account() -> Result<Account> {
    Ok(Account::bip86(&seed()?.master()?, Network::Mainnet, 0)?)
}

fn signing(keys: u32, of: &str) -> Result<[Row; 2]> {
    let raw = psbt(keys)?;
    let wallet = Wallet::new(Network::Mainnet).with_account(account()?)?;
    let options = InspectOptions { max_fee_sats: u64::MAX, ..InspectOptions::default() };
    let pair = Keypair::from_seckey_slice(SECP256K1, &[9; 32])?;
    let signer = LocalSigner::new(seed()?.master()?, [0; 32]);
    let parse = Measure::LONG.of(|| drop(black_box(PsbtFile::read(&raw))));
    let mut failed = None;
    let (whole, bare) = Measure::LONG.both(
        || {
            let signed = PsbtFile::read(&raw)
                .map(|file| Inspection::new(file, &wallet, &options))
                .and_then(|inspection| inspection.sign(&signer));
            failed = signed.err();
        },
        || {
            for number in 0..INPUTS {
                let mut digest = [3; 32];
                digest[..4].copy_from_slice(&number.to_le_bytes());
                black_box(SECP256K1.sign_schnorr_with_aux_rand(
                    &Message::from_digest(digest),
                    &pair,
                    &[0; 32],
                ));
            }
        },
    );
    anyhow::ensure!(failed.is_none(), "the PSBT was not signed: {failed:?}");
    let reference = "1,000 bare signatures and parsing";
    Ok([
        Row::alone(format!("PSBT of 1,000 inputs, {of}: parse"), parse, "part of the next"),
        Row::new(format!("PSBT of 1,000 inputs, {of}: parse, inspect, sign"), whole, reference, bare + parse),
    ])
}

/// A PSBT whose inputs are spread over `keys` addresses of ours.
fn psbt(keys: u32) -> Result<Vec<u8>> {
    let account = account()?;
    let own: Vec<_> = account.addresses(Branch::Receive, 0..keys).collect::<Result<_, _>>()?;
    let of = |number: u32| own.get((number % keys) as usize).context("an address is missing");
    let input = |number: u32| TxIn {
        previous_output: OutPoint { txid: Txid::hash(&number.to_le_bytes()), vout: number },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let output =
        TxOut { value: Amount::from_sat(u64::from(INPUTS) * 9_000), script_pubkey: of(0)?.script().into() };
    let mut psbt = Psbt::from_unsigned_tx(Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: (0..INPUTS).map(input).collect(),
        output: vec![output],
    })?;
    for (number, input) in (0..INPUTS).zip(&mut psbt.inputs) {
        let address = of(number)?;
        let (fingerprint, path) = address.origin();
        input.witness_utxo =
            Some(TxOut { value: Amount::from_sat(10_000), script_pubkey: address.script().into() });
        input.tap_internal_key = Some(address.internal_key());
        input.tap_key_origins.insert(address.internal_key(), (Vec::new(), (fingerprint, path.clone())));
    }
    Ok(PsbtFile::new(psbt)?.write_as(Encoding::Binary))
}

fn addresses() -> Result<Row> {
    let account = account()?;
    let key = account.xpub().public_key;
    let (ours, bare) = Measure::LONG.both(
        || {
            for address in account.addresses(Branch::Receive, 0..ADDRESSES) {
                black_box(address.map(|address| address.to_string()).ok());
            }
        },
        || {
            for number in 0..ADDRESSES {
                let mut tweak = [1; 32];
                tweak[28..].copy_from_slice(&number.to_be_bytes());
                let Ok(scalar) = Scalar::from_be_bytes(tweak) else { continue };
                let child = key.add_exp_tweak(SECP256K1, &scalar);
                black_box(child.map(|child| child.x_only_public_key().0.add_tweak(SECP256K1, &scalar)).ok());
            }
        },
    );
    Ok(Row::new("10,000 addresses", ours, "two point operations each", bare))
}
