//! Bitcoin through the facade: addresses as everybody derives them, limits that hold, a record of each signature.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::str::FromStr;

use keep_bitcoin::bitcoin::absolute::LockTime;
use keep_bitcoin::bitcoin::hashes::Hash;
use keep_bitcoin::bitcoin::transaction::Version;
use keep_bitcoin::bitcoin::{
    Address, Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
};
use keep_sdk::agent::{AccountInput, Asks, Preset, SessionScope};
use keep_sdk::bitcoin::{Branch, Encoding, FeeLimits, Network, PsbtFile, WalletSelector, verify_message};
use keep_sdk::{
    Agent, Budget, ErrorCode, Home, KdfCost, Keep, Name, Options, SecretInput, SecretText, SpendLimits,
};
use tempfile::TempDir;

/// A vault with a bare key whose secret everybody knows.
fn vault() -> (TempDir, Keep) {
    let directory = tempfile::tempdir().unwrap();
    let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    let options = Options::default().allow_weak_kdf().kdf_cost(cheap);
    let home = Home::new(directory.path().join("vault")).unwrap();
    let keep = Keep::create(home, &SecretText::from("passphrase".to_owned()), &options).unwrap();
    let secret = SecretInput::parse(&SecretText::from("07".repeat(32))).unwrap();
    keep.keys().import(Name::new("main").unwrap(), secret, None).unwrap();
    (directory, keep)
}

fn regtest() -> WalletSelector {
    WalletSelector { network: Network::Regtest, ..WalletSelector::default() }
}

/// A payment of `sats` out of a coin of 100,000 at our first address; what is left comes back as change.
fn payment(keep: &Keep, sats: u64, fee: u64) -> PsbtFile {
    let own =
        |branch| keep.bitcoin().addresses(&regtest(), branch, 0, 1).unwrap().addresses.remove(0).address;
    let script =
        |address: &str| -> ScriptBuf { Address::from_str(address).unwrap().assume_checked().script_pubkey() };
    let (from, change) = (script(&own(Branch::Receive)), script(&own(Branch::Change)));
    let to = script("bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6");
    let output = |sats, script_pubkey| TxOut { value: Amount::from_sat(sats), script_pubkey };
    let mut psbt = Psbt::from_unsigned_tx(Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid: Txid::hash(b"coin"), vout: 0 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![output(sats, to), output(100_000 - sats - fee, change)],
    })
    .unwrap();
    psbt.inputs[0].witness_utxo = Some(output(100_000, from));
    PsbtFile::new(psbt).unwrap()
}

fn code(outcome: Result<impl std::fmt::Debug, keep_sdk::Fault>) -> ErrorCode {
    outcome.unwrap_err().code()
}

#[test]
fn addresses_are_given_once() {
    let (_directory, keep) = vault();
    let bitcoin = keep.bitcoin();
    let next = |branch, count| {
        let view = bitcoin.next_addresses(&regtest(), branch, count).unwrap();
        view.addresses.iter().map(|own| own.index).collect::<Vec<_>>()
    };
    assert_eq!(next(Branch::Receive, 2), [0, 1]);
    assert_eq!(next(Branch::Receive, 1), [2]);
    assert_eq!(next(Branch::Change, 1), [0]);
    let again = bitcoin.addresses(&regtest(), Branch::Receive, 1, 1).unwrap();
    assert_eq!(again.addresses[0].index, 1);
    assert_eq!(next(Branch::Receive, 1), [3], "looking takes nothing");
    let view = bitcoin.descriptor(&regtest()).unwrap();
    assert_eq!((view.next_receive, view.next_change), (4, 1));
    let other = WalletSelector { account: 1, ..regtest() };
    assert_ne!(bitcoin.descriptor(&other).unwrap().descriptor, view.descriptor);
    assert_eq!(code(bitcoin.next_addresses(&regtest(), Branch::Receive, 0)), ErrorCode::Usage);
    for index in [(1 << 31) - 1, 1 << 31, u32::MAX] {
        let outcome = bitcoin.addresses(&regtest(), Branch::Receive, index, 2);
        assert_eq!(code(outcome), ErrorCode::InvalidInput, "{index}");
    }
}

#[test]
fn a_bare_key_is_a_bip32_seed() {
    let (_directory, keep) = vault();
    let master = keep_bitcoin::Seed::from_bytes(&[7; 32]).unwrap().master().unwrap();
    let account = keep_bitcoin::Account::bip86(&master, Network::Regtest, 0).unwrap();
    assert_eq!(keep.bitcoin().descriptor(&regtest()).unwrap().descriptor, account.descriptor());
}

#[test]
fn signatures_are_recorded_with_what_they_do() {
    let (_directory, keep) = vault();
    let psbt = payment(&keep, 10_000, 500);
    let seen = keep.bitcoin().analyze(&regtest(), &psbt, &FeeLimits::default()).unwrap();
    assert!(seen.refusals.is_empty(), "{:?}", seen.refusals);
    assert_eq!(seen.transaction.facts.leaving_sats, Some(10_500));
    let signed = keep.bitcoin().sign(&regtest(), &psbt, &FeeLimits::default(), true).unwrap();
    assert_eq!((signed.signatures, signed.complete), (1, true));
    assert!(signed.transaction.is_some());
    let log = keep.audit().list(10).unwrap();
    let entry = log.iter().find(|entry| entry.action == "sign_psbt").unwrap();
    let reason = entry.reason.as_ref().unwrap().as_str();
    assert!(reason.starts_with("10500 sats leave (fee 500): 10000 to bcrt1p0xlxv"), "{reason}");
    let again = keep.bitcoin().sign(&regtest(), &psbt, &FeeLimits::default(), true).unwrap();
    assert_eq!(again.txid, signed.txid);
}

#[test]
fn the_owners_limits_bind_the_owner() {
    let (_directory, keep) = vault();
    let bitcoin = keep.bitcoin();
    let sign = |sats, fee| {
        bitcoin.sign(&regtest(), &payment(&keep, sats, fee), &FeeLimits::default(), false).map(drop)
    };
    let limits = SpendLimits {
        per_transaction_sats: Some(20_000),
        budgets: vec![Budget { sats: 30_000, window_secs: 3_600 }],
        max_fee_sats: Some(1_000),
        ..SpendLimits::default()
    };
    bitcoin.set_limits(None, limits).unwrap();
    assert_eq!(code(sign(19_900, 101)), ErrorCode::RefusedByPolicy);
    assert_eq!(code(sign(5_000, 1_001)), ErrorCode::RefusedByPolicy);
    sign(19_900, 100).unwrap();
    assert_eq!(code(sign(10_000, 100)), ErrorCode::RefusedByPolicy, "the budget");
    sign(9_900, 100).unwrap();
    assert_eq!(bitcoin.limits(None).unwrap().budgets[0].spent_sats, 30_000);
    let refusals = bitcoin.analyze(&regtest(), &payment(&keep, 1_000, 100), &FeeLimits::default()).unwrap();
    assert!(refusals.refusals[0].as_str().contains("budget is 30000"), "{:?}", refusals.refusals);
    let refused = keep.audit().list(50).unwrap().iter().filter(|entry| entry.outcome == "refused").count();
    assert_eq!(refused, 3);
    let block = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6".to_owned();
    bitcoin.set_limits(None, SpendLimits { block: vec![block], ..SpendLimits::default() }).unwrap();
    assert_eq!(code(sign(1_000, 100)), ErrorCode::RefusedByPolicy);
    let typo = SpendLimits { allow: vec!["bcrt1qtypo".into()], ..SpendLimits::default() };
    assert_eq!(code(bitcoin.set_limits(None, typo)), ErrorCode::InvalidInput);
}

/// The owner's limits bind an agent's session, and the session's own limits bind it beside them, also after a restart.
#[test]
fn limits_bind_sessions_of_agents_over_a_restart() {
    const FRIEND: &str = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";
    let (directory, keep) = vault();
    let encoded = |psbt: &PsbtFile| String::from_utf8(psbt.write_as(Encoding::Base64)).unwrap();
    let owners = SpendLimits {
        budgets: vec![Budget { sats: 30_000, window_secs: 86_400 }],
        max_fee_sats: Some(600),
        ..SpendLimits::default()
    };
    keep.bitcoin().set_limits(None, owners).unwrap();
    let session = |keep: &Keep, name: &str, spend: SpendLimits| {
        let scope = SessionScope { spend, ..SessionScope::of(Preset::Bitcoin) };
        keep.agents().create(name, None, scope, Asks::Vault).unwrap().token
    };
    let roomy = SpendLimits { per_transaction_sats: Some(1_000_000), ..SpendLimits::default() };
    let tight = SpendLimits {
        per_transaction_sats: Some(20_000),
        budgets: vec![Budget { sats: 25_000, window_secs: 86_400 }],
        block: vec![FRIEND.into()],
        ..SpendLimits::default()
    };
    let (roomy, blocked) = (session(&keep, "roomy", roomy), session(&keep, "tight", tight.clone()));
    let free = session(&keep, "free", SpendLimits { block: Vec::new(), ..tight });
    let account = AccountInput { network: Network::Regtest, account: 0 };
    let sign = |keep: &Keep, token: &SecretText, sats, fee| {
        let psbt = encoded(&payment(keep, sats, fee));
        let agent = Agent::new(keep.for_session(token).unwrap());
        agent.sign_psbt(account, psbt, false, None).map(|answer| answer.signed.unwrap().signatures)
    };
    let refused = |outcome: Result<usize, keep_sdk::Fault>, why: &str| {
        let fault = outcome.unwrap_err();
        assert_eq!(fault.code(), ErrorCode::RefusedByPolicy, "{fault}");
        assert!(fault.message().contains(why), "{fault}");
    };
    refused(sign(&keep, &blocked, 1_000, 100), "which is blocked");
    refused(sign(&keep, &free, 19_950, 100), "over the limit of 20000 for one transaction");
    refused(sign(&keep, &roomy, 1_000, 601), "the fee is 601 sats, over the limit of 600");
    assert_eq!(sign(&keep, &free, 19_500, 500), Ok(1));
    refused(sign(&keep, &free, 4_901, 100), "the budget is 25000");
    refused(sign(&keep, &roomy, 9_901, 100), "the budget is 30000");
    let agent = Agent::new(keep.for_session(&roomy).unwrap());
    let seen = agent.analyze_psbt(account, encoded(&payment(&keep, 9_901, 100)), None).unwrap();
    let refusals = seen.analysis.unwrap().refusals;
    assert!(refusals[0].as_str().contains("the budget is 30000"), "{refusals:?}");

    drop(keep);
    let home = Home::new(directory.path().join("vault")).unwrap();
    let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    let options = Options::default().allow_weak_kdf().kdf_cost(cheap);
    let keep = Keep::open(home, &SecretText::from("passphrase".to_owned()), &options).unwrap();
    refused(sign(&keep, &blocked, 1_000, 100), "which is blocked");
    refused(sign(&keep, &free, 4_901, 100), "the budget is 25000");
    refused(sign(&keep, &roomy, 9_901, 100), "the budget is 30000");
    assert_eq!(sign(&keep, &free, 4_900, 100), Ok(1));
    assert_eq!(sign(&keep, &roomy, 4_900, 100), Ok(1));
    // Now the owner has nothing left for herself either.
    let own = keep.bitcoin().sign(&regtest(), &payment(&keep, 1, 1), &FeeLimits::default(), false);
    assert_eq!(code(own), ErrorCode::RefusedByPolicy);
}

#[test]
fn dangers_and_strangers_are_refused_before_anything_is_recorded() {
    let (_directory, keep) = vault();
    let secret = SecretInput::parse(&SecretText::from("08".repeat(32))).unwrap();
    keep.keys().import(Name::new("other").unwrap(), secret, None).unwrap();
    let main = WalletSelector { key: Some("main".into()), ..regtest() };
    let other = WalletSelector { key: Some("other".into()), ..regtest() };
    let psbt = {
        let only = |keep: &Keep| keep.bitcoin().addresses(&main, Branch::Receive, 0, 1).unwrap();
        drop(only(&keep));
        let mut psbt = keep_bitcoin::bitcoin::Psbt::from_unsigned_tx(Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn::default()],
            output: vec![TxOut { value: Amount::from_sat(1), script_pubkey: ScriptBuf::new() }],
        })
        .unwrap();
        let address = only(&keep).addresses.remove(0).address;
        let script_pubkey = Address::from_str(&address).unwrap().assume_checked().script_pubkey();
        psbt.inputs[0].witness_utxo = Some(TxOut { value: Amount::from_sat(50_000_000), script_pubkey });
        PsbtFile::new(psbt).unwrap()
    };
    let bitcoin = keep.bitcoin();
    let error = bitcoin.sign(&main, &psbt, &FeeLimits::default(), false).unwrap_err();
    assert!(error.message().contains("the fee is"), "{error}");
    let generous = FeeLimits {
        max_fee_sats: Some(u64::MAX),
        max_fee_rate_sats_per_kvb: Some(u64::MAX),
        ..FeeLimits::default()
    };
    let error = bitcoin.sign(&other, &psbt, &generous, false).unwrap_err();
    assert!(error.message().contains("input 0: no key of ours"), "{error}");
    assert!(bitcoin.sign(&main, &psbt, &generous, false).is_ok());
    let log = keep.audit().list(50).unwrap();
    assert_eq!(log.iter().filter(|entry| entry.action == "sign_psbt").count(), 1);
}

#[test]
fn messages_are_signed_in_the_name_of_our_addresses() {
    let (_directory, keep) = vault();
    let signed = keep.bitcoin().sign_message(&regtest(), None, "hello", &[], false).unwrap();
    let verdict = |message: &str| {
        verify_message(signed.address.as_str(), Network::Regtest, message, &signed.signature).unwrap().verdict
    };
    assert_eq!((verdict("hello").as_str(), verdict("Hello").as_str()), ("valid", "invalid"));
    let stranger = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";
    let refused = keep.bitcoin().sign_message(&regtest(), Some(stranger), "hello", &[], false);
    assert_eq!(code(refused), ErrorCode::NotFound);
}

#[test]
fn a_deleted_key_takes_its_accounts_along() {
    let (_directory, keep) = vault();
    keep.bitcoin().next_addresses(&regtest(), Branch::Receive, 3).unwrap();
    let key = keep.keys().find(None).unwrap();
    keep.keys().delete(&key).unwrap();
    let secret = SecretInput::parse(&SecretText::from("07".repeat(32))).unwrap();
    keep.keys().import(Name::new("main").unwrap(), secret, None).unwrap();
    assert_eq!(keep.bitcoin().descriptor(&regtest()).unwrap().next_receive, 0);
}
