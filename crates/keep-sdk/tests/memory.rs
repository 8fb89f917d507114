//! What lies in this process's memory while a vault is unlocked, and after it was locked.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use keep_sdk::daemon::{Connection, Daemon, DaemonOptions, Elevate};
use keep_sdk::{
    BackupLock, EventTemplate, Fault, Home, KdfCost, Keep, KeyPath, Name, Options, SecretInput, SecretText,
};
use keep_store::{SqliteStore, Store};

/// What the secrets are hidden with here, so that this program does not find itself.
const MASK: u8 = 0xa5;
/// Bytes that are looked at together.
const CHUNK: usize = 1 << 20;

/// A secret, masked.
struct Needle {
    what: &'static str,
    masked: Vec<u8>,
}

impl Needle {
    /// Takes a text that is written with each letter moved by one.
    fn new(what: &'static str, moved: &str) -> Self {
        Self { what, masked: moved.bytes().map(|byte| (byte - 1) ^ MASK).collect() }
    }

    fn text(&self) -> SecretText {
        SecretText::new(self.masked.iter().map(|byte| char::from(byte ^ MASK)).collect())
    }

    /// The bytes that a hexadecimal text stands for.
    fn decoded(&self, what: &'static str) -> Self {
        let digit = |byte: &u8| char::from(byte ^ MASK).to_digit(16).unwrap() as u8;
        let masked = self.masked.chunks(2).map(|pair| ((digit(&pair[0]) << 4) | digit(&pair[1])) ^ MASK);
        Self { what, masked: masked.collect() }
    }
}

/// How often each needle lies in writable memory.
fn search(needles: &[&Needle]) -> Vec<(&'static str, usize)> {
    let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
    let mut buffer = vec![0_u8; CHUNK + 256];
    let own = buffer.as_ptr() as usize..buffer.as_ptr() as usize + buffer.len();
    let mut found: Vec<_> = needles.iter().map(|needle| (needle.what, 0)).collect();
    for (start, end) in writable() {
        let mut at = start;
        while at < end {
            let length = buffer.len().min(end - at);
            memory.seek(SeekFrom::Start(at as u64)).unwrap();
            if memory.read_exact(&mut buffer[..length]).is_ok() {
                for (needle, found) in needles.iter().zip(&mut found) {
                    found.1 += hits(&buffer[..length], &needle.masked)
                        .filter(|hit| *hit < CHUNK && !own.contains(&(at + hit)))
                        .count();
                }
            }
            at += CHUNK;
        }
    }
    buffer.fill(0);
    found
}

fn hits<'a>(bytes: &'a [u8], masked: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let first = masked[0] ^ MASK;
    let candidates = bytes.iter().enumerate().filter(move |(_, byte)| **byte == first).map(|(at, _)| at);
    candidates.filter(move |at| {
        bytes
            .get(*at..at + masked.len())
            .is_some_and(|here| here.iter().zip(masked).all(|(a, b)| *a == b ^ MASK))
    })
}

fn writable() -> Vec<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let lines = maps.lines().filter(|line| line.split(' ').nth(1).unwrap().starts_with("rw"));
    let address = |text: &str| usize::from_str_radix(text, 16).unwrap();
    lines
        .map(|line| line.split(' ').next().unwrap().split_once('-').unwrap())
        .map(|(start, end)| (address(start), address(end)))
        .collect()
}

fn expect_none(when: &str, needles: &[&Needle]) {
    for (what, count) in search(needles) {
        assert_eq!(count, 0, "{when}, the {what} lies in memory");
    }
}

struct Says(Needle);

impl Elevate for Says {
    fn elevate(&self, attempt: &mut dyn FnMut(&SecretText) -> Result<(), Fault>) -> Result<(), Fault> {
        attempt(&self.0.text())
    }
}

/// Set for the process that finds out the keys of a vault: the database.
const DATABASE: &str = "KEEP_SDK_TEST_DATABASE";

/// Unwraps the data key as `docs/formats/vault.md` says, and prints it and the key that wraps it, masked: in another process, whose
/// memory nobody searches. Does nothing when the tests are run as usual.
#[test]
fn process_that_unwraps() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let mut header = Vec::new();
    SqliteStore::open(&database)
        .unwrap()
        .read(&mut |tx| tx.header().map(|found| header = found.unwrap()))
        .unwrap();
    let kdf = keep_vault::inspect_header(&header).unwrap();
    let kek = kdf.derive(&passphrase().text(), keep_vault::WeakKdf::Allow).unwrap().outer_kek();
    let (mut vault, mut epoch, mut stanza) = (Vec::new(), 0, (Vec::new(), Vec::new()));
    let mut cbor = minicbor::Decoder::new(&header);
    for _ in 0..cbor.map().unwrap().unwrap() {
        match cbor.u8().unwrap() {
            1 => vault = cbor.bytes().unwrap().to_vec(),
            2 => epoch = cbor.u64().unwrap(),
            4 => {
                assert_eq!(cbor.array().unwrap(), Some(1));
                for _ in 0..cbor.map().unwrap().unwrap() {
                    match cbor.u8().unwrap() {
                        1 => stanza.0 = cbor.bytes().unwrap().to_vec(),
                        2 => stanza.1 = cbor.bytes().unwrap().to_vec(),
                        _ => cbor.skip().unwrap(),
                    }
                }
            }
            _ => cbor.skip().unwrap(),
        }
    }
    let mut aad = b"keep v1 stanza".to_vec();
    aad.extend_from_slice(&vault);
    aad.extend_from_slice(&u64::to_be_bytes(epoch));
    aad.push(1);
    for cost in [kdf.memory_kib, kdf.iterations, kdf.lanes] {
        aad.extend_from_slice(&cost.to_be_bytes());
    }
    aad.extend_from_slice(&kdf.salt);
    let cipher = XChaCha20Poly1305::new(kek.expose().into());
    let payload = Payload { msg: &stanza.1, aad: &aad };
    let data_key = cipher.decrypt(XNonce::from_slice(&stanza.0), payload).unwrap();
    for key in [&data_key[..], &kek.expose()[..]] {
        println!("masked {}", hex::encode(key.iter().map(|byte| byte ^ MASK).collect::<Vec<_>>()));
    }
}

/// The data key of the vault, and the key that wraps it.
fn keys_of(directory: &Path) -> [Needle; 2] {
    let made = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process_that_unwraps", "--nocapture"])
        .env(DATABASE, directory.join("keep.db"))
        .output()
        .unwrap();
    let told = String::from_utf8(made.stdout).unwrap();
    let masked: Vec<Vec<u8>> = told
        .lines()
        .filter_map(|line| line.split_once("masked ").map(|(_, masked)| hex::decode(masked).unwrap()))
        .collect();
    let [data_key, wrapping] = <[Vec<u8>; 2]>::try_from(masked).unwrap_or_else(|_| panic!("{told}"));
    assert_eq!((data_key.len(), wrapping.len()), (32, 32));
    [Needle { what: "data key", masked: data_key }, Needle { what: "wrapping key", masked: wrapping }]
}

fn passphrase() -> Needle {
    // It has characters that JSON escapes.
    Needle::new("passphrase", "b!#rvpufe]!qbttqisbtf!pg!njof")
}

#[test]
fn no_secret_lies_in_memory_between_operations_nor_after_locking() {
    let passphrase_needle = passphrase();
    let hex = Needle::new("key in hex", "78efb3fe129183e786g6526fdgbfe8e36:8666f313e96c4e76fb5f69e3e:3ggb");
    let raw = hex.decoded("key");
    let nsec = Needle::new("nsec", "otfd2wm13:nhqtqfewb15h:1wmuli7gwi351{ruw:l1u:bg9:46lf:mbrtomgf6");
    let other = Needle::new("export's passphrase", "bopuifs!rvjuf!tfdsfu!qbttqisbtf");
    let stored = Needle::new("stored secret", "b!uplfo!uibu!tpnfcpez!lffqt!ifsf");
    let backup = Needle::new("backup's passphrase", "uxfmwf.xpset.gps.b.cbdlvq");
    let words = Needle::new(
        "mnemonic",
        "mfhbm!xjoofs!uibol!zfbs!xbwf!tbvtbhf!xpsui!vtfgvm!mfhbm!xjoofs!uibol!zfmmpx",
    );
    let needles = [&passphrase_needle, &hex, &raw, &nsec, &other, &stored, &backup, &words];

    // The search finds what is there.
    let control = passphrase_needle.text();
    assert_eq!(search(&[&passphrase_needle])[0].1, 1);
    drop(control);
    expect_none("before anything", &needles);

    let directory = tempfile::tempdir().unwrap();
    let home = Home::new(directory.path().join("vault")).unwrap();
    let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    let options = Options::default().allow_weak_kdf().kdf_cost(cheap).state_directory(None);
    drop(Keep::create(home.clone(), &passphrase_needle.text(), &options).unwrap());

    let [data_key, wrapping] = keys_of(home.path());
    let keys = [&data_key, &wrapping];
    expect_none("before opening", &keys);
    let keep = Keep::open(home.clone(), &passphrase_needle.text(), &options).unwrap();
    let daemon = Daemon::start(&keep, DaemonOptions::default()).unwrap();
    {
        let there = Connection::find(&home, Some(Arc::new(Says(passphrase())))).unwrap().unwrap();
        let there = Keep::connected(there);
        let input = SecretInput::parse(&hex.text()).unwrap();
        let key = there.keys().import(Name::new("main").unwrap(), input, None).unwrap();
        there.sign().event(&key, EventTemplate::new(1, "hello", vec![], 1)).unwrap();
        assert_eq!(there.keys().export_nsec(&key).unwrap().expose(), nsec.text().expose());
        there.keys().export_ncryptsec(&key, &other.text()).unwrap();
        there.sign().event(&key, EventTemplate::new(1, "again", vec![], 2)).unwrap();
        there.secrets().add(Name::new("token").unwrap(), stored.text(), None, false).unwrap();
        assert_eq!(there.secrets().get("token").unwrap().secret.expose(), stored.text().expose());
        let name = Name::new("words").unwrap();
        let empty = SecretText::new(String::new());
        let key = there.keys().import_mnemonic(name, words.text(), empty, KeyPath::default()).unwrap();
        assert_eq!(there.keys().export_mnemonic(&key).unwrap().mnemonic.expose(), words.text().expose());
        there.backups().make(BackupLock::Passphrase(backup.text())).unwrap();
        let second = there.unlocking().add_passphrase(other.text(), None).unwrap();
        there.unlocking().remove(&second.id).unwrap();
    }
    expect_none("unlocked and idle", &needles);
    expect_none("unlocked and idle", &keys);
    let farewell = daemon.stop();
    drop(keep);
    drop(farewell);
    expect_none("after locking", &needles);
    expect_none("after locking", &keys);
}
