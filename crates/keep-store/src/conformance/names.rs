//! The index of names.

use super::{Place, everything, id, name_index, named, put_all, read, row, write};
use crate::StoreError;

/// A row is found by its name, in its own collection only.
pub fn a_name_is_found(place: &dyn Place) {
    let store = place.handle();
    put_all(
        &*store,
        &[named(1, 1, 1), named(1, 2, 2), named(2, 3, 1), row(2, 4, b"nameless"), row(2, 5, b"too")],
    );
    let find =
        |collection, name| read(&*store, |tx| tx.find(collection, &name_index(name))).map(|row| row.id);
    assert_eq!(find(1, 1), Some(id(1)));
    assert_eq!(find(1, 2), Some(id(2)));
    assert_eq!(find(2, 1), Some(id(3)));
    assert_eq!(find(2, 2), None);
    assert_eq!(find(3, 1), None);
}

/// A name that another row has is refused; the transaction goes on as if it had not been tried.
pub fn a_taken_name_is_refused(place: &dyn Place) {
    let store = place.handle();
    put_all(&*store, &[named(1, 1, 1), named(1, 2, 2)]);
    write(&*store, |tx| {
        assert_eq!(tx.put(&named(1, 3, 1)), Err(StoreError::NameTaken));
        assert_eq!(tx.get(1, &id(3))?, None);
        assert_eq!(tx.put(&named(1, 2, 1)), Err(StoreError::NameTaken));
        assert_eq!(tx.get(1, &id(2))?, Some(named(1, 2, 2)));
        tx.put(&named(1, 4, 4))?;
        assert_eq!(tx.put(&named(1, 5, 4)), Err(StoreError::NameTaken), "a name of the same transaction");
        tx.put(&named(1, 1, 1))
    })
    .unwrap();
    assert_eq!(everything(&*store), [named(1, 1, 1), named(1, 2, 2), named(1, 4, 4)]);
}

/// Deleting, renaming or unnaming a row frees its name, at once.
pub fn names_become_free(place: &dyn Place) {
    let store = place.handle();
    put_all(&*store, &[named(1, 1, 1), named(1, 2, 2), named(1, 3, 3)]);
    write(&*store, |tx| {
        tx.delete(1, &id(1))?;
        tx.put(&named(1, 2, 20))?;
        tx.put(&row(1, 3, b"nameless"))?;
        for name in 1..=3 {
            assert_eq!(tx.find(1, &name_index(name))?, None);
            tx.put(&named(1, 10 + name, name))?;
        }
        Ok(())
    })
    .unwrap();
    for name in 1..=3 {
        assert_eq!(read(&*store, |tx| tx.find(1, &name_index(name))).map(|row| row.id), Some(id(10 + name)));
    }
    assert_eq!(read(&*store, |tx| tx.find(1, &name_index(20))).map(|row| row.id), Some(id(2)));
}

/// Two rows exchange their names in one transaction, by way of a third name.
pub fn names_can_be_swapped(place: &dyn Place) {
    let store = place.handle();
    put_all(&*store, &[named(1, 1, 1), named(1, 2, 2)]);
    write(&*store, |tx| {
        tx.put(&named(1, 1, 9))?;
        tx.put(&named(1, 2, 1))?;
        tx.put(&named(1, 1, 2))
    })
    .unwrap();
    let find = |name| read(&*store, |tx| tx.find(1, &name_index(name))).map(|row| row.id);
    assert_eq!((find(1), find(2), find(9)), (Some(id(2)), Some(id(1)), None));
}
