//! Backups, and vaults out of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forged;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keep_sdk::agent::{Asks, Preset, SessionScope};
use keep_sdk::frost::Suite;
use keep_sdk::{
    BackupKey, BackupLock, BackupNeeds, ErrorCode, EventTemplate, GrantTerms, Headless, Home, Keep, KeyPath,
    Limits, LockedBackup, Name, Options, Permissions, Permitted, RelayUrl, RestoreTarget, SecretText,
    SpendLimits, Timestamp, new_backup_passphrase, restore_backup, verify_backup,
};
use keep_testing::clock::FakeClock;
use serde_json::Value;
use sha2::{Digest, Sha256};

use forged::*;

const CHEAP: keep_sdk::KdfCost = keep_sdk::KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };

fn text(text: &str) -> SecretText {
    SecretText::from(text.to_owned())
}

fn options() -> Options {
    Options::default().allow_weak_kdf().kdf_cost(CHEAP)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A vault with a key, a mnemonic key, a stored secret and a signature.
fn vault(at: &Path) -> Keep {
    let keep = Keep::create(Home::new(at).unwrap(), &text("old passphrase"), &options()).unwrap();
    let key = keep.keys().generate(name("main")).unwrap();
    keep.keys().generate_mnemonic(name("words"), 12, KeyPath::default()).unwrap();
    keep.secrets().add(name("token"), text("s3cr3t value"), Some("of the API".into()), false).unwrap();
    keep.sign().event(&key, EventTemplate::new(1, "hello", vec![], 1_700_000_000)).unwrap();
    keep
}

fn locked(file: &[u8]) -> LockedBackup<&[u8]> {
    LockedBackup::read(file).unwrap()
}

fn target(at: &Path) -> RestoreTarget {
    RestoreTarget { home: Home::new(at).unwrap(), passphrase: text("new passphrase"), take_over: false }
}

#[test]
fn everything_comes_back_in_a_vault_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let keep = vault(&dir.path().join("old"));
    let file = keep.backups().make(BackupLock::Passphrase(text("backup words"))).unwrap();
    assert_eq!((file.summary.keys, file.summary.secrets), (2, 1));
    let bytes = file.bytes().unwrap();
    assert_eq!(locked(&bytes).needs(), BackupNeeds::Passphrase);
    let key = BackupKey::Passphrase(text("backup words"));
    assert_eq!(verify_backup(locked(&bytes), &key).unwrap(), file.summary);

    let place = dir.path().join("new");
    let restored = restore_backup(locked(&bytes), &key, &target(&place), &options()).unwrap();
    assert_ne!(restored.vault, file.summary.vault);
    assert_eq!(restored.from, file.summary);
    let new = Keep::open(Home::new(&place).unwrap(), &text("new passphrase"), &options()).unwrap();
    assert!(new.integrity().is_intact());
    let (before, after) = (keep.keys().list().unwrap(), new.keys().list().unwrap());
    let public = |keys: &[keep_sdk::KeyView]| keys.iter().map(|key| key.pubkey.clone()).collect::<Vec<_>>();
    assert_eq!(public(&before), public(&after));
    for (old, new_key) in before.iter().zip(&after) {
        let nsec = |keep: &Keep, key| keep.keys().export_nsec(key).unwrap().expose().to_owned();
        assert_eq!(nsec(&keep, old), nsec(&new, new_key));
    }
    let words = |keep: &Keep| {
        let key = keep.keys().find(Some("words")).unwrap();
        keep.keys().export_mnemonic(&key).unwrap().mnemonic.expose().to_owned()
    };
    assert_eq!(words(&keep), words(&new));
    assert_eq!(new.secrets().get("token").unwrap().secret.expose(), "s3cr3t value");
    assert_eq!(new.audit().verify().unwrap().entries, after_backup_entries(&new));
    // Names stay unique, and new things can be made.
    assert_eq!(new.keys().generate(name("main")).unwrap_err().code(), ErrorCode::AlreadyExists);
    new.keys().generate(name("another")).unwrap();
    assert!(!dir.path().join(".new.restoring").exists());
}

fn after_backup_entries(keep: &Keep) -> u64 {
    keep.audit().verify().unwrap().entries
}

#[test]
fn nothing_is_overwritten_and_a_wrong_key_or_byte_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let keep = vault(&dir.path().join("old"));
    let passphrase = new_backup_passphrase().unwrap();
    assert_eq!(passphrase.expose().split('-').count(), 12);
    let lock = BackupLock::Passphrase(text(passphrase.expose()));
    let bytes = keep.backups().make(lock).unwrap().bytes().unwrap();
    let key = BackupKey::Passphrase(passphrase);
    let place = dir.path().join("new");

    let refused = |bytes: &[u8], key: &BackupKey, at: &Path| {
        restore_backup(locked(bytes), key, &target(at), &options()).unwrap_err().code()
    };
    assert_eq!(refused(&bytes, &BackupKey::Passphrase(text("wrong")), &place), ErrorCode::WrongPassphrase);
    let mut bad = bytes.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    assert_eq!(refused(&bad, &key, &place), ErrorCode::InvalidPayload);
    assert!(!place.exists());
    assert_eq!(refused(&bytes, &key, &dir.path().join("old")), ErrorCode::AlreadyExists);
    std::fs::write(&place, "a file").unwrap();
    assert_eq!(refused(&bytes, &key, &place), ErrorCode::AlreadyExists);
    std::fs::remove_file(&place).unwrap();
    // What an interrupted attempt left is in nobody's way.
    std::fs::create_dir(dir.path().join(".new.restoring")).unwrap();
    std::fs::write(dir.path().join(".new.restoring/keep.db"), "half").unwrap();
    restore_backup(locked(&bytes), &key, &target(&place), &options()).unwrap();
    Keep::open(Home::new(&place).unwrap(), &text("new passphrase"), &options()).unwrap();
}

/// A disk that takes so many bytes and no more.
struct Disk {
    room: usize,
    holds: Vec<u8>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.holds.len() + bytes.len() > self.room {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.holds.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A recipient of these tests.
const RECIPIENT: &str = "age1n72txnccwnne8udnfl9mepwucxnm6zren6nwe45f8tqra6cmyqvsrwtdxk";

#[test]
fn a_backup_goes_where_it_is_written_and_is_whole_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let keep = vault(&dir.path().join("old"));
    let lock = || BackupLock::Passphrase(text("backup words"));
    let key = BackupKey::Passphrase(text("backup words"));
    let mut disk = Disk { room: 1 << 20, holds: Vec::new() };
    let summary = keep.backups().write(lock(), &mut disk).unwrap();
    assert_eq!(verify_backup(locked(&disk.holds), &key).unwrap(), summary);
    let whole = disk.holds.len();
    for room in [0, 100, 66_000, whole - 1] {
        let mut disk = Disk { room, holds: Vec::new() };
        let to = BackupLock::Recipients(vec![RECIPIENT.to_owned()]);
        let lock = if room == whole - 1 { lock() } else { to };
        let fault = keep.backups().write(lock, &mut disk).unwrap_err();
        assert_eq!(fault.code(), ErrorCode::StorageFull, "{room}: {fault}");
        let opened = LockedBackup::read(disk.holds.as_slice()).and_then(|file| verify_backup(file, &key));
        assert!(opened.is_err());
    }
    assert!(keep.integrity().is_intact());
}

/// A stock `age` opens a backup to JSON with every key in clear. Skipped, by name, where there is none.
#[test]
fn a_stock_age_opens_a_backup_to_readable_keys() {
    use std::process::Command;
    let Ok(made) = Command::new("age-keygen").output() else {
        eprintln!("skipped a_stock_age_opens_a_backup_to_readable_keys: age is not installed");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let keep = vault(&dir.path().join("old"));
    let identity = String::from_utf8(made.stdout).unwrap();
    let recipient = identity.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    let file = keep.backups().make(BackupLock::Recipients(vec![recipient.to_owned()])).unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("key"), &identity).unwrap();
    std::fs::write(path("backup.age"), file.bytes().unwrap()).unwrap();
    let opened =
        Command::new("age").arg("-d").arg("-i").arg(path("key")).arg(path("backup.age")).output().unwrap();
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    let json: serde_json::Value = serde_json::from_slice(&opened.stdout).unwrap();
    let main = keep.keys().find(Some("main")).unwrap();
    let shown = json["keys"].as_array().unwrap().iter().find(|key| key["name"] == "main").unwrap();
    assert_eq!(shown["nsec"], keep.keys().export_nsec(&main).unwrap().expose());
    assert_eq!(json["secrets"][0]["secret"], "s3cr3t value");
    let key = BackupKey::Identities(text(&identity));
    assert_eq!(verify_backup(locked(&file.bytes().unwrap()), &key).unwrap().keys, 2);
}

fn identity() -> BackupKey {
    BackupKey::Identities(text(IDENTITY))
}

fn made(keep: &Keep) -> Vec<u8> {
    keep.backups().make(BackupLock::Recipients(vec![RECIPIENT.to_owned()])).unwrap().bytes().unwrap()
}

/// What is authentic, and is no whole backup all the same.
#[test]
fn what_does_not_belong_together_is_refused_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let keep = vault(&dir.path().join("old"));
    let bytes = made(&keep);
    let key = identity();
    let place = dir.path().join("new");
    let expect = |what: &str, document: &str, code: ErrorCode| {
        let file = sealed(document.as_bytes());
        assert_eq!(verify_backup(locked(&file), &key).unwrap_err().code(), code, "verify: {what}");
        let fault = restore_backup(locked(&file), &key, &target(&place), &options()).unwrap_err();
        assert_eq!(fault.code(), code, "restore: {what}: {fault}");
        assert!(!place.exists() && !dir.path().join(".new.restoring").exists(), "{what}");
    };
    let changed = |change: &dyn Fn(&mut Parts)| {
        let mut parts = Parts::of(&bytes);
        change(&mut parts);
        parts.text()
    };
    let (no_backup, damaged) = (ErrorCode::InvalidPayload, ErrorCode::Integrity);
    expect("another format", &changed(&|parts| *parts.member("format") = "x".into()), no_backup);
    let newer = changed(&|parts| *parts.member("version") = 2.into());
    expect("a newer version", &newer, ErrorCode::FormatTooNew);
    expect("no head", &changed(&|parts| drop(parts.members.pop())), no_backup);
    expect("two heads", &changed(&|parts| parts.members.push(parts.members[4].clone())), no_backup);
    expect("another revision", &changed(&|parts| parts.member("vault")["revision"] = 1.into()), damaged);
    expect("another order", &changed(&|parts| parts.records.reverse()), damaged);
    let doubled = changed(&|parts| parts.records.insert(1, parts.records[0].clone()));
    expect("a record twice", &doubled, damaged);
    for kind in ["secrets", "audit"] {
        for at in Parts::of(&bytes).of_kind(kind) {
            // The audit key is missed by nobody: the log of this vault was never cut.
            let gone = changed(&|parts| drop(parts.records.remove(at)));
            match verify_backup(locked(&sealed(gone.as_bytes())), &key) {
                Ok(_) => assert_eq!(kind, "secrets"),
                Err(fault) => assert_eq!(fault.code(), damaged, "without record {at} of {kind}"),
            }
        }
    }
    let swapped = changed(&|parts| {
        let keys = parts.of_kind("keys");
        let ids = [&parts.records[keys[0]]["id"], &parts.records[keys[1]]["id"]];
        let secret = |id: &Value| {
            parts.of_kind("secrets").into_iter().find(|&at| parts.records[at]["id"] == *id).unwrap()
        };
        let [one, other] = ids.map(secret);
        let cbor = parts.records[one]["cbor"].clone();
        parts.records[one]["cbor"] = parts.records[other]["cbor"].clone();
        parts.records[other]["cbor"] = cbor;
    });
    expect("the secrets of two keys changed places", &swapped, damaged);
    let whole = Parts::of(&bytes).text();
    expect("something behind it", &format!("{whole} x"), no_backup);
    for cut in [0, 1, 40, whole.len() / 2, whole.len() - 1] {
        expect(&format!("cut to {cut}"), &whole[..cut], no_backup);
    }
    // What is not known is passed over, wherever it stands.
    let open = whole.trim_end_matches([' ', '}']);
    let more =
        format!("{open}, \"later\": [{{\"a\": \"]}}\"}}] }}").replacen('{', "{\"new\": {\"x\": [1, 2]},", 1);
    let summary = verify_backup(locked(&sealed(more.as_bytes())), &key).unwrap();
    assert_eq!((summary.keys, summary.secrets), (2, 1));
    restore_backup(locked(&sealed(more.as_bytes())), &key, &target(&place), &options()).unwrap();
}

/// Whoever knows the key of a backup can make one that opens. What Keep would never have written is refused all the same, by
/// checking it as by restoring it.
#[test]
fn what_somebody_made_up_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let keep = vault(&dir.path().join("old"));
    let bytes = made(&keep);
    let (key, around) = (identity(), dir.path().join("around"));
    let expect = |what: &str, code: ErrorCode, change: &dyn Fn(&mut Parts)| {
        let mut parts = Parts::of(&bytes);
        change(&mut parts);
        let file = sealed(parts.text().as_bytes());
        assert_eq!(verify_backup(locked(&file), &key).unwrap_err().code(), code, "verify: {what}");
        let target = target(&around.join("of/new"));
        let fault = restore_backup(locked(&file), &key, &target, &options()).unwrap_err();
        assert_eq!(fault.code(), code, "restore: {what}: {fault}");
        assert!(!around.exists(), "{what}");
    };
    let damaged = ErrorCode::Integrity;
    expect("keys in each other's places", damaged, &|parts| parts.swap("keys", &["cbor", "name_index"]));
    expect("keys under each other's names", damaged, &|parts| parts.swap("keys", &["name_index"]));
    expect("secrets under each other's keys", damaged, &|parts| parts.swap("secrets", &["name_index"]));
    let of = |mark: fn(&mut Mark)| {
        move |parts: &mut Parts| {
            parts.change_head(|head| {
                let first = Mark { base: [0; 32], next: head.audit.first_seq, hash: [0; 32] };
                mark(head.log.get_or_insert(first));
            });
        }
    };
    expect("segments that end in the middle of a piece", damaged, &of(|mark| mark.next += 1_000));
    expect("segments that end otherwise", damaged, &of(|mark| mark.hash[0] ^= 1));
    expect("the end of time", damaged, &|parts| parts.change_head(|head| head.max_time = u64::MAX));
    expect("a later kind", ErrorCode::FormatTooNew, &|parts| parts.insert(200, &[0x80]));
    expect("a grant that is none", damaged, &|parts| parts.insert(4, &[0x80]));
    let kept = [&[0x81, 0x82, 0x50][..], &[7; 16], &[0x43], b"\0{}"].concat();
    let later = u64::from(u32::MAX).to_be_bytes();
    let at = |revision: [u8; 8]| <[u8; 16]>::try_from([[0; 8], revision].concat()).unwrap();
    expect("what a later commit keeps", damaged, &|parts| parts.insert_at(17, &at(later), &kept));
    expect("what is kept nowhere", damaged, &|parts| parts.insert_at(17, &[1; 16], &kept));
    expect("what no commit keeps", damaged, &|parts| parts.insert(17, &[0x82, 0x01]));
    let bundle = |records: &[&[u8]]| {
        let head = [0x80 + u8::try_from(records.len()).unwrap()];
        let all = records
            .iter()
            .map(|record| [&[0x82, 0x50][..], &[7; 16], &[0x58, record.len() as u8], record].concat());
        [&head[..], &all.collect::<Vec<_>>().concat()].concat()
    };
    // A request as it should be, but for its place.
    let request = [
        &[0xa8, 0x00, 0x58, 0x20][..],
        &[1; 32],
        &[0x01, 0x58, 0x20],
        &[2; 32],
        &[0x02, 0x50],
        &[3; 16],
        &[0x03, 0x01, 0x04, 0x40, 0x05, 0x01, 0x06, 0x01, 0x07, 0x01],
    ]
    .concat();
    expect("requests of a later commit", damaged, &|parts| parts.insert_at(18, &at(later), &bundle(&[])));
    expect("requests of no commit", damaged, &|parts| parts.insert_at(18, &[1; 16], &bundle(&[])));
    expect("no bundle", damaged, &|parts| parts.insert(18, &[0x82, 0x01]));
    expect("a bundled request that is none", damaged, &|parts| parts.insert(18, &bundle(&[&[0x80]])));
    expect("a bundled request elsewhere", damaged, &|parts| parts.insert(18, &bundle(&[&request])));
    // What changes nothing is no obstacle, nor is what a commit keeps of requests that were not answered.
    let mut parts = Parts::of(&bytes);
    parts.change_head(|_| ());
    parts.insert_at(17, &at(1_u64.to_be_bytes()), &kept);
    parts.insert_at(18, &at(1_u64.to_be_bytes()), &bundle(&[]));
    let file = sealed(parts.text().as_bytes());
    let whole = restore_backup(locked(&file), &key, &target(&around.join("of/new")), &options()).unwrap();
    assert_eq!((whole.from.keys, whole.from.secrets), (2, 1));
}

/// A vault with something of nearly every kind.
fn full_vault(at: &Path) -> Keep {
    let keep = vault(at);
    let key = keep.keys().find(Some("main")).unwrap();
    let relays: Vec<RelayUrl> = vec!["wss://relay.example".parse().unwrap()];
    keep.bunker(Arc::new(Headless)).offer_named(&key, &relays, "social").unwrap();
    let grant = GrantTerms {
        client: key.npub.clone(),
        key: Some("main".to_owned()),
        name: None,
        permitted: Some(Permitted::Methods {
            permissions: Permissions::parse("sign_event").unwrap(),
            auto_approve: vec![1],
        }),
        duration: None,
        unlimited: false,
        limits: Limits::default(),
        suspended: None,
    };
    keep.nip46().grant(grant).unwrap();
    keep.agents().create("bot", Some("main"), SessionScope::of(Preset::Nostr), Asks::Client).unwrap();
    let spending = SpendLimits { per_transaction_sats: Some(1), ..SpendLimits::default() };
    keep.bitcoin().set_limits(Some("main"), spending).unwrap();
    keep.policies().add_person("bob").unwrap();
    keep.frost().generate(Some(name("ours")), Suite::Ed25519, 2, 2).unwrap();
    keep
}

/// What lies where nobody looks for it, does not decode, or counts beyond where counting ends, would come back and fail later.
#[test]
fn what_would_be_missed_or_fail_later_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let keep = full_vault(&dir.path().join("old"));
    let bytes = made(&keep);
    let (key, place) = (identity(), dir.path().join("new"));
    let verified = |change: &dyn Fn(&mut Parts)| {
        let mut parts = Parts::of(&bytes);
        change(&mut parts);
        let file = sealed(parts.text().as_bytes());
        verify_backup(locked(&file), &key).map(|_| ()).map_err(|fault| (fault.code(), file))
    };
    let expect = |what: &str, change: &dyn Fn(&mut Parts)| {
        let Err((code, file)) = verified(change) else { panic!("{what} was not missed") };
        assert_eq!(code, ErrorCode::Integrity, "verify: {what}");
        let fault = restore_backup(locked(&file), &key, &target(&place), &options()).unwrap_err();
        assert_eq!(fault.code(), ErrorCode::Integrity, "restore: {what}: {fault}");
        assert!(!place.exists(), "{what}");
    };
    for kind in ["endpoints", "grants", "groups", "policies", "sessions", "wallets"] {
        expect(kind, &|parts| parts.move_away(kind));
    }
    for collection in 4..=16 {
        expect(&format!("a record of collection {collection} that is none"), &|parts| {
            parts.insert(collection, &[0x80])
        });
    }
    expect("an unknown setting", &|parts| parts.insert_at(15, &[1; 16], &[0xa0]));
    let counts = *b"keep log counts ";
    expect("counts that are none", &|parts| parts.insert_at(14, &counts, &[0x80]));
    let many = |entries: &[u64]| {
        let count = |entries: &u64| keep_audit::Count {
            action: keep_audit::Action::Unlocked,
            outcome: keep_audit::Outcome::Allowed,
            origin: "cli".to_owned(),
            entries: *entries,
        };
        minicbor::to_vec(AllCounts { counts: entries.iter().map(count).collect() }).unwrap()
    };
    expect("counts without end", &|parts| parts.insert_at(14, &counts, &many(&[u64::MAX])));
    expect("counts beyond the end", &|parts| parts.insert_at(14, &counts, &many(&[u64::MAX, 1])));
    assert!(verified(&|parts| parts.insert_at(14, &counts, &many(&[7]))).is_ok());
    for revision in [u64::MAX, i64::MAX as u64, (1 << 53) + 1] {
        expect("more commits than can be made", &|parts| {
            parts.member("vault")["revision"] = revision.into();
            parts.change_head(|head| head.revision = revision);
        });
    }
    expect("a longer log than can be made", &|parts| {
        parts.change_head(|head| (head.audit.first_seq, head.audit.next_seq) = (u64::MAX, u64::MAX));
    });
    // The new vault is a second later.
    let last = 1 << 53;
    expect("the last second", &|parts| parts.change_head(|head| head.max_time = last));
    assert!(verified(&|parts| parts.change_head(|head| head.max_time = last - 1)).is_ok());
    restore_backup(locked(&bytes), &key, &target(&place), &options()).unwrap();
}

/// A clock that was wrong once leaves a vault with that time, which goes on and has backups like any other; only beyond where
/// counting comes near its end none is made, and whoever asks for one is told why.
#[test]
fn a_vault_whose_time_was_beyond_9999_has_backups() {
    let dir = tempfile::tempdir().unwrap();
    let (key, end) = (identity(), 1 << 53);
    for (at, is_restorable) in [(400_000_000_000, true), (end - 3_600, true), (end, false), (u64::MAX, false)]
    {
        let options = || options().clock(FakeClock::at(Timestamp::from_secs(at)));
        let place = dir.path().join(format!("at {at}"));
        let home = Home::new(&place).unwrap();
        let old = Keep::create(home, &text("old passphrase"), &options()).unwrap();
        old.keys().generate(name("main")).unwrap();
        let to = || BackupLock::Recipients(vec![RECIPIENT.to_owned()]);
        if !is_restorable {
            let mut disk = Disk { room: 1 << 20, holds: Vec::new() };
            let fault = old.backups().write(to(), &mut disk).unwrap_err();
            assert_eq!(fault.code(), ErrorCode::Integrity, "{fault}");
            assert!(fault.message().contains("its time is beyond") && !fault.hint().is_empty(), "{fault}");
            assert!(disk.holds.is_empty());
            continue;
        }
        let file = made(&old);
        verify_backup(locked(&file), &key).unwrap();
        let new = dir.path().join(format!("of {at}"));
        // Wherever it is restored, by whatever clock.
        restore_backup(locked(&file), &key, &target(&new), &self::options()).unwrap();
        let keep = Keep::open(Home::new(&new).unwrap(), &text("new passphrase"), &self::options()).unwrap();
        assert!(keep.integrity().is_intact());
        assert_eq!(keep.keys().list().unwrap().len(), 1);
        let again = made(&keep);
        verify_backup(locked(&again), &key).unwrap();
    }
}

/// The key with which a bunker's address answers, and shares of threshold keys: what does not decode, or belongs to another, would
/// be missed when it is needed.
#[test]
fn transport_keys_and_shares_are_examined() {
    const TRANSPORT: u8 = 1;
    const SHARE: u8 = 3;
    let dir = tempfile::tempdir().unwrap();
    let keep = full_vault(&dir.path().join("old"));
    keep.frost().generate(Some(name("theirs")), Suite::Secp256k1Tr, 2, 3).unwrap();
    let bytes = made(&keep);
    let (key, place) = (identity(), dir.path().join("new"));
    let whose = "the transport key of the address bunker://";
    let expect = |what: &str, named: &str, change: &dyn Fn(&mut Parts)| {
        let mut parts = Parts::of(&bytes);
        change(&mut parts);
        let file = sealed(parts.text().as_bytes());
        let Err(fault) = verify_backup(locked(&file), &key) else { panic!("{what} was not missed") };
        assert_eq!(fault.code(), ErrorCode::Integrity, "verify: {what}: {fault}");
        assert!(fault.message().contains(named), "verify: {what}: {fault}");
        let fault = restore_backup(locked(&file), &key, &target(&place), &options()).unwrap_err();
        assert_eq!(fault.code(), ErrorCode::Integrity, "restore: {what}: {fault}");
        assert!(!place.exists(), "{what}");
    };
    let all = |kind: u8, change: fn(&mut Vec<u8>)| {
        move |parts: &mut Parts| parts.change_secrets(kind, |_, secret| change(&mut secret.secret))
    };
    expect("a transport key that is cut", whose, &all(TRANSPORT, |secret| secret.truncate(31)));
    expect("a transport key that is none", whose, &all(TRANSPORT, |secret| secret.fill(0)));
    expect("the transport key of another address", whose, &all(TRANSPORT, |secret| secret[31] ^= 1));
    expect("a transport key of another kind", whose, &|parts| {
        parts.change_secrets(TRANSPORT, |_, secret| secret.kind = SHARE);
    });
    let shares = Parts::of(&bytes).secrets(SHARE).len();
    assert_eq!(shares, 5);
    for one in 0..shares {
        let of_one = |change: fn(&mut Vec<u8>)| {
            move |parts: &mut Parts| {
                parts.change_secrets(SHARE, |number, secret| {
                    if number == one {
                        change(&mut secret.secret);
                    }
                });
            }
        };
        expect(&format!("share {one}, cut"), "the share of member", &of_one(|secret| secret.truncate(40)));
        expect(&format!("share {one}, none"), "the share of member", &of_one(|secret| *secret = vec![0x80]));
        // Somewhere in its 32 secret bytes, which stand before the device key or its absence.
        expect(
            &format!("share {one}, changed"),
            "the share of member",
            &of_one(|secret| {
                let at = share_end(secret) - 5;
                secret[at] ^= 1;
            }),
        );
        expect(&format!("share {one}, another kind"), "the share of member", &|parts| {
            parts.change_secrets(SHARE, |number, secret| {
                if number == one {
                    secret.kind = TRANSPORT;
                }
            });
        });
    }
    let secrets = Parts::of(&bytes).secrets(SHARE);
    expect("shares in each other's places", "the share of member", &|parts| {
        parts.change_secrets(SHARE, |number, secret| {
            secret.secret.clone_from(&secrets[(number + 1) % shares])
        });
    });
    let group = Parts::of(&bytes);
    let group = group.records[group.of_kind("groups")[0]]["id"].as_str().unwrap().to_owned();
    let help = "the help with a repair of member 2";
    for (ceremony, whose, named) in [
        ("refresh", &[0, 2][..], "the renewal under way of member 2"),
        // All repairs in one place, as earlier versions kept them; and that of the share of member 1.
        ("repair", &[0, 2], help),
        ("repair", &[0, 2, 0, 1], help),
    ] {
        let id = [hex::decode(&group).unwrap().as_slice(), ceremony.as_bytes(), whose].concat();
        let hash = Sha256::digest([b"keep group secret ".as_slice(), &id].concat());
        let place: [u8; 16] = hash[..16].try_into().unwrap();
        for state in [vec![0x80], secrets[0].clone()] {
            let state = Secret { kind: SHARE, secret: state, public: None };
            let state = minicbor::to_vec(state).unwrap();
            expect(ceremony, named, &|parts| parts.insert_at(2, &place, &state));
        }
    }
    // What is not there is no reason to lose the rest.
    for kind in [TRANSPORT, SHARE] {
        let mut parts = Parts::of(&bytes);
        for at in parts.of_kind("secrets").into_iter().rev() {
            let bytes = STANDARD.decode(parts.records[at]["cbor"].as_str().unwrap()).unwrap();
            if minicbor::decode::<Secret>(&bytes).unwrap().kind == kind {
                parts.records.remove(at);
            }
        }
        verify_backup(locked(&sealed(parts.text().as_bytes())), &key).unwrap();
    }
    restore_backup(locked(&bytes), &key, &target(&place), &options()).unwrap();
}

#[test]
fn a_file_that_is_cut_anywhere_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let keep = vault(&dir.path().join("old"));
    let file = made(&keep);
    let (key, place) = (identity(), dir.path().join("new"));
    let piece = (64 << 10) + 16;
    for cut in [10, 100, 200, piece, piece + 200, file.len() - piece, file.len() - 1] {
        let opened = LockedBackup::read(&file[..cut])
            .and_then(|cut| restore_backup(cut, &key, &target(&place), &options()));
        assert_eq!(opened.unwrap_err().code(), ErrorCode::InvalidPayload, "{cut}");
        assert!(!place.exists() && !dir.path().join(".new.restoring").exists(), "{cut}");
    }
    restore_backup(locked(&file), &key, &target(&place), &options()).unwrap();
}

/// A file whose disk fails after so many bytes.
#[derive(Debug)]
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        self.0.read(into)
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_called_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let keep = vault(&dir.path().join("old"));
    let bytes = made(&keep);
    for readable in [0, 10, 60] {
        assert_eq!(LockedBackup::read(Failing(&bytes[..readable])).unwrap_err().code(), ErrorCode::Storage);
    }
    let failing = LockedBackup::read(Failing(&bytes[..bytes.len() - 1])).unwrap();
    let fault = verify_backup(failing, &identity()).unwrap_err();
    assert_eq!(fault.code(), ErrorCode::Storage, "{fault}");
}
