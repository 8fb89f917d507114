//! Threshold keys through the facade: made, moved between vaults, used, renewed, repaired; and every misuse refused with
//! its own message.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

mod groups;

use std::collections::BTreeMap;

use keep_sdk::frost::{
    GroupKey, ImportOptions, OwnRelease, PsbtToSign, PublicInput, ShareForm, Suite, ToSign, hash_file,
    verify_file,
};
use keep_sdk::{ErrorCode, EventTemplate, Name, SecretInput};

use groups::*;

#[test]
fn a_group_signs_what_it_is_asked() {
    let world = World::new();
    let keep = world.vault("v");
    let frost = keep.frost();
    for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
        let group = frost.generate(name(suite.as_str()), suite, 2, 3).unwrap();
        assert_eq!((group.threshold, group.shares.clone(), group.epoch), (2, vec![1, 2, 3], 0));
        for message in [b"".as_slice(), b"hello", &[7; 32], &[255; 1000]] {
            let signature = frost.sign(Some(&group.npub), raw(message), plain(), vec![1, 3]).unwrap();
            verified(&group, message, &signature.signature);
            assert_eq!(signature.signers, [1, 3]);
        }
        let all = frost.sign(Some(&group.name), raw(b"all"), plain(), vec![1, 2, 3]).unwrap();
        verified(&group, b"all", &all.signature);
        let few = frost.sign(Some(&group.name), raw(b"one"), plain(), vec![2]).unwrap_err();
        assert!(few.message().contains("the group needs 2"), "{few}");
        let unknown = frost.sign(Some(&group.name), raw(b"x"), plain(), vec![1, 9]).unwrap_err();
        assert_eq!(unknown.message(), "member 9 does not belong to the group");
    }
    let event =
        frost.sign_event(Some("secp256k1-tr"), EventTemplate::new(1, "hi", vec![], 1_700_000_000)).unwrap();
    assert!(event.verify().is_ok());
    assert_eq!(event.pubkey.to_hex(), frost.find(Some("secp256k1-tr")).unwrap().pubkey);
    let wrong = frost.sign_event(Some("ed25519"), EventTemplate::new(1, "hi", vec![], 1)).unwrap_err();
    assert!(wrong.message().contains("Ed25519 group cannot sign Nostr events"), "{wrong}");
    let actions: Vec<String> = keep.audit().list(100).unwrap().into_iter().map(|e| e.action).collect();
    assert_eq!(actions.iter().filter(|action| *action == "frost_sign").count(), 10);
    assert_eq!(actions.iter().filter(|action| *action == "sign_event").count(), 1);
    assert!(keep.audit().verify().is_ok());
}

#[test]
fn children_and_taproot_keys_sign() {
    let world = World::new();
    let frost = world.vault("v").frost();
    // Both parities come up.
    for n in 0..6 {
        let group = frost.generate(name(&format!("g{n}")), Suite::Secp256k1Tr, 2, 3).unwrap();
        assert!(group.xpub.as_deref().unwrap().starts_with("xpub"));
        for tweak in [None, Some("key-path".to_owned()), Some("ab".repeat(32))] {
            let key = GroupKey { path: vec![0, n], tweak };
            let signed = frost.sign(Some(&group.name), raw(&[1; 32]), key, vec![]).unwrap();
            assert_ne!(signed.pubkey, group.pubkey);
            let public =
                secp256k1::XOnlyPublicKey::from_slice(&hex::decode(&signed.pubkey).unwrap()).unwrap();
            let signature =
                secp256k1::schnorr::Signature::from_slice(&hex::decode(&signed.signature).unwrap()).unwrap();
            let message = secp256k1::Message::from_digest([1; 32]);
            secp256k1::SECP256K1.verify_schnorr(&signature, &message, &public).unwrap();
        }
    }
    let hardened = GroupKey { path: vec![1 << 31], tweak: None };
    let fault = frost.sign(Some("g0"), raw(b"x"), hardened, vec![]).unwrap_err();
    assert!(fault.message().contains("hardened"), "{fault}");
}

#[test]
fn a_key_is_split_and_its_original_goes_only_then() {
    let world = World::new();
    let keep = world.vault("v");
    let nsec = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5";
    let input = SecretInput::parse(&nsec.to_owned().into()).unwrap();
    let key = keep.keys().import(Name::new("main").unwrap(), input, None).unwrap();
    let split = keep.frost().split(Some("main"), None, 2, 3, true).unwrap();
    assert!(split.original_kept);
    assert_eq!((split.group.pubkey.as_str(), split.group.name.as_str()), (key.pubkey.as_str(), "main"));
    assert_eq!(keep.keys().list().unwrap().len(), 1);
    // Another split would give shares that do not combine with these.
    let again = keep.frost().split(Some("main"), None, 3, 5, false).unwrap_err();
    assert_eq!(again.code(), ErrorCode::AlreadyExists);
    // The same one goes on where it was interrupted.
    let gone = keep.frost().split(Some("main"), None, 2, 3, false).unwrap();
    assert!(!gone.original_kept);
    assert!(keep.keys().list().unwrap().is_empty());
    let back = keep.frost().recover(Some("main")).unwrap();
    assert_eq!(back.secret.expose(), nsec);
}

#[test]
fn shares_move_between_vaults_and_misuse_has_its_own_message() {
    let world = World::new();
    let (dealer, other) = (world.vault("dealer"), world.vault("other"));
    let group = dealer.frost().generate(name("family"), Suite::Secp256k1Tr, 2, 3).unwrap();
    let share = export(&dealer.frost(), &group, 1);
    let says = |text: &str, passphrase: &str| {
        let passphrase = Some(passphrase.to_owned().into());
        other
            .frost()
            .import(text.to_owned().into(), passphrase, None, ImportOptions::default())
            .unwrap_err()
            .message()
            .to_owned()
    };
    assert_eq!(says(&share, "wrong"), "the passphrase does not open this share");
    assert!(says(&share[..share.len() - 9], "battery staple").contains("without typing errors"));
    let mut edited = share.clone().into_bytes();
    let at = edited.len() / 2;
    edited[at] = if edited[at] == b'q' { b'p' } else { b'q' };
    assert!(says(&String::from_utf8(edited).unwrap(), "battery staple").contains("without typing errors"));
    let json =
        dealer.frost().export_share(None, 2, ShareForm::Json, &share_passphrase(), EXPORT).unwrap().share;
    let bent = json.replace("\"epoch\": 0", "\"epoch\": 7");
    assert_ne!(bent, json);
    assert_eq!(says(&bent, "battery staple"), "this share was edited or damaged after it was exported");
    assert!(says("hello", "x").contains("no share or group that Keep reads"));

    // In one case, broken into lines, and both shares in one text.
    let wrapped: String = share
        .to_uppercase()
        .as_bytes()
        .chunks(64)
        .flat_map(|c| [c, b"\n"].concat())
        .map(char::from)
        .collect();
    let both = import(&other.frost(), &format!("{wrapped}\n{json}")).unwrap();
    assert_eq!((both.shares.clone(), both.name.as_str()), (vec![1, 2], "moved"));
    let signature = other.frost().sign(None, raw(b"moved"), plain(), vec![]).unwrap();
    verified(&group, b"moved", &signature.signature);
    // Once more is the same as once.
    assert_eq!(import(&other.frost(), &share).unwrap().shares, [1, 2]);

    let missing =
        dealer.frost().export_share(None, 9, ShareForm::Bech32, &share_passphrase(), EXPORT).unwrap_err();
    assert_eq!(missing.message(), "member 9 does not belong to the group");
    dealer.frost().delete_share(None, 1).unwrap();
    let gone =
        dealer.frost().export_share(None, 1, ShareForm::Bech32, &share_passphrase(), EXPORT).unwrap_err();
    assert_eq!(gone.message(), "the share of member 1 is not in this vault");
}

#[test]
fn an_old_epoch_is_refused_by_whoever_saw_the_refresh() {
    let world = World::new();
    let keep = world.vault("v");
    let frost = keep.frost();
    let group = frost.generate(name("family"), Suite::Secp256k1Tr, 2, 4).unwrap();
    let old = export(&frost, &group, 1);
    let next = frost.refresh(None, vec![4]).unwrap();
    assert_eq!(
        (next.epoch, next.shares.clone(), next.pubkey.clone()),
        (1, vec![1, 2, 3], group.pubkey.clone())
    );
    let refused = import(&frost, &old).unwrap_err();
    assert_eq!(refused.message(), "this is of epoch 0, the group is at epoch 1");
    let signature = frost.sign(None, raw(b"after"), plain(), vec![2, 3]).unwrap();
    verified(&group, b"after", &signature.signature);
    let too_few = frost.refresh(None, vec![1, 2]).unwrap_err();
    assert!(too_few.message().contains("1 signers, but the group needs 2"), "{too_few}");

    // A vault with an old share takes the new one only when told to, and forgets the old ones then.
    let other = world.vault("other");
    assert_eq!(import(&other.frost(), &old).unwrap().epoch, 0);
    let new = export(&frost, &next, 2);
    let newer = import(&other.frost(), &new).unwrap_err();
    assert!(newer.hint().contains("--replace"), "{newer:?}");
    let replaced = other.frost().import(new.into(), Some(share_passphrase()), None, REPLACE).unwrap();
    assert_eq!(replaced.proof.as_deref(), Some("endorsed"));
    let replaced = replaced.group;
    assert_eq!((replaced.epoch, replaced.shares), (1, vec![2]));
    assert_eq!(import(&other.frost(), &old).unwrap_err().message(), refused.message());
}

#[test]
fn groups_of_other_software_sign_or_must_be_re_shared() {
    let world = World::new();
    let frost = world.vault("v").frost();
    let vectors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../keep-frost/tests/vectors");
    let file =
        std::fs::read_to_string(vectors.join("bip445-frost-signing/sign_verify_vectors.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&file).unwrap();
    let material = file["test_groups"].as_array().unwrap().iter().find(|g| g["t"] == 2).unwrap();
    let kept = ["t", "n", "thresh_pk", "pubshares", "secshares"];
    let fields: serde_json::Map<String, serde_json::Value> =
        kept.iter().map(|field| ((*field).to_owned(), material[*field].clone())).collect();
    let text = serde_json::to_string(&fields).unwrap();
    let view = frost.import(text.into(), None, name("bip445"), ImportOptions::default()).unwrap();
    assert_eq!(view.imported[..2], [1, 2]);
    let signature = frost.sign(Some("bip445"), raw(b"hello"), plain(), vec![]).unwrap();
    verified(&view.group, b"hello", &signature.signature);
    // No roster, so nobody could tell whose messages these are.
    let lonely = frost.propose(Some("bip445"), raw(b"x"), plain(), vec![1]).unwrap_err();
    assert!(lonely.message().contains("no device key"), "{lonely}");
    let rotated = frost.rotate_device(Some("bip445"), 1).unwrap();
    assert!(rotated.notice.is_none());
    assert!(frost.propose(Some("bip445"), raw(b"x"), plain(), vec![1]).is_ok());
}

#[test]
fn a_file_is_signed_in_two_rounds_that_are_two_decisions() {
    let world = World::new();
    let keep = world.vault("v");
    let frost = keep.frost();
    let group = frost.generate(name("release"), Suite::Ed25519, 2, 3).unwrap();
    let content = b"release 1.0\n".repeat(100_000);
    let mut seen = 0;
    let digest = hash_file(content.as_slice(), |bytes| seen += bytes).unwrap();
    assert_eq!(seen, content.len() as u64);
    let own = OwnRelease { digest: digest.clone(), trusted_comment: "v1".to_owned() };
    let signed = frost.sign_file(None, own, Some("for people".to_owned())).unwrap();
    let key = PublicInput::parse(group.minisign.as_deref().unwrap()).unwrap();
    let view = verify_file(&key, &digest, &signed.minisig).unwrap();
    assert_eq!(view.trusted_comment.as_deref(), Some("v1"));
    let edited = signed.minisig.replace("trusted comment: v1", "trusted comment: v2");
    assert_eq!(verify_file(&key, &digest, &edited).unwrap_err().message(), "the trusted comment was changed");
    let entries = keep.audit().list(2).unwrap();
    let reasons: Vec<String> = entries.iter().map(|e| e.reason.as_ref().unwrap().to_string()).collect();
    assert!(reasons[0].starts_with("file with BLAKE2b-512"), "{reasons:?}");
    assert!(reasons[1].starts_with("trusted comment: v1"), "{reasons:?}");
    frost.generate(name("nostr"), Suite::Secp256k1Tr, 2, 2).unwrap();
    let own = OwnRelease { digest, trusted_comment: "v1".to_owned() };
    let wrong = frost.sign_file(Some("nostr"), own, None).unwrap_err();
    assert!(wrong.message().contains("Ed25519"), "{wrong}");
}

#[test]
fn vaults_sign_together_and_a_nonce_is_used_once() {
    let world = World::new();
    for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
        let world = World(tempfile::tempdir_in(world.0.path()).unwrap());
        let (vaults, group) = scattered(&world, suite);
        let (one, three) = (vaults[0].frost(), vaults[2].frost());
        let this = Some(group.pubkey.as_str());
        let opened = one.propose(this, raw(b"together"), plain(), vec![]).unwrap();
        assert_eq!(opened.missing, 1);
        let proposal = opened.messages[0].text.clone();
        let shown = three.inspect(this, &proposal).unwrap();
        assert_eq!((shown.from, shown.kind.as_str()), (1, "raw"));
        let joined = three.join(this, &proposal, None, vec![]).unwrap();
        let own = texts(&opened.messages[1..]);
        let mut commitments = own.clone();
        assert_eq!(one.package(this, &proposal, &commitments).unwrap().missing, 1);
        commitments.extend(texts(&joined.messages));
        let package = one.package(this, &proposal, &commitments).unwrap().messages[0].text.clone();
        let theirs = texts(&joined.messages);
        let mut shares = texts(&one.contribute(this, &proposal, &package, &own).unwrap().messages);
        let missing = one.finish(this, &proposal, &commitments, &shares).unwrap_err();
        assert!(missing.message().contains("share of member 3 is missing"), "{missing}");
        shares.extend(texts(&three.contribute(this, &proposal, &package, &theirs).unwrap().messages));
        // The same nonce twice: it is gone from memory, and burnt.
        let again = three.contribute(this, &proposal, &package, &theirs).unwrap_err();
        assert!(again.message().contains("no unused nonce has this commitment"), "{again}");
        let signature = one.finish(this, &proposal, &commitments, &shares).unwrap();
        verified(&group, b"together", &signature.signature);

        // A proposal of somebody else, an edited one, one of another session.
        let edited = proposal.replacen("A", "B", 3);
        assert!(three.inspect(this, &edited).is_err());
        let foreign = three.propose(this, raw(b"other"), plain(), vec![]).unwrap();
        let mixed = one.package(this, &foreign.messages[0].text, &commitments).unwrap_err();
        assert_eq!(mixed.message(), "this message belongs to another session");
        // Reopened, the vault has no nonces: the session starts again.
        let joined = three.join(this, &proposal, None, vec![]).unwrap();
        drop((one, three, vaults));
        let three = world.vault("v3").frost();
        let theirs = texts(&joined.messages);
        let lost = three.contribute(this, &proposal, &package, &theirs).unwrap_err();
        assert!(lost.message().contains("no unused nonce has this commitment"), "{lost}");
    }
}

#[test]
fn a_release_is_signed_only_by_those_who_hashed_it() {
    let world = World::new();
    let (vaults, group) = scattered(&world, Suite::Ed25519);
    let (one, two) = (vaults[0].frost(), vaults[1].frost());
    let this = Some(group.pubkey.as_str());
    let digest = hash_file(b"my file".as_slice(), |_| {}).unwrap();
    let theirs = hash_file(b"their file".as_slice(), |_| {}).unwrap();
    let opened = one.propose(this, ToSign::FileDigest(theirs.clone()), plain(), vec![]).unwrap();
    let proposal = &opened.messages[0].text;
    let blind = two.join(this, proposal, None, vec![]).unwrap_err();
    assert!(blind.hint().contains("hashes your own copy"), "{blind:?}");
    let own = |digest: &str| Some(OwnRelease { digest: digest.to_owned(), trusted_comment: "v1".into() });
    let other = two.join(this, proposal, own(&digest), vec![]).unwrap_err();
    assert!(other.message().contains("another file than yours"), "{other}");
    assert!(two.join(this, proposal, own(&theirs), vec![]).is_ok());
}

#[test]
fn device_keys_are_rotated_at_first_contact() {
    let world = World::new();
    let (vaults, group) = scattered(&world, Suite::Secp256k1Tr);
    let this = Some(group.pubkey.as_str());
    let rotated = vaults[0].frost().rotate_device(this, 1).unwrap();
    let notice = rotated.notice.unwrap();
    let proposal =
        vaults[0].frost().propose(this, raw(b"x"), plain(), vec![]).unwrap().messages[0].text.clone();
    let unknown = vaults[1].frost().inspect(this, &proposal).unwrap_err();
    assert!(unknown.message().contains("not signed by member 1"), "{unknown}");
    vaults[1].frost().take_devices(this, vec![notice.clone()], BTreeMap::new()).unwrap();
    assert!(vaults[1].frost().inspect(this, &proposal).is_ok());
    // It is signed with the old key, so nobody takes it twice, and nobody else's.
    assert!(vaults[1].frost().take_devices(this, vec![notice], BTreeMap::new()).is_err());
    let own = BTreeMap::from([(2, rotated.device)]);
    let refused = vaults[1].frost().take_devices(this, vec![], own).unwrap_err();
    assert!(refused.message().contains("is in this vault"), "{refused}");
}

#[test]
fn a_group_spends_from_its_xpub() {
    use keep_bitcoin::bitcoin::absolute::LockTime;
    use keep_bitcoin::bitcoin::hashes::Hash as _;
    use keep_bitcoin::bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
    use keep_bitcoin::bitcoin::transaction::Version;
    use keep_bitcoin::bitcoin::{
        Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, consensus,
    };
    use keep_bitcoin::{Account, Branch, Encoding, Network, PsbtFile};

    let world = World::new();
    let keep = world.vault("v");
    let frost = keep.frost();
    // Both parities come up.
    for n in 0..4_u8 {
        let group = frost.generate(name(&format!("g{n}")), Suite::Secp256k1Tr, 2, 3).unwrap();
        let descriptor = format!("tr({}/<0;1>/*)", group.xpub.as_deref().unwrap());
        let account = Account::from_descriptor(&descriptor, Network::Mainnet).unwrap();
        let from: Vec<_> = (0..2).map(|index| account.address(Branch::Receive, index).unwrap()).collect();
        let txout = |script: ScriptBuf, sats| TxOut { value: Amount::from_sat(sats), script_pubkey: script };
        let prevouts: Vec<TxOut> =
            from.iter().map(|address| txout(address.script().into(), 100_000)).collect();
        let input = |vout: u32| TxIn {
            previous_output: OutPoint { txid: Txid::hash(&[n]), vout },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        };
        let to = account.address(Branch::Change, 0).unwrap();
        let unsigned = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input(0), input(1)],
            output: vec![txout(to.script().into(), 199_000)],
        };
        let mut psbt = Psbt::from_unsigned_tx(unsigned).unwrap();
        for ((input, prevout), address) in psbt.inputs.iter_mut().zip(&prevouts).zip(&from) {
            let (fingerprint, path) = address.origin();
            input.witness_utxo = Some(prevout.clone());
            input.tap_internal_key = Some(address.internal_key());
            input.tap_key_origins.insert(address.internal_key(), (vec![], (fingerprint, path.clone())));
        }
        let text = PsbtFile::new(psbt).unwrap().write_as(Encoding::Base64);
        let text = String::from_utf8(text).unwrap();
        let psbt = |group: &str| PsbtToSign {
            group: Some(group.to_owned()),
            psbt: text.clone(),
            network: Network::Mainnet,
        };
        let signed = frost.sign_psbt(psbt(&group.name), true, vec![]).unwrap();
        assert_eq!((signed.signatures, signed.complete), (2, true));
        let raw = hex::decode(signed.transaction.unwrap()).unwrap();
        let transaction: Transaction = consensus::deserialize(&raw).unwrap();
        let mut cache = SighashCache::new(&transaction);
        for (index, prevout) in prevouts.iter().enumerate() {
            let all = Prevouts::All(&prevouts);
            let sighash =
                cache.taproot_key_spend_signature_hash(index, &all, TapSighashType::Default).unwrap();
            let witness = transaction.input[index].witness.nth(0).unwrap();
            let signature = secp256k1::schnorr::Signature::from_slice(witness).unwrap();
            let key = &prevout.script_pubkey.as_bytes()[2..];
            let key = secp256k1::XOnlyPublicKey::from_slice(key).unwrap();
            let message = secp256k1::Message::from_digest(sighash.to_byte_array());
            secp256k1::SECP256K1.verify_schnorr(&signature, &message, &key).unwrap();
        }
        let other = frost.generate(name(&format!("other{n}")), Suite::Secp256k1Tr, 2, 2).unwrap();
        let foreign = frost.sign_psbt(psbt(&other.name), false, vec![]).unwrap_err();
        assert_ne!(foreign.code(), ErrorCode::Bug, "{foreign}");
    }
}
