//! Round trips with BDK: what `keep` prints is enough for another wallet, and what that wallet makes is signed.

use std::sync::Arc;

use bdk_wallet::bitcoin::bip32::Xpriv;
use bdk_wallet::bitcoin::consensus::encode::serialize_hex;
use bdk_wallet::bitcoin::hashes::Hash;
use bdk_wallet::bitcoin::key::Secp256k1;
use bdk_wallet::bitcoin::{
    Amount, BlockHash, FeeRate, Network, OutPoint, Psbt, Transaction, TxIn, Txid, absolute, transaction,
};
use bdk_wallet::chain::{BlockId, ConfirmationBlockTime, TxUpdate};
use bdk_wallet::miniscript::psbt::PsbtExt;
use bdk_wallet::template::Bip86;
use bdk_wallet::{KeychainKind, SignOptions, Update, Wallet};
use serde_json::Value;

use super::{REGTEST, output, stranger};
use crate::world::World;

fn ask(world: &World, command: &str, more: &[&str]) -> Value {
    world.done(&[&["--json", "bitcoin", command], &REGTEST[..], more].concat()).json()
}

/// The addresses that `keep` prints.
fn printed(world: &World, key: &str, change: &[&str]) -> Vec<String> {
    let view = ask(world, "address", &[&["--key", key, "--index", "0", "--count", "25"], change].concat());
    let own = view["addresses"].as_array().unwrap().iter();
    own.map(|own| own["address"].as_str().unwrap().to_owned()).collect()
}

/// The addresses that BDK derives.
fn derived(wallet: &Wallet, chain: KeychainKind) -> Vec<String> {
    (0..25).map(|index| wallet.peek_address(chain, index).address.to_string()).collect()
}

/// A wallet of the standard account below a root (BIP-86).
fn restored(root: Xpriv) -> Wallet {
    Wallet::create(Bip86(root, KeychainKind::External), Bip86(root, KeychainKind::Internal))
        .network(Network::Regtest)
        .create_wallet_no_persist()
        .unwrap()
}

/// Gives the wallet a confirmed coin of 50,000 at each of its first addresses.
fn fund(wallet: &mut Wallet, coins: &[(KeychainKind, u32)]) {
    let mut update = TxUpdate::default();
    let block_id = BlockId { height: 100, hash: BlockHash::hash(&[100]) };
    for (chain, index) in coins {
        wallet.reveal_addresses_to(*chain, *index).count();
        let script = wallet.peek_address(*chain, *index).script_pubkey();
        let tx = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(Txid::hash(format!("{chain:?}{index}").as_bytes()), 0),
                ..TxIn::default()
            }],
            output: vec![output(script, 50_000)],
        };
        let anchor = ConfirmationBlockTime { block_id, confirmation_time: 100 };
        update.anchors.insert((anchor, tx.compute_txid()));
        update.txs.push(Arc::new(tx));
    }
    let tip = wallet.latest_checkpoint().insert(block_id);
    wallet.apply_update(Update { tx_update: update, chain: Some(tip), ..Update::default() }).unwrap();
}

#[test]
fn the_printed_descriptor_makes_a_wallet_whose_transactions_are_signed_and_final() {
    let world = World::with_key();
    world.done(&["generate", "--name", "words", "--mnemonic"]);
    for key in ["main", "words"] {
        let view = ask(&world, "descriptor", &["--key", key]);
        let text = world.done(&[&["bitcoin", "descriptor", "--key", key], &REGTEST[..]].concat()).stdout;
        assert_eq!(text.trim(), view["descriptor"].as_str().unwrap());
        let mut wallet = Wallet::create_from_two_path_descriptor(text.trim().to_owned())
            .network(Network::Regtest)
            .create_wallet_no_persist()
            .unwrap();
        assert_eq!(derived(&wallet, KeychainKind::External), printed(&world, key, &[]));
        assert_eq!(derived(&wallet, KeychainKind::Internal), printed(&world, key, &["--change"]));

        fund(
            &mut wallet,
            &[(KeychainKind::External, 0), (KeychainKind::External, 7), (KeychainKind::Internal, 3)],
        );
        let mut builder = wallet.build_tx();
        builder.add_recipient(stranger(9), Amount::from_sat(120_000));
        builder.fee_rate(FeeRate::from_sat_per_vb(5).unwrap());
        let made = builder.finish().unwrap();
        let file = world.path().join(format!("{key}.psbt"));
        std::fs::write(&file, made.to_string()).unwrap();
        let file = file.to_str().unwrap();
        let seen = ask(&world, "analyze", &["--key", key, "--psbt", file]);
        let fee = made.fee().unwrap().to_sat();
        assert_eq!(seen["facts"]["leaving_sats"], 120_000 + fee);
        assert_eq!(
            seen["warnings"].as_array().unwrap().iter().filter(|w| w["severity"] != "note").count(),
            0
        );

        let line = ["bitcoin", "sign", "--key", key, "--psbt", file];
        let signed = world.done(&[&line[..], &REGTEST[..]].concat()).stdout;
        let mut signed: Psbt = signed.trim().parse().unwrap();
        assert_eq!(signed.unsigned_tx, made.unsigned_tx);
        let signatures: Vec<_> = signed.inputs.iter().map(|input| input.tap_key_sig).collect();
        assert!(wallet.finalize_psbt(&mut signed, SignOptions::default()).unwrap());
        // Checks every signature under the scripts (miniscript's interpreter), as BDK's own users do before sending.
        let tx = signed.extract(&Secp256k1::verification_only()).unwrap();
        assert_eq!((tx.input.len(), tx.output.len()), (3, 2));
        // `keep` itself finalises to the same transaction, but for the signatures' nonces.
        let whole = world.done(&[&line[..], &["--finalize"], &REGTEST[..]].concat()).stdout;
        assert_eq!(whole.trim().len(), serialize_hex(&tx).len());
        // Signatures of other inputs are noticed there.
        let mut forged = made.clone();
        for (number, input) in forged.inputs.iter_mut().enumerate() {
            input.tap_key_sig = signatures[(number + 1) % 3];
        }
        wallet.finalize_psbt(&mut forged, SignOptions::default()).unwrap();
        assert!(forged.extract(&Secp256k1::verification_only()).is_err());
    }
}

#[test]
fn the_printed_words_restore_the_wallet_elsewhere() {
    let world = World::with_vault();
    for (name, words) in [("short", "12"), ("long", "24")] {
        let made = world.done(&["--json", "generate", "--name", name, "--mnemonic", "--words", words]).json();
        let mnemonic = made["mnemonic"].as_str().unwrap();
        assert_eq!(mnemonic.split(' ').count().to_string(), words);
        let seed = bip39::Mnemonic::parse(mnemonic).unwrap().to_seed("");
        let root = Xpriv::new_master(Network::Regtest, &seed).unwrap();
        let wallet = restored(root);
        assert_eq!(derived(&wallet, KeychainKind::External), printed(&world, name, &[]));
        assert_eq!(derived(&wallet, KeychainKind::Internal), printed(&world, name, &["--change"]));
    }
}

#[test]
fn a_bare_secret_is_a_seed_that_restores_the_wallet_elsewhere() {
    // The secret of the test key, as NIP-19 has it in hexadecimal.
    let secret = "67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa";
    let world = World::with_key();
    let root = Xpriv::new_master(Network::Regtest, &hex::decode(secret).unwrap()).unwrap();
    let wallet = restored(root);
    assert_eq!(derived(&wallet, KeychainKind::External), printed(&world, "main", &[]));
    assert_eq!(derived(&wallet, KeychainKind::Internal), printed(&world, "main", &["--change"]));
}
