//! Several programs with one vault open: what one writes, the others see at once, and nobody takes it for a rollback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use keep_sdk::{EventTemplate, Home, KdfCost, Keep, Name, Options, SecretText};

const CHEAP: KdfCost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
const THREADS: u32 = 4;

fn passphrase() -> SecretText {
    SecretText::from("a passphrase".to_owned())
}

/// As on one machine, which remembers the highest revision.
fn options(root: &Path) -> Options {
    Options::default().allow_weak_kdf().kdf_cost(CHEAP).state_directory(Some(root.join("state")))
}

fn home(root: &Path) -> Home {
    Home::new(root.join("vault")).unwrap()
}

fn open(root: &Path) -> Keep {
    Keep::open(home(root), &passphrase(), &options(root)).unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Each opening is recorded, and the new revision noted outside of the vault; another one may have read an older revision
/// just before.
#[test]
fn openings_at_once_are_no_rollback() {
    let root = tempfile::tempdir().unwrap();
    drop(Keep::create(home(root.path()), &passphrase(), &options(root.path())).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..25 {
                    let keep = open(root.path());
                    assert_eq!(keep.integrity().problems, Vec::<String>::new());
                }
            });
        }
    });
}

#[test]
fn a_list_shows_what_another_program_wrote() {
    let root = tempfile::tempdir().unwrap();
    let here = Keep::create(home(root.path()), &passphrase(), &options(root.path())).unwrap();
    let key = here.keys().generate(name("main")).unwrap();
    let there = open(root.path());
    let names = |keep: &Keep| {
        let keys = keep.keys().list().unwrap();
        keys.into_iter().map(|key| (key.name, key.last_used.is_some())).collect::<Vec<_>>()
    };
    let listed = |expected: &[(&str, bool)]| {
        for keep in [&here, &there, &here, &there] {
            let expected: Vec<_> = expected.iter().map(|(name, used)| ((*name).to_owned(), *used)).collect();
            assert_eq!(names(keep), expected);
        }
    };
    listed(&[("main", false)]);
    there.keys().generate(name("other")).unwrap();
    listed(&[("main", false), ("other", false)]);
    here.sign().event(&key, EventTemplate::new(1, "hello", vec![], 1_700_000_000)).unwrap();
    listed(&[("main", true), ("other", false)]);
    let renamed = there.keys().rename(&key, name("first")).unwrap();
    listed(&[("first", true), ("other", false)]);
    here.keys().delete(&renamed).unwrap();
    listed(&[("other", false)]);
    there.secrets().add(name("token"), passphrase(), None, false).unwrap();
    assert_eq!(here.secrets().list().unwrap().len(), 1);
    here.secrets().remove("token").unwrap();
    assert_eq!(there.secrets().list().unwrap().len(), 0);
}
