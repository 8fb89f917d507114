//! The audit log as a whole: segments, pages, counts, pruning, and vaults of older versions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::{CHEAP, create, generate, open, passphrase};
use keep_audit::{Action, Draft, Entry, Filter, Outcome};
use keep_store::{MemoryStore, Scan, SqliteStore, Store};
use keep_testing::clock::FakeClock;
use keep_types::{Collection, KeyId, Origin, Timestamp};
use keep_vault::{Environment, Vault};
use proptest::prelude::*;

const BEGIN: u64 = 1_800_000_000;

fn write(vault: &Vault, entries: usize) {
    vault
        .submit(move |tx| {
            for n in 0..entries {
                let outcome = if n % 2 == 0 { Outcome::Allowed } else { Outcome::Refused };
                let draft = Draft::new(Action::SignEvent, outcome, &Origin::Cli);
                tx.audit(draft.key(KeyId::from_bytes([n as u8 % 5; 16])).event_kind(n as u16));
            }
            Ok(())
        })
        .wait()
        .unwrap();
}

fn audit_rows(store: &dyn Store) -> usize {
    let mut rows = 0;
    store
        .read(&mut |tx| {
            tx.scan(Scan::collection(Collection::Audit), &mut |_| {
                rows += 1;
                ControlFlow::Continue(())
            })
        })
        .unwrap();
    rows
}

fn assert_whole(vault: &Vault, entries: usize) -> Vec<Entry> {
    assert_eq!(vault.verify().unwrap().problems, [] as [String; 0]);
    assert_eq!(vault.verify_audit().unwrap().entries, entries as u64);
    let all = vault.audit_entries(0, usize::MAX).unwrap();
    assert_eq!(all.len(), entries);
    assert!(all.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
    let stats = vault.audit_stats().unwrap();
    assert_eq!(stats.counts.iter().map(|count| count.entries).sum::<u64>(), entries as u64);
    assert_eq!(stats.entries, entries as u64);
    all
}

#[test]
fn batches_become_segments_and_nothing_else_changes() {
    let store = MemoryStore::new();
    let vault = create(Arc::new(store.another_handle()));
    let mut written = 1;
    for n in 0..700_usize {
        write(&vault, n % 9);
        written += n % 9;
        if n % 100 == 99 {
            assert_whole(&vault, written);
        }
    }
    let stats = vault.audit_stats().unwrap();
    assert_eq!(stats.segments, written as u64 / 1024);
    assert!(stats.batches < 300, "{}", stats.batches);
    assert_eq!(audit_rows(&store) as u64, stats.segments + stats.batches);
    drop(vault);
    let again = open(Arc::new(store)).unwrap();
    assert!(again.integrity().is_intact());
    assert_whole(&again, written);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn commits_of_any_size_give_the_same_log(sizes in proptest::collection::vec(0_usize..2500, 1..12)) {
        let vault = create(Arc::new(MemoryStore::new()));
        let mut written = 1;
        for size in sizes {
            write(&vault, size);
            written += size;
        }
        // Another commit takes up what the last one completed.
        write(&vault, 1);
        assert_whole(&vault, written + 1);
        let segments = vault.audit_stats().unwrap().segments;
        prop_assert!(segments <= written as u64 / 1024);
    }
}

#[test]
fn pages_and_filters_find_what_they_ask_for() {
    let clock = FakeClock::at(Timestamp::from_secs(BEGIN));
    let environment = Environment::new(clock.clone()).allow_weak_kdf();
    let vault =
        Vault::create(Arc::new(MemoryStore::new()), &passphrase(), [7; 32], CHEAP, &environment).unwrap();
    for hour in 0..20 {
        clock.set(Timestamp::from_secs(BEGIN + 3600 * hour));
        write(&vault, 200);
    }
    let all = assert_whole(&vault, 4001);
    let filters = [
        Filter::default(),
        Filter { keys: vec![KeyId::from_bytes([3; 16])], ..Filter::default() },
        Filter { outcomes: vec![Outcome::Refused], actions: vec![Action::SignEvent], ..Filter::default() },
        Filter { origins: vec!["nip46".into()], ..Filter::default() },
        Filter { until: Some(Timestamp::from_secs(BEGIN + 3600 * 5)), ..Filter::default() },
        Filter { until: Some(Timestamp::from_secs(BEGIN - 1)), ..Filter::default() },
        Filter { until: Some(Timestamp::from_secs(BEGIN + 3600 * 90)), ..Filter::default() },
        Filter {
            since: Some(Timestamp::from_secs(BEGIN + 3600 * 7)),
            until: Some(Timestamp::from_secs(BEGIN + 3600 * 8 + 5)),
            ..Filter::default()
        },
    ];
    for filter in filters {
        for (before, limit) in
            [(None, 10), (None, usize::MAX), (Some(1500), 300), (Some(1), 5), (Some(9999), 7)]
        {
            let expected: Vec<&Entry> = all
                .iter()
                .rev()
                .filter(|entry| filter.matches(entry) && before.is_none_or(|before| entry.seq < before))
                .take(limit)
                .collect();
            let page = vault.audit_page(&filter, before, limit).unwrap();
            assert_eq!(page.iter().collect::<Vec<_>>(), expected, "{filter:?} {before:?} {limit}");
        }
    }
}

#[test]
fn pruning_leaves_a_log_that_verifies() {
    let store = MemoryStore::new();
    let clock = FakeClock::at(Timestamp::from_secs(BEGIN));
    let environment = Environment::new(clock.clone()).allow_weak_kdf();
    let handle = Arc::new(store.another_handle());
    let vault = Vault::create(handle, &passphrase(), [7; 32], CHEAP, &environment).unwrap();
    for hour in 0..20 {
        clock.set(Timestamp::from_secs(BEGIN + 3600 * hour));
        write(&vault, 200);
    }
    let mut all = vault.audit_entries(0, usize::MAX).unwrap();
    for hours in [0, 3, 3, 11, 19, 40] {
        let cutoff = Timestamp::from_secs(BEGIN + 3600 * hours);
        let plan = vault.plan_prune(cutoff).unwrap();
        assert_eq!(plan.removed(), all.iter().filter(|entry| entry.time < cutoff).count() as u64, "{hours}");
        vault.prune(cutoff, Origin::Cli, &mut |_| {}).unwrap();
        all.retain(|entry| entry.time >= cutoff);
        let now = vault.audit_entries(0, usize::MAX).unwrap();
        assert_eq!(now[..all.len()], all[..], "{hours}");
        assert_eq!(now.len() - all.len(), usize::from(plan.removed() > 0));
        assert!(now[all.len()..].iter().all(|entry| entry.action == Action::LogPruned));
        assert_whole(&vault, now.len());
        all = now;
        write(&vault, 30);
        all = vault.audit_entries(all[0].seq, usize::MAX).unwrap();
        let summary = open_with(&store, &environment).verify_audit().unwrap();
        assert_eq!((summary.first, summary.entries), (all[0].seq, all.len() as u64));
    }
    let pruned = vault.audit_stats().unwrap().pruned.unwrap();
    pruned.verify().unwrap();
    assert_eq!(pruned.signer(), vault.fingerprint().unwrap().unwrap());
    assert_eq!(pruned.checkpoint.next, all[0].seq);
}

fn open_with(store: &MemoryStore, environment: &Environment) -> Vault {
    let vault = Vault::open(Arc::new(store.another_handle()), &passphrase(), environment).unwrap();
    assert!(vault.integrity().is_intact());
    vault
}

/// A vault as the first version made it, with 2,045 entries in 154 batches and without an audit key.
#[test]
fn a_vault_of_the_first_version_opens_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/vault-1.db"), &path).unwrap();
    let clock = FakeClock::at(Timestamp::from_secs(BEGIN + 200_000));
    let environment = Environment::new(clock.clone()).allow_weak_kdf();
    let reopen =
        || Vault::open(Arc::new(SqliteStore::open(&path).unwrap()), &passphrase(), &environment).unwrap();
    let vault = reopen();
    assert!(vault.integrity().is_intact());
    let names: Vec<_> = vault.keys().unwrap().iter().map(|key| key.name.to_string()).collect();
    assert_eq!(names, ["one", "two"]);
    let before = assert_whole(&vault, 2045);
    assert_eq!(vault.verify_audit().unwrap().head[..8], [150, 25, 78, 193, 28, 208, 45, 205]);
    assert_eq!(vault.fingerprint().unwrap(), None);

    vault.record_unlock(Origin::Cli, 2).unwrap();
    let fingerprint = vault.fingerprint().unwrap().unwrap();
    let after = assert_whole(&vault, 2048);
    assert_eq!(after[..2045], before[..]);
    let actions: Vec<_> = after[2045..].iter().map(|entry| entry.action).collect();
    assert_eq!(actions, [Action::AuditKeyMade, Action::UnlockFailed, Action::Unlocked]);
    assert_eq!(vault.audit_stats().unwrap().segments, 1);
    generate(&vault, "three");
    assert_eq!(vault.audit_stats().unwrap().segments, 2);
    drop(vault);
    let vault = reopen();
    assert_eq!(vault.fingerprint().unwrap(), Some(fingerprint));
    assert_whole(&vault, 2049);
    vault.prune(Timestamp::from_secs(BEGIN + 50_000), Origin::Cli, &mut |_| {}).unwrap();
    drop(vault);
    let vault = reopen();
    assert_whole(&vault, vault.audit_stats().unwrap().entries as usize);
    assert!(vault.audit_stats().unwrap().pruned.is_some());
}

#[test]
fn checkpoints_say_where_the_log_stands() {
    let vault = create(Arc::new(MemoryStore::new()));
    write(&vault, 1500);
    let head = vault.export_checkpoint(Origin::Cli).unwrap();
    head.verify().unwrap();
    assert_eq!(head.signer(), vault.fingerprint().unwrap().unwrap());
    let summary = vault.verify_audit().unwrap();
    assert_eq!((head.checkpoint.count(), head.checkpoint.hash), (summary.entries, summary.head));
    write(&vault, 3000);
    assert_eq!(vault.audit_hash_before(head.checkpoint.next).unwrap(), Some(head.checkpoint.hash));
    assert_eq!(vault.audit_hash_before(99_999).unwrap(), None);
    let anchor = vault.anchor(Origin::Cli).unwrap();
    let event = vault.anchor_event(&anchor, "content".into()).unwrap();
    event.verify().unwrap();
    assert!(vault.keys().unwrap().iter().all(|key| key.nostr_key() != event.pubkey));
}

/// Enough for several commits of a prune, and too much for an opening that reads it all.
#[test]
fn a_long_log_is_opened_and_listed_by_its_end_and_pruned_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let clock = FakeClock::at(Timestamp::from_secs(BEGIN));
    let environment = Environment::new(clock.clone()).allow_weak_kdf();
    let store = Arc::new(SqliteStore::create(&path).unwrap());
    let vault = Vault::create(store, &passphrase(), [7; 32], CHEAP, &environment).unwrap();
    let entries = if std::env::var_os("KEEP_SOAK").is_some() { 10_000_000 } else { 72_000 };
    for n in 0..entries / 2000 {
        clock.set(Timestamp::from_secs(BEGIN + n));
        write(&vault, 2000);
    }
    drop(vault);
    let reopen =
        || Vault::open(Arc::new(SqliteStore::open(&path).unwrap()), &passphrase(), &environment).unwrap();
    let vault = reopen();
    assert!(vault.integrity().is_intact());
    let page = vault.audit_page(&Filter::default(), None, 50).unwrap();
    assert_eq!((page.len(), page[0].seq), (50, entries + 1));
    let cutoff = Timestamp::from_secs(BEGIN + entries / 2000 - 1);
    let mut steps = Vec::new();
    vault.prune(cutoff, Origin::Cli, &mut |done| steps.push(done)).unwrap();
    assert!(steps.len() > 1 && steps.is_sorted(), "{steps:?}");
    let stats = vault.audit_stats().unwrap();
    assert_eq!(stats.entries, 2000 + steps.len() as u64);
    assert_whole(&vault, stats.entries as usize);
    drop(vault);
    assert_whole(&reopen(), stats.entries as usize);
}

/// Each of them is a prune or a segment that somebody without the key made up.
#[test]
fn segments_and_checkpoints_that_were_tampered_with_are_found() {
    let store = MemoryStore::new();
    let clock = FakeClock::at(Timestamp::from_secs(BEGIN));
    let environment = Environment::new(clock.clone()).allow_weak_kdf();
    let vault =
        Vault::create(Arc::new(store.another_handle()), &passphrase(), [7; 32], CHEAP, &environment).unwrap();
    for second in 0..5 {
        clock.set(Timestamp::from_secs(BEGIN + second));
        write(&vault, 1000);
    }
    vault.prune(Timestamp::from_secs(BEGIN + 1), Origin::Cli, &mut |_| {}).unwrap();
    drop(vault);
    let mut rows = Vec::new();
    store
        .read(&mut |tx| {
            tx.scan(Scan::everything(), &mut |row| {
                rows.push(row);
                ControlFlow::Continue(())
            })
        })
        .unwrap();
    let of = |collection: Collection| rows.iter().filter(move |row| row.collection == collection.number());
    let segments: Vec<_> = of(Collection::Audit).filter(|row| row.sealed.len() > 20_000).cloned().collect();
    assert!(segments.len() >= 2, "{}", segments.len());
    let found = || {
        let vault = Vault::open(Arc::new(store.another_handle()), &passphrase(), &environment).unwrap();
        let deciding = vault.integrity().is_intact();
        (deciding, vault.verify().unwrap().is_intact(), vault.verify_audit().map_err(|e| e.to_string()))
    };
    assert!(matches!(found(), (true, true, Ok(_))));
    let tampered = |name: &str, change: &dyn Fn(&mut dyn keep_store::WriteTx)| {
        store
            .write(&mut |tx| {
                change(tx);
                Ok(())
            })
            .unwrap();
        let (_, rows_intact, chain) = found();
        assert!(!rows_intact && chain.is_err(), "{name}");
        store
            .write(&mut |tx| {
                for row in &rows {
                    tx.delete(row.collection, &row.id)?;
                }
                rows.iter().try_for_each(|row| tx.put(row))
            })
            .unwrap();
        assert!(matches!(found(), (true, true, Ok(_))), "{name} put right");
        chain.unwrap_err()
    };
    let cut = tampered("removed", &|tx| drop(tx.delete(segments[1].collection, &segments[1].id)));
    assert!(cut.contains("entries were removed"), "{cut}");
    tampered("flipped", &|tx| {
        let mut row = segments[0].clone();
        row.sealed[9_000] ^= 1;
        tx.put(&row).unwrap();
    });
    tampered("swapped", &|tx| {
        let (mut one, mut two) = (segments[0].clone(), segments[1].clone());
        std::mem::swap(&mut one.sealed, &mut two.sealed);
        tx.put(&one).unwrap();
        tx.put(&two).unwrap();
    });
    let last = of(Collection::Audit).next_back().unwrap().clone();
    let cut = tampered("cut", &|tx| drop(tx.delete(last.collection, &last.id)));
    assert!(cut.contains("tail was cut"), "{cut}");
    for checkpoint in of(Collection::Checkpoints) {
        store
            .write(&mut |tx| {
                tx.delete(checkpoint.collection, &checkpoint.id)?;
                Ok(())
            })
            .unwrap();
        assert!(!found().0, "found at opening already");
        store.write(&mut |tx| tx.put(checkpoint)).unwrap();
    }
    let pruned =
        of(Collection::Checkpoints).find(|row| row.id.as_bytes().starts_with(b"keep log pruned")).unwrap();
    let missing = tampered("unsigned", &|tx| drop(tx.delete(pruned.collection, &pruned.id)));
    assert!(missing.contains("checkpoint that stands for removed entries is missing"), "{missing}");
}
