//! Bitcoin transactions of a group: judged as transactions, within the owner's limits, by every vault that signs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

use keep_bitcoin::bitcoin::hashes::Hash as _;
use keep_bitcoin::bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use keep_bitcoin::bitcoin::transaction::Version;
use keep_bitcoin::bitcoin::{
    Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute, consensus,
};
use keep_bitcoin::{Account, Branch, Encoding, Network, PsbtFile, parse_address};
use keep_sdk::frost::{
    Frost, GroupKey, GroupView, ImportOptions, PsbtToSign, ShareForm, StepMessage, Suite, ToSign,
};
use keep_sdk::{Budget, ErrorCode, Home, KdfCost, Keep, Name, Options, SecretText, SpendLimits};

const CHEAP: KdfCost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
const EXPORT: Option<(u32, u8, u8)> = Some((8192, 1, 1));
const BOB: &str = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr";

struct World(tempfile::TempDir);

impl World {
    fn vault(&self, name: &str) -> Keep {
        let home = Home::new(self.0.path().join(name)).unwrap();
        let options = Options::default().allow_weak_kdf().kdf_cost(CHEAP);
        Keep::create(home, &passphrase(), &options).unwrap()
    }
}

fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

/// A payment to Bob from two coins of the group, with change; `salt` makes it another one.
fn payment(group: &GroupView, sats: u64, salt: u8) -> (PsbtToSign, Vec<TxOut>) {
    let descriptor = format!("tr({}/<0;1>/*)", group.xpub.as_deref().unwrap());
    let account = Account::from_descriptor(&descriptor, Network::Mainnet).unwrap();
    let coins: Vec<_> = (0..2).map(|index| account.address(Branch::Receive, index).unwrap()).collect();
    let txout = |script: ScriptBuf, sats| TxOut { value: Amount::from_sat(sats), script_pubkey: script };
    let prevouts: Vec<TxOut> = coins.iter().map(|coin| txout(coin.script().into(), 100_000)).collect();
    let input = |vout: u32| TxIn {
        previous_output: OutPoint { txid: Txid::hash(&[salt]), vout },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    let change = account.address(Branch::Change, 0).unwrap();
    let bob = parse_address(BOB, Network::Mainnet).unwrap().script_pubkey();
    let unsigned = Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![input(0), input(1)],
        output: vec![txout(bob, sats), txout(change.script().into(), 199_000 - sats)],
    };
    let mut psbt = Psbt::from_unsigned_tx(unsigned).unwrap();
    for ((input, prevout), coin) in psbt.inputs.iter_mut().zip(&prevouts).zip(&coins) {
        let (fingerprint, path) = coin.origin();
        input.witness_utxo = Some(prevout.clone());
        input.tap_internal_key = Some(coin.internal_key());
        input.tap_key_origins.insert(coin.internal_key(), (vec![], (fingerprint, path.clone())));
    }
    let (fingerprint, path) = change.origin();
    psbt.outputs[1].tap_internal_key = Some(change.internal_key());
    psbt.outputs[1].tap_key_origins.insert(change.internal_key(), (vec![], (fingerprint, path.clone())));
    let text = String::from_utf8(PsbtFile::new(psbt).unwrap().write_as(Encoding::Base64)).unwrap();
    let psbt = PsbtToSign { group: Some(group.pubkey.clone()), psbt: text, network: Network::Mainnet };
    (psbt, prevouts)
}

/// Every input verifies, by libsecp256k1 alone.
fn verify(transaction: &str, prevouts: &[TxOut]) {
    let transaction: Transaction = consensus::deserialize(&hex::decode(transaction).unwrap()).unwrap();
    let mut cache = SighashCache::new(&transaction);
    for (index, prevout) in prevouts.iter().enumerate() {
        let all = Prevouts::All(prevouts);
        let sighash = cache.taproot_key_spend_signature_hash(index, &all, TapSighashType::Default).unwrap();
        let witness = transaction.input[index].witness.nth(0).unwrap();
        let signature = secp256k1::schnorr::Signature::from_slice(witness).unwrap();
        let key = secp256k1::XOnlyPublicKey::from_slice(&prevout.script_pubkey.as_bytes()[2..]).unwrap();
        let message = secp256k1::Message::from_digest(sighash.to_byte_array());
        secp256k1::SECP256K1.verify_schnorr(&signature, &message, &key).unwrap();
    }
}

fn limits() -> SpendLimits {
    SpendLimits {
        per_transaction_sats: Some(50_000),
        budgets: vec![Budget { sats: 70_000, window_secs: 86_400 }],
        ..SpendLimits::default()
    }
}

#[test]
fn limits_hold_for_a_group() {
    let world = World(tempfile::tempdir().unwrap());
    let keep = world.vault("v");
    let frost = keep.frost();
    let group = frost.generate(None, Suite::Secp256k1Tr, 2, 3).unwrap();
    let sign = |sats, salt| frost.sign_psbt(payment(&group, sats, salt).0, true, vec![]);
    // Without limits, any amount leaves, and any bytes are signed.
    let (psbt, prevouts) = payment(&group, 150_000, 0);
    let view = frost.analyze_psbt(psbt.clone(), None).unwrap();
    assert_eq!(
        (view.transaction.facts.leaving_sats, view.transaction.facts.fee_sats, view.limit),
        (Some(151_000), Some(1_000), None)
    );
    assert_eq!(view.transaction.network, Network::Mainnet);
    let signed = frost.sign_psbt(psbt, true, vec![2, 3]).unwrap();
    assert_eq!((signed.leaving_sats, signed.signatures), (Some(151_000), 2));
    verify(&signed.transaction.unwrap(), &prevouts);
    let raw =
        |len: usize| frost.sign(None, ToSign::Raw("ab".repeat(len)), GroupKey::default(), vec![]).map(|_| ());
    raw(32).unwrap();

    frost.set_limits(None, limits()).unwrap();
    let over = sign(49_001, 1).unwrap_err();
    assert_eq!(over.code(), ErrorCode::RefusedByPolicy);
    assert!(over.message().contains("50001 sats would leave, over the limit of 50000"), "{over}");
    let shown = frost.analyze_psbt(payment(&group, 49_001, 1).0, None).unwrap();
    assert!(shown.limit.unwrap().as_str().contains("over the limit"));
    sign(49_000, 2).unwrap();
    let spent = sign(20_000, 3).unwrap_err();
    assert!(spent.message().contains("21000 sats would leave after 50000 before"), "{spent}");
    assert_eq!(frost.limits(None).unwrap().budgets[0].spent_sats, 50_000);
    sign(19_000, 4).unwrap();
    // Nor is a hash signed that may be that of a transaction.
    assert!(raw(32).unwrap_err().message().contains("may be the hash of a transaction"));
    raw(31).unwrap();
    // What was refused and what was signed is in the log, with amounts and addresses.
    let entries = keep.audit().list(20).unwrap();
    let reasons: Vec<String> = entries
        .iter()
        .filter(|e| e.action == "sign_psbt")
        .map(|e| e.reason.clone().unwrap().to_string())
        .collect();
    assert!(reasons.iter().any(|why| why.contains(&format!("49000 to {BOB}"))), "{reasons:?}");
    assert!(reasons.iter().any(|why| why.contains("over the limit of 50000")), "{reasons:?}");

    let block = SpendLimits { block: vec![BOB.to_owned()], ..SpendLimits::default() };
    frost.set_limits(None, block).unwrap();
    assert!(sign(1_000, 5).unwrap_err().message().contains("which is blocked"));
    frost.set_limits(None, SpendLimits::default()).unwrap();
    sign(1_000, 5).unwrap();
    raw(32).unwrap();
    // An Ed25519 group has no coins.
    frost.generate(Some(Name::new("ed").unwrap()), Suite::Ed25519, 2, 2).unwrap();
    assert!(frost.set_limits(Some("ed"), limits()).is_err());
}

#[test]
fn limits_on_a_key_go_over_to_its_group() {
    let world = World(tempfile::tempdir().unwrap());
    let keep = world.vault("v");
    keep.keys().generate(Name::new("main").unwrap()).unwrap();
    keep.bitcoin().set_limits(None, limits()).unwrap();
    let split = keep.frost().split(Some("main"), None, 2, 3, false).unwrap();
    assert!(!split.original_kept);
    let over = keep.frost().sign_psbt(payment(&split.group, 49_001, 1).0, true, vec![]).unwrap_err();
    assert!(over.message().contains("over the limit of 50000"), "{over}");
}

fn export(from: &Frost, group: &GroupView, index: u16) -> String {
    from.export_share(Some(&group.pubkey), index, ShareForm::Bech32, &passphrase(), EXPORT).unwrap().share
}

/// Two vaults with a share each.
fn apart(world: &World) -> (Keep, Keep, GroupView) {
    let (one, two) = (world.vault("one"), world.vault("two"));
    let group = one.frost().generate(None, Suite::Secp256k1Tr, 2, 2).unwrap();
    let share = export(&one.frost(), &group, 2);
    two.frost().import(share.into(), Some(passphrase()), None, ImportOptions::default()).unwrap();
    one.frost().delete_share(None, 2).unwrap();
    (one, two, group)
}

fn texts(messages: &[StepMessage]) -> Vec<String> {
    messages.iter().map(|message| message.text.clone()).collect()
}

#[test]
fn a_transaction_is_signed_by_vaults_that_each_have_it() {
    let world = World(tempfile::tempdir().unwrap());
    let (one, two, group) = apart(&world);
    let (one, two, this) = (one.frost(), two.frost(), Some(group.pubkey.as_str()));
    let (psbt, prevouts) = payment(&group, 30_000, 1);
    let other = payment(&group, 30_001, 1).0;
    let too_few = one.sign_psbt(psbt.clone(), true, vec![]).unwrap_err();
    assert!(too_few.hint().contains("--interactive"), "{too_few:?}");
    let opened = one.propose_psbt(psbt.clone(), vec![]).unwrap();
    let (proposal, own) = (opened.messages[0].text.clone(), texts(&opened.messages[1..]));
    assert_eq!((proposal.split(' ').count(), opened.missing), (2, 1));
    // Whoever has another transaction sees that it is another one, and gives nothing.
    for refused in [
        two.analyze_psbt(other.clone(), Some(&proposal)).map(|_| ()),
        two.join_psbt(other.clone(), &proposal, vec![]).map(|_| ()),
        two.join_psbt(psbt.clone(), proposal.split(' ').next().unwrap(), vec![]).map(|_| ()),
    ] {
        assert!(refused.unwrap_err().message().contains("another transaction than yours"));
    }
    let swapped: Vec<&str> = proposal.split(' ').rev().collect();
    assert!(two.join_psbt(psbt.clone(), &swapped.join(" "), vec![]).is_err());
    let view = two.analyze_psbt(psbt.clone(), Some(&proposal)).unwrap();
    assert_eq!((view.from, view.transaction.facts.leaving_sats), (Some(1), Some(31_000)));
    let joined = two.join_psbt(psbt.clone(), &proposal, vec![]).unwrap();
    let theirs = texts(&joined.messages);
    let commitments = [own.clone(), theirs.clone()].concat();
    assert_eq!(one.package_psbt(this, &proposal, &own).unwrap().missing, 1);
    let package = one.package_psbt(this, &proposal, &commitments).unwrap().messages[0].text.clone();
    let mut shares = texts(&one.contribute_psbt(psbt.clone(), &proposal, &package, &own).unwrap().messages);
    let second = two.contribute_psbt(psbt.clone(), &proposal, &package, &theirs).unwrap();
    shares.extend(texts(&second.messages));
    let again = two.contribute_psbt(psbt.clone(), &proposal, &package, &theirs).unwrap_err();
    assert!(again.message().contains("no unused nonce"), "{again}");
    let signed = one.finish_psbt(psbt, true, &proposal, &commitments, &shares).unwrap();
    verify(&signed.transaction.unwrap(), &prevouts);
}

#[test]
fn each_vault_judges_for_itself() {
    let world = World(tempfile::tempdir().unwrap());
    let (one, two, group) = apart(&world);
    let (first, second, this) = (one.frost(), two.frost(), Some(group.pubkey.as_str()));
    // One holder has limits, the other has none.
    second.set_limits(None, limits()).unwrap();
    let round = |sats, salt| {
        let psbt = payment(&group, sats, salt).0;
        let opened = first.propose_psbt(psbt.clone(), vec![]).unwrap();
        let (proposal, own) = (opened.messages[0].text.clone(), texts(&opened.messages[1..]));
        let joined = second.join_psbt(psbt.clone(), &proposal, vec![]).unwrap();
        let commitments = [own, texts(&joined.messages)].concat();
        let package = first.package_psbt(this, &proposal, &commitments).unwrap().messages[0].text.clone();
        second.contribute_psbt(psbt, &proposal, &package, &texts(&joined.messages))
    };
    let over = round(60_000, 1).unwrap_err();
    assert_eq!(over.code(), ErrorCode::RefusedByPolicy);
    assert!(over.message().contains("over the limit of 50000"), "{over}");
    round(40_000, 2).unwrap();
    assert!(round(40_000, 3).unwrap_err().message().contains("the budget is 70000"));
    let entries = two.audit().list(20).unwrap();
    let reasons: Vec<String> =
        entries.iter().filter_map(|e| e.reason.as_ref().map(ToString::to_string)).collect();
    assert!(reasons.iter().any(|why| why.ends_with(", signature shares for others")), "{reasons:?}");
    // A bare hash of the same transaction does not get around them.
    let opened = first.propose(this, ToSign::Raw("cd".repeat(32)), GroupKey::default(), vec![]).unwrap();
    let (proposal, own) = (opened.messages[0].text.clone(), texts(&opened.messages[1..]));
    let joined = second.join(this, &proposal, None, vec![]).unwrap();
    let commitments = [own, texts(&joined.messages)].concat();
    let package = first.package(this, &proposal, &commitments).unwrap().messages[0].text.clone();
    let raw = second.contribute(this, &proposal, &package, &texts(&joined.messages)).unwrap_err();
    assert!(raw.message().contains("may be the hash of a transaction"), "{raw}");
}
