//! Rows of every kind.

use keep_types::{Collection, Revision};

use super::{Place, everything, id, put_all, read, row, write};
use crate::Row;

/// Rows of no bytes and of several megabytes come back as they were.
pub fn every_size_comes_back(place: &dyn Place) {
    let store = place.handle();
    let sizes = [0, 1, 100, 4_000, 4_096, 5_000, 70_000, 1 << 20, 5 << 20];
    let rows: Vec<Row> = (0..).zip(sizes).map(|(n, size)| row(2, n, &vec![n ^ 0xa5; size])).collect();
    put_all(&*store, &rows);
    assert_eq!(everything(&*place.handle()), rows);
    let shrunk: Vec<Row> = (0..).zip(&rows).map(|(n, _)| row(2, n, b"small")).collect();
    put_all(&*store, &shrunk);
    assert_eq!(everything(&*place.handle()), shrunk);
}

/// Collections that this version has no name for are kept and visited like others.
pub fn unknown_collections_are_carried(place: &dyn Place) {
    let store = place.handle();
    let unknown: Vec<u8> = [0, 20, 127, 128, 200, 255].into_iter().collect();
    assert!(unknown.iter().all(|number| Collection::from_number(*number).is_none()));
    let rows: Vec<Row> = unknown.iter().map(|number| row(*number, 1, &[*number])).collect();
    put_all(&*store, &rows);
    assert_eq!(everything(&*place.handle()), rows);
    for row in &rows {
        assert_eq!(read(&*store, |tx| tx.get(row.collection, &row.id)).as_ref(), Some(row));
    }
}

/// Revisions up to 2^63 - 1 come back; larger ones never occur and may be refused, but not changed.
pub fn the_largest_revision_comes_back(place: &dyn Place) {
    let store = place.handle();
    let largest = Row { revision: Revision::new(i64::MAX as u64), ..row(1, 1, b"late") };
    put_all(&*store, std::slice::from_ref(&largest));
    let beyond = Row { revision: Revision::new(u64::MAX), ..row(1, 2, b"later") };
    let accepted = write(&*store, |tx| tx.put(&beyond)).is_ok();
    let expected = if accepted { vec![largest, beyond] } else { vec![largest] };
    assert_eq!(everything(&*store), expected);
}

/// Deleting says whether there was a row.
pub fn deleting_says_whether(place: &dyn Place) {
    let store = place.handle();
    put_all(&*store, &[row(1, 1, b"one")]);
    write(&*store, |tx| {
        assert!(!tx.delete(1, &id(2))?);
        assert!(!tx.delete(2, &id(1))?);
        assert!(tx.delete(1, &id(1))?);
        assert!(!tx.delete(1, &id(1))?);
        Ok(())
    })
    .unwrap();
    assert!(!write(&*store, |tx| tx.delete(1, &id(1))).unwrap());
    assert_eq!(everything(&*store), []);
}

/// Header and head are independent, and replaced as a whole.
pub fn header_and_head_are_replaced(place: &dyn Place) {
    let store = place.handle();
    write(&*store, |tx| tx.set_header(&[1; 5_000])).unwrap();
    assert_eq!(read(&*store, |tx| tx.head()), None);
    write(&*store, |tx| tx.set_head(&[2; 300])).unwrap();
    write(&*store, |tx| tx.set_header(b"")).unwrap();
    let both = read(&*place.handle(), |tx| Ok((tx.header()?, tx.head()?)));
    assert_eq!(both, (Some(Vec::new()), Some(vec![2; 300])));
}
