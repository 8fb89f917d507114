//! Backups, and vaults out of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;

use keep_sdk::{
    BackupKey, BackupLock, BackupNeeds, ErrorCode, EventTemplate, Home, Keep, KeyPath, Name, Options,
    RestoreTarget, SecretText, backup_needs, new_backup_passphrase, restore_backup, verify_backup,
};

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
    assert_eq!(backup_needs(&bytes).unwrap(), BackupNeeds::Passphrase);
    let key = BackupKey::Passphrase(text("backup words"));
    assert_eq!(verify_backup(&bytes, &key).unwrap(), file.summary);

    let place = dir.path().join("new");
    let restored = restore_backup(&bytes, &key, &target(&place), &options()).unwrap();
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
        restore_backup(bytes, key, &target(at), &options()).unwrap_err().code()
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
    restore_backup(&bytes, &key, &target(&place), &options()).unwrap();
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

/// A recipient whose secret key nobody has.
const RECIPIENT: &str = "age1n72txnccwnne8udnfl9mepwucxnm6zren6nwe45f8tqra6cmyqvsrwtdxk";

#[test]
fn a_backup_goes_where_it_is_written_and_is_whole_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let keep = vault(&dir.path().join("old"));
    let lock = || BackupLock::Passphrase(text("backup words"));
    let key = BackupKey::Passphrase(text("backup words"));
    let mut disk = Disk { room: 1 << 20, holds: Vec::new() };
    let summary = keep.backups().write(lock(), &mut disk).unwrap();
    assert_eq!(verify_backup(&disk.holds, &key).unwrap(), summary);
    let whole = disk.holds.len();
    for room in [0, 100, 66_000, whole - 1] {
        let mut disk = Disk { room, holds: Vec::new() };
        let to = BackupLock::Recipients(vec![RECIPIENT.to_owned()]);
        let lock = if room == whole - 1 { lock() } else { to };
        let fault = keep.backups().write(lock, &mut disk).unwrap_err();
        assert_eq!(fault.code(), ErrorCode::StorageFull, "{room}: {fault}");
        assert!(verify_backup(&disk.holds, &key).is_err());
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
    assert_eq!(verify_backup(&file.bytes().unwrap(), &key).unwrap().keys, 2);
}
