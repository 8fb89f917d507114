//! Bundles where the files of a vault are put back under a process that has it open.

use std::ops::ControlFlow;

use keep_audit::{Action, Draft, Outcome};
use keep_store::{MemoryStore, Row, Scan, Store};
use keep_types::{Collection, Origin, Revision};

use super::{Model, Note, compare, create, note, open, place};
use crate::bundles::Bundle;
use crate::{Vault, VaultError};

/// The head and every row of a store.
pub(super) struct Copy(Vec<u8>, Vec<Row>);

impl Copy {
    pub fn of(store: &MemoryStore) -> Self {
        let mut copy = Self(Vec::new(), Vec::new());
        store
            .read(&mut |tx| {
                copy.0 = tx.head()?.unwrap();
                tx.scan(Scan::everything(), &mut |row| {
                    copy.1.push(row);
                    ControlFlow::Continue(())
                })
            })
            .unwrap();
        copy
    }

    /// Puts it in the place of what is there now.
    pub fn put_back(&self, store: &MemoryStore) {
        let now = Self::of(store);
        store
            .write(&mut |tx| {
                now.1.iter().try_for_each(|row| tx.delete(row.collection, &row.id).map(drop))?;
                self.1.iter().try_for_each(|row| tx.put(row))?;
                tx.set_head(&self.0)
            })
            .unwrap();
    }
}

/// What was written after the older state was taken out of a bundle, and is in it again; and what was never written there.
#[test]
fn an_older_state_that_another_process_goes_on_from_is_read_anew() {
    let (world, first) = create();
    let put = |vault: &Vault, id: u8, text: u8| {
        vault.submit(move |tx| tx.put(place(id), &note(Some(id), 0, text))).wait().unwrap();
    };
    put(&first, 1, 1);
    put(&first, 2, 2);
    let older = Copy::of(&world.store);
    first.submit(|tx| tx.delete::<Note>(&place(1)).map(drop)).wait().unwrap();
    put(&first, 2, 3);
    put(&first, 3, 4);
    let mark = first.revision();
    older.put_back(&world.store);
    let second = open(&world);
    assert!(second.revision() < mark);
    let go_on = move |tx: &mut crate::Tx<'_, '_>| {
        tx.go_on_above(mark);
        tx.put(place(4), &note(Some(4), 0, 5))
    };
    let (_, committed) = second.submit(go_on).wait().unwrap();
    assert_eq!(committed.revision(), mark.next(), "no revision is used twice");
    let mut model =
        Model::from([(1, 1), (2, 2), (4, 5)].map(|(id, text)| (place(id), note(Some(id), 0, text))));
    compare(&first, &model);
    put(&first, 5, 6);
    model.insert(place(5), note(Some(5), 0, 6));
    compare(&second, &model);
    compare(&first, &model);
}

/// Puts a note; the log has an entry of it or not.
pub(super) fn put(vault: &Vault, id: u8, text: u8, logged: bool) {
    let job = move |tx: &mut crate::Tx<'_, '_>| {
        log(tx, &format!("put {id}"), logged);
        tx.put(place(id), &note(Some(id), 0, text))
    };
    vault.submit(job).wait().unwrap();
}

pub(super) fn log(tx: &mut crate::Tx<'_, '_>, what: &str, logged: bool) {
    if logged {
        tx.audit(Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli).reason(what));
    }
}

/// Writes what is neither a note nor in the log.
fn count(vault: &Vault) {
    vault.submit(count_in).wait().unwrap();
}

pub(super) fn count_in(tx: &mut crate::Tx<'_, '_>) -> Result<(), VaultError> {
    let at = tx.locate::<keep_policy::Usage>(b"here");
    tx.put(at, &keep_policy::Usage::default())
}

/// Notes as they are put.
pub(super) fn of<const N: usize>(ids: [u8; N]) -> Model {
    Model::from(ids.map(|id| (place(id), note(Some(id), 0, id))))
}

pub(super) fn take(vault: &Vault, id: u8, logged: bool) {
    let job = move |tx: &mut crate::Tx<'_, '_>| {
        log(tx, &format!("take {id}"), logged);
        tx.delete::<Note>(&place(id)).map(drop)
    };
    vault.submit(job).wait().unwrap();
}

/// The same where nobody had to accept the older state, because another process has gone further by the time that this one
/// looks; whether or not the log has an entry of what is gone and of what came in its place.
#[test]
fn an_older_state_that_another_process_has_overtaken_is_read_anew() {
    for lost in [Some([true, true]), Some([true, false]), Some([false, true]), Some([false, false]), None] {
        for came in [true, false] {
            let (world, first) = create();
            put(&first, 1, 1, true);
            put(&first, 2, 2, true);
            let older = Copy::of(&world.store);
            if let Some(logged) = lost {
                take(&first, 1, logged[0]);
                put(&first, 6, 6, logged[1]);
                compare(&first, &of([2, 6]));
            } else {
                count(&first);
                count(&first);
            }
            older.put_back(&world.store);
            let second = open(&world);
            for id in [3, 4, 5] {
                put(&second, id, id, came);
            }
            assert_eq!(second.revision(), first.revision().next());
            compare(&first, &of([1, 2, 3, 4, 5]));
        }
    }
}

/// What this process has learned from another one before the files were put back, or read when the log said nothing of it.
#[test]
fn what_another_process_has_lost_is_read_anew() {
    for lost in [[true, true], [true, false], [false, true], [false, false]] {
        for came in [true, false] {
            let (world, first) = create();
            put(&first, 1, 1, true);
            put(&first, 2, 2, true);
            let older = Copy::of(&world.store);
            let second = open(&world);
            take(&second, 1, lost[0]);
            put(&second, 6, 6, lost[1]);
            put(&second, 2, 7, lost[1]);
            let late = open(&world);
            let now = Model::from([(2, 7), (6, 6)].map(|(id, text)| (place(id), note(Some(id), 0, text))));
            compare(&first, &now);
            compare(&late, &now);
            older.put_back(&world.store);
            let third = open(&world);
            for id in [3, 4, 5, 6] {
                put(&third, id, id, came);
            }
            compare(&first, &of([1, 2, 3, 4, 5, 6]));
            compare(&late, &of([1, 2, 3, 4, 5, 6]));
        }
    }
}

/// The log of both histories is the same to the last byte; the entry is of another commit.
#[test]
fn an_entry_of_another_commit_is_another_history() {
    let (world, first) = create();
    put(&first, 1, 1, true);
    let older = Copy::of(&world.store);
    put(&first, 6, 6, false);
    log_only(&first, "put 3");
    compare(&first, &of([1, 6]));
    older.put_back(&world.store);
    let second = open(&world);
    for id in [3, 4, 5] {
        put(&second, id, id, id == 3);
    }
    compare(&first, &of([1, 3, 4, 5]));
}

/// A process that never looked a request up does not look where the log has come from either.
#[test]
fn nothing_is_followed_where_nothing_is_known() {
    let (_world, vault) = create();
    log_only(&vault, "one");
    let state = || vault.view_log(|log| Ok((log.head.clone(), log.anchor()))).unwrap();
    let mut index = crate::bundles::BundleIndex::default();
    for _ in 0..2 {
        let (head, anchor) = state();
        assert!(anchor.is_some());
        index.follow(&head, anchor, |_| panic!("there is nothing to go back to"));
        log_only(&vault, "more");
    }
    let (head, anchor) = state();
    index.follow(&head, anchor, |_| panic!("nor now"));
    index.knows(head.revision, &Ok(()));
    log_only(&vault, "again");
    let (next, anchor) = state();
    let mut asked = false;
    index.follow(&next, anchor, |_| {
        asked = true;
        true
    });
    assert_eq!((asked, index.known_to()), (true, Some(head.revision)));
}

fn log_only(vault: &Vault, what: &'static str) {
    let job = move |tx: &mut crate::Tx<'_, '_>| {
        log(tx, what, true);
        Ok(())
    };
    vault.submit(job).wait().unwrap();
}

/// What others commit is read alone, and not with it all that was known; whether or not the log has an entry of it, and of what
/// this process does in between.
#[test]
fn what_another_process_adds_is_read_alone() {
    for [before, after] in [[true, true], [true, false], [false, true], [false, false]] {
        let (world, first) = create();
        let second = open(&world);
        put(&first, 1, 1, true);
        let at = Bundle::place(first.revision());
        put(&second, 2, 2, before);
        put(&second, 3, 3, after);
        // What is known already would not be read a second time.
        world
            .store
            .write(&mut |tx| {
                let mut row = tx.get(Collection::Bundles.number(), &at)?.unwrap();
                row.sealed[30] ^= 1;
                tx.put(&row)
            })
            .unwrap();
        let finds = |id| first.submit(move |tx| tx.get::<Note>(&place(id))).wait().unwrap().0.is_some();
        assert!(finds(2) && finds(3));
        put(&first, 4, 4, after);
        take(&first, 2, before);
        put(&second, 5, 5, before);
        take(&second, 3, after);
        assert_eq!([2, 3, 4, 5].map(finds), [false, false, true, true]);
    }
}

/// The same where what is left of a damaged vault was gone on with: an older bundle with a record that was taken out of it.
#[test]
fn damage_that_another_process_goes_on_from_is_read_anew() {
    let (world, first) = create();
    let both = |tx: &mut crate::Tx<'_, '_>| {
        tx.put(place(1), &note(Some(1), 0, 1))?;
        tx.put(place(2), &note(Some(2), 0, 2))
    };
    first.submit(both).wait().unwrap();
    let at = Bundle::place(Revision::new(2));
    let bundles = Collection::Bundles.number();
    let older = Copy::of(&world.store).1.into_iter().find(|row| row.collection == bundles && row.id == at);
    first.submit(|tx| tx.delete::<Note>(&place(1)).map(drop)).wait().unwrap();
    world.store.write(&mut |tx| tx.put(older.as_ref().unwrap())).unwrap();
    let second = open(&world);
    assert!(!second.integrity().is_intact());
    second.accept_damage(&|_, _, _| Ok(None), &|_| Ok(Vec::new())).unwrap();
    compare(&first, &Model::from([(1, 1), (2, 2)].map(|(id, text)| (place(id), note(Some(id), 0, text)))));
}
