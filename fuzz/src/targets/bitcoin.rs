//! Targets of keep-bitcoin: what wallets and co-signers send.

use std::sync::OnceLock;

use keep_bitcoin::message::{MessageSignature, verify};
use keep_bitcoin::{
    Account, Encoding, InspectOptions, Inspection, LocalSigner, Network, PsbtFile, Seed, Wallet,
    parse_address,
};
use keep_types::SecretKey32;

/// The account of a key that everybody knows: the seeds have PSBTs for it.
fn account() -> Option<&'static Account> {
    static ACCOUNT: OnceLock<Option<Account>> = OnceLock::new();
    let made = || Account::bip86(&seed().master().ok()?, Network::Regtest, 0).ok();
    ACCOUNT.get_or_init(made).as_ref()
}

fn seed() -> Seed {
    Seed::from_secret_key(&SecretKey32::take(&mut [7; 32]))
}

/// A PSBT in any encoding. What is read is written and read again as the same; what has a danger is never signed; and
/// what is signed is what was looked at.
pub fn psbt(input: &[u8]) {
    let Ok(file) = PsbtFile::read(input) else { return };
    for encoding in [Encoding::Binary, Encoding::Base64, Encoding::Hex] {
        let written = file.write_as(encoding);
        let read = PsbtFile::read(&written).map(|again| again.write_as(Encoding::Binary));
        assert_eq!(read.ok(), Some(file.write_as(Encoding::Binary)), "it is not the same when read again");
    }
    let Some(account) = account() else { return };
    let wallet = Wallet::new(Network::Regtest).with_account(account.clone());
    let Ok(wallet) = wallet.and_then(|wallet| wallet.with_lookahead(2)) else { return };
    let inspection = Inspection::new(file, &wallet, &InspectOptions::default());
    let (dangers, facts) = (inspection.refusals(), inspection.facts().clone());
    let txid = inspection.file().unsigned_tx().compute_txid();
    if let (Some(own), Some(leaving)) = (facts.own_inputs_sats, facts.leaving_sats) {
        assert!(leaving <= own, "more leaves than was there");
    }
    let Ok(master) = seed().master() else { return };
    if let Ok(signed) = inspection.sign(&LocalSigner::new(master, [0; 32])) {
        assert!(dangers.is_empty(), "signed although {dangers:?}");
        assert!(
            signed.signatures >= facts.signable_inputs,
            "an input that counted as signable was not signed"
        );
        assert_eq!(signed.file.unsigned_tx().compute_txid(), txid, "another transaction was signed");
    }
}

/// A descriptor. What is accepted is written as the same wallet.
pub fn descriptor(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for network in [Network::Mainnet, Network::Regtest] {
        if let Ok(account) = Account::from_descriptor(text.trim(), network) {
            let again = Account::from_descriptor(&account.descriptor(), network);
            let again = again.map(|again| again.descriptor());
            assert_eq!(again.ok(), Some(account.descriptor()));
        }
    }
}

/// A signature of a message, with any prefix. Nothing but the real one of this message is valid.
pub fn message_signature(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(signature) = text.trim().parse::<MessageSignature>() else { return };
    let address = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr";
    let Ok(address) = parse_address(address, Network::Mainnet) else { return };
    // Panics are what is looked for; a valid signature cannot be made here.
    let _ = verify(&address, b"fuzz", &signature);
    let _ = signature.to_string().parse::<MessageSignature>().map(|again| again.to_string());
}
