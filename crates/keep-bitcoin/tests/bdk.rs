//! Round trips with BDK, which shares no code with this crate above the `bitcoin` crate's types.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use bdk_wallet::bitcoin::bip32::Xpriv;
use bdk_wallet::chain::{BlockId, ConfirmationBlockTime, TxUpdate};
use bdk_wallet::template::Bip86;
use bdk_wallet::{KeychainKind, SignOptions, Update};
use common::{WORDS, account, consensus, inspect, prevouts, signer, stranger};
use keep_bitcoin::bitcoin::hashes::Hash;
use keep_bitcoin::bitcoin::{
    Amount, BlockHash, FeeRate, Network as Net, OutPoint, Psbt, Transaction, TxIn, TxOut, absolute,
};
use keep_bitcoin::{Branch, Encoding, PsbtFile};

/// A watch-only BDK wallet of our descriptors.
fn watching() -> bdk_wallet::Wallet {
    let (receive, change) =
        (account().branch_descriptor(Branch::Receive), account().branch_descriptor(Branch::Change));
    bdk_wallet::Wallet::create(receive, change).network(Net::Regtest).create_wallet_no_persist().unwrap()
}

/// Gives the wallet a confirmed coin at each of its first `count` receive addresses.
fn fund(wallet: &mut bdk_wallet::Wallet, count: u32) {
    let mut update = TxUpdate::default();
    for index in 0..count {
        let tx = Transaction {
            version: keep_bitcoin::bitcoin::transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(common::outpoint(index as usize).txid, 0),
                ..TxIn::default()
            }],
            output: vec![TxOut {
                value: Amount::from_sat(50_000),
                script_pubkey: wallet.reveal_next_address(KeychainKind::External).script_pubkey(),
            }],
        };
        let block_id = BlockId { height: 100, hash: BlockHash::hash(&[100]) };
        update
            .anchors
            .insert((ConfirmationBlockTime { block_id, confirmation_time: 100 }, tx.compute_txid()));
        update.txs.push(Arc::new(tx));
    }
    let tip = wallet.latest_checkpoint().insert(BlockId { height: 100, hash: BlockHash::hash(&[100]) });
    wallet.apply_update(Update { tx_update: update, chain: Some(tip), ..Update::default() }).unwrap();
}

fn build(wallet: &mut bdk_wallet::Wallet, sats: u64) -> Psbt {
    let mut builder = wallet.build_tx();
    builder.add_recipient(stranger(9), Amount::from_sat(sats)).fee_rate(FeeRate::from_sat_per_vb(5).unwrap());
    builder.finish().unwrap()
}

#[test]
fn bdk_derives_the_same_addresses_from_descriptor_and_from_mnemonic() {
    let secret = Xpriv::new_master(Net::Regtest, common_seed().as_slice()).unwrap();
    let mut restored = bdk_wallet::Wallet::create(
        Bip86(secret, KeychainKind::External),
        Bip86(secret, KeychainKind::Internal),
    )
    .network(Net::Regtest)
    .create_wallet_no_persist()
    .unwrap();
    let mut imported = watching();
    for index in 0..20 {
        for (branch, chain) in
            [(Branch::Receive, KeychainKind::External), (Branch::Change, KeychainKind::Internal)]
        {
            let ours = account().address(branch, index).unwrap().to_string();
            assert_eq!(imported.reveal_addresses_to(chain, index).last().unwrap().address.to_string(), ours);
            assert_eq!(restored.reveal_addresses_to(chain, index).last().unwrap().address.to_string(), ours);
        }
    }
}

fn common_seed() -> [u8; 64] {
    bip39::Mnemonic::parse(WORDS).unwrap().to_seed("")
}

#[test]
fn a_psbt_made_by_bdk_is_signed_here_and_finalised_there() {
    let mut wallet = watching();
    fund(&mut wallet, 3);
    assert_eq!(wallet.balance().confirmed, Amount::from_sat(150_000));
    let psbt = build(&mut wallet, 120_000);
    let file = PsbtFile::read(&PsbtFile::new(psbt).unwrap().write_as(Encoding::Base64)).unwrap();
    let inspection = inspect(file.psbt().clone());
    let facts = inspection.facts().clone();
    assert_eq!(facts.signable_inputs, 3);
    assert_eq!(facts.destinations.iter().map(|to| to.amount_sats).sum::<u64>(), 120_000);
    assert_eq!(facts.leaving_sats, Some(120_000 + facts.fee_sats.unwrap()));
    assert!(
        inspection.view().warnings.iter().all(|warning| warning.severity == keep_bitcoin::Severity::Note)
    );
    let signed = inspection.sign(&signer()).unwrap();
    let mut psbt = signed.file.psbt().clone();
    // BDK checks signatures by the scripts when it finalises.
    assert!(wallet.finalize_psbt(&mut psbt, SignOptions::default()).unwrap());
    let outputs = prevouts(&psbt);
    let tx = psbt.extract_tx().unwrap();
    assert_eq!(consensus(&tx, &outputs), Ok(()));
    assert_eq!(facts.vsize, tx.vsize() as u64);
    // And so do we, with the same result.
    let mut ours = signed.file;
    ours.finalize().unwrap();
    assert_eq!(ours.extract().unwrap(), tx);
}

#[test]
fn what_bdk_signs_is_recognised_as_signed() {
    let secret = Xpriv::new_master(Net::Regtest, common_seed().as_slice()).unwrap();
    let mut wallet = bdk_wallet::Wallet::create(
        Bip86(secret, KeychainKind::External),
        Bip86(secret, KeychainKind::Internal),
    )
    .network(Net::Regtest)
    .create_wallet_no_persist()
    .unwrap();
    fund(&mut wallet, 1);
    let mut psbt = build(&mut wallet, 20_000);
    let keys = psbt.sign(&secret, wallet.secp_ctx()).unwrap();
    assert_eq!(keys.len(), 1);
    let error = inspect(psbt.clone()).sign(&signer()).unwrap_err();
    assert_eq!(error.to_string(), "nothing was signed: input 0: it has our signature already");
    let mut file = PsbtFile::new(psbt).unwrap();
    file.finalize().unwrap();
    file.extract().unwrap();
}
