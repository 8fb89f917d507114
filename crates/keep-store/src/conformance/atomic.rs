//! All or nothing.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use keep_types::{ErrorCode, Fault, RecordId, Revision};

use super::{Numbers, Place, everything, id, name_index, put_all, read, row, write};
use crate::{Row, Store, StoreError, WriteTx};

/// A new store has no header, no head and no rows.
pub fn a_new_store_is_empty(place: &dyn Place) {
    let store = place.handle();
    assert_eq!(read(&*store, |tx| Ok((tx.header()?, tx.head()?))), (None, None));
    assert_eq!(everything(&*store), []);
    assert_eq!(read(&*store, |tx| tx.get(1, &id(1))), None);
    assert_eq!(read(&*store, |tx| tx.find(1, &name_index(1))), None);
}

/// What was committed is read through every handle, field by field.
pub fn what_is_committed_is_read(place: &dyn Place) {
    let (store, other) = (place.handle(), place.handle());
    let first = Row { revision: Revision::new(7), name: Some(name_index(9)), ..row(1, 1, b"first") };
    let second = row(2, 1, b"second");
    write(&*store, |tx| {
        tx.set_header(b"header")?;
        tx.set_head(b"head")?;
        tx.put(&first)?;
        tx.put(&second)
    })
    .unwrap();
    for store in [&store, &other, &place.handle()] {
        assert_eq!(read(&**store, |tx| tx.get(1, &id(1))), Some(first.clone()));
        assert_eq!(read(&**store, |tx| tx.get(1, &id(2))), None);
        assert_eq!(read(&**store, |tx| tx.header()).as_deref(), Some(&b"header"[..]));
        assert_eq!(read(&**store, |tx| tx.head()).as_deref(), Some(&b"head"[..]));
        assert_eq!(everything(&**store), [first.clone(), second.clone()]);
    }
}

/// Changes everything that can be changed.
fn vandalise(tx: &mut dyn WriteTx) -> Result<(), StoreError> {
    tx.set_header(b"spoilt")?;
    tx.set_head(b"spoilt")?;
    tx.put(&row(1, 1, b"spoilt"))?;
    tx.put(&row(1, 3, b"spoilt"))?;
    assert!(tx.delete(1, &id(2))?);
    Ok(())
}

/// A store with two rows, a header and a head; the check that they are untouched and that the store still works.
fn untouched_after(place: &dyn Place, work: impl Fn(&dyn Store)) {
    let store = place.handle();
    let rows = [row(1, 1, b"one"), row(1, 2, b"two")];
    put_all(&*store, &rows);
    write(&*store, |tx| tx.set_header(b"header").and_then(|()| tx.set_head(b"head"))).unwrap();
    work(&*store);
    for store in [&store, &place.handle()] {
        assert_eq!(everything(&**store), rows);
        assert_eq!(read(&**store, |tx| tx.header()).as_deref(), Some(&b"header"[..]));
        assert_eq!(read(&**store, |tx| tx.head()).as_deref(), Some(&b"head"[..]));
    }
    put_all(&*store, &[row(1, 3, b"three")]);
    assert_eq!(everything(&*place.handle()).len(), 3);
}

/// When the work fails, its error comes back and nothing has changed.
pub fn failing_work_changes_nothing(place: &dyn Place) {
    let failure = StoreError::Aborted(Fault::new(ErrorCode::RefusedByPolicy, "no"));
    untouched_after(place, |store| {
        let outcome = store.write(&mut |tx| {
            vandalise(tx)?;
            Err(failure.clone())
        });
        assert_eq!(outcome, Err(failure.clone()));
        assert_eq!(store.read(&mut |_| Err(failure.clone())), Err(failure.clone()));
    });
}

/// When the work panics, nothing has changed and the lock is free.
pub fn panicking_work_changes_nothing(place: &dyn Place) {
    untouched_after(place, |store| {
        let panic =
            || store.write(&mut |tx| vandalise(tx).map(|()| std::panic::resume_unwind(Box::new("halt"))));
        assert!(catch_unwind(AssertUnwindSafe(panic)).is_err());
        let panic = || store.read(&mut |_| std::panic::resume_unwind(Box::new("halt")));
        assert!(catch_unwind(AssertUnwindSafe(panic)).is_err());
    });
}

/// A transaction sees its own changes before they are committed.
pub fn own_changes_are_seen_inside(place: &dyn Place) {
    let store = place.handle();
    put_all(&*store, &[row(1, 1, b"one"), row(1, 2, b"two")]);
    write(&*store, |tx| {
        tx.set_head(b"head")?;
        tx.put(&row(1, 1, b"uno"))?;
        tx.put(&super::named(1, 3, 5))?;
        tx.delete(1, &id(2))?;
        assert_eq!(tx.head()?.as_deref(), Some(&b"head"[..]));
        assert_eq!(tx.get(1, &id(1))?.map(|r| r.sealed), Some(b"uno".to_vec()));
        assert_eq!(tx.get(1, &id(2))?, None);
        assert_eq!(tx.find(1, &name_index(5))?.map(|r| r.id), Some(id(3)));
        assert_eq!(
            read(&*store, |tx| tx.get(1, &id(2))).map(|r| r.sealed),
            Some(b"two".to_vec()),
            "readers do not"
        );
        Ok(())
    })
    .unwrap();
}

type Model = BTreeMap<(u8, RecordId), Row>;

/// Random transactions, a third of which fail, leave what a simple model says.
pub fn histories_match_a_model(place: &dyn Place) {
    let (store, mut model, mut numbers) = (place.handle(), Model::new(), Numbers(1));
    for revision in 1..=120 {
        let mut next = model.clone();
        let fails = numbers.below(3) == 0;
        let seed = numbers.below(usize::MAX);
        let outcome = write(&*store, |tx| {
            next = model.clone();
            random_changes(tx, &mut next, &mut Numbers(seed as u64), revision)?;
            if fails { Err(StoreError::Full) } else { Ok(()) }
        });
        assert_eq!(outcome.is_err(), fails);
        if !fails {
            model = next;
        }
        assert_eq!(everything(&*store), model.values().cloned().collect::<Vec<_>>());
    }
    assert!(model.len() > 10, "the history should not be trivial");
}

fn random_changes(
    tx: &mut dyn WriteTx,
    model: &mut Model,
    numbers: &mut Numbers,
    revision: u64,
) -> Result<(), StoreError> {
    for _ in 0..numbers.below(8) {
        let (collection, number) = (1 + numbers.byte(3), numbers.byte(20));
        let key = (collection, id(number));
        if numbers.below(3) == 0 {
            assert_eq!(tx.delete(collection, &id(number))?, model.remove(&key).is_some());
            continue;
        }
        let name = (numbers.below(2) == 0).then(|| name_index(numbers.byte(12)));
        let sealed = vec![numbers.byte(255); numbers.below(2_000)];
        let row = Row { revision: Revision::new(revision), name, ..row(collection, number, &sealed) };
        let taken = name.is_some()
            && model.values().any(|r| r.collection == collection && r.name == name && r.id != row.id);
        match tx.put(&row) {
            Ok(()) if !taken => model.insert(key, row),
            Err(StoreError::NameTaken) if taken => None,
            outcome => {
                panic!("a put gave {outcome:?}, though the name was {}", if taken { "taken" } else { "free" })
            }
        };
    }
    Ok(())
}
