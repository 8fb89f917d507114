//! Makes the vault of `tests/fixtures/`. It does nothing unless `KEEP_MAKE_FIXTURE` names a file that does not exist yet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{CHEAP, generate, passphrase};
use keep_audit::{Action, Draft, Outcome};
use keep_store::SqliteStore;
use keep_testing::clock::FakeClock;
use keep_types::{KeyId, Name, Origin, PublicKey, RecordId, SecretKey32, Timestamp};
use keep_vault::{Environment, Vault};

/// When the vault is made; each batch of entries comes an hour later.
const BEGIN: u64 = 1_800_000_000;

#[test]
fn make_the_fixture() {
    let Some(path) = std::env::var_os("KEEP_MAKE_FIXTURE") else { return };
    let path = Path::new(&path);
    let clock = Arc::new(FakeClock::at(Timestamp::from_secs(BEGIN)));
    let environment =
        Environment { clock: Arc::clone(&clock) as _, ..Environment::new(FakeClock::at(Timestamp::ZERO)) };
    let store = Arc::new(SqliteStore::create(path).unwrap());
    let vault = Vault::create(store, &passphrase(), [7; 32], CHEAP, &environment.allow_weak_kdf()).unwrap();
    generate(&vault, "one");
    vault.import_key(Name::new("two").unwrap(), &SecretKey32::take(&mut [0x11; 32])).unwrap();
    let gone = generate(&vault, "three");
    vault.delete_key(gone).unwrap();
    for batch in 0_u64..150 {
        clock.set(Timestamp::from_secs(BEGIN + 3600 * batch));
        vault
            .submit(move |tx| {
                for entry in 0..batch % 29 {
                    tx.audit(draft(batch, entry));
                }
                tx.put(
                    RecordId::from_bytes([batch as u8 % 7; 16]),
                    &keep_policy::Usage { total: batch, ..Default::default() },
                )
            })
            .wait()
            .unwrap();
    }
    println!("{:?} {:?}", vault.verify_audit().unwrap(), vault.verify().unwrap());
}

fn draft(batch: u64, entry: u64) -> Draft {
    let client = PublicKey::from_byte_array([entry as u8 + 1; 32]);
    let draft = match entry % 3 {
        0 => Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli)
            .event_kind(1)
            .subject([batch as u8; 32]),
        1 => Draft::new(Action::Nip44Decrypt, Outcome::Approved, &Origin::Cli).client(&client),
        _ => Draft::new(Action::SignEvent, Outcome::Refused, &Origin::Cli)
            .reason("no rule allows it, 5 % \u{e4}\u{f6}"),
    };
    draft.key(KeyId::from_bytes([entry as u8; 16]))
}
