//! Scans in every order and range.

use std::ops::ControlFlow;

use keep_types::{RecordId, Revision};

use super::{Numbers, Place, id, put_all, read, row, scanned, write};
use crate::{ReadTx, Row, Scan};

/// Rows in three collections, with random ids and revisions from 1 to 9.
fn population(numbers: &mut Numbers) -> Vec<Row> {
    let mut rows: Vec<Row> = (0..90)
        .map(|n| {
            let mut bytes = [0; 16];
            bytes.fill_with(|| numbers.byte(255));
            let revision = Revision::new(1 + numbers.below(9) as u64);
            Row { id: RecordId::from_bytes(bytes), revision, ..row([1, 3, 255][n % 3], 0, &[n as u8]) }
        })
        .collect();
    rows.extend([
        row(3, 0, b"lowest"),
        Row { id: RecordId::from_bytes([0xff; 16]), ..row(3, 0, b"highest") },
    ]);
    rows.sort_by_key(|row| (row.collection, row.id));
    rows
}

/// Every combination of what a scan can ask, from ids that exist and ids that do not.
fn questions(rows: &[Row]) -> Vec<Scan> {
    let ids = [rows[0].id, rows[40].id, rows[rows.len() - 1].id, id(7), RecordId::from_bytes([0xff; 16])];
    let froms: Vec<_> = std::iter::once(None).chain(ids.into_iter().map(Some)).collect();
    let mut questions = Vec::new();
    for collection in [None, Some(1), Some(2), Some(3), Some(255)] {
        for from in &froms {
            for after in [None, Some(0), Some(4), Some(9), Some(u64::MAX)] {
                for (backwards, beyond) in
                    [(false, None), (true, None), (false, Some(1)), (true, Some(2)), (false, Some(255))]
                {
                    let after = after.map(Revision::new);
                    questions.push(Scan { collection, beyond, from: *from, after, backwards });
                }
            }
        }
    }
    questions
}

/// What a scan must visit. Without a collection the order is free, so both sides are sorted.
fn compare(tx: &dyn ReadTx, rows: &[Row], scan: Scan) {
    let mut expected: Vec<Row> = rows
        .iter()
        .filter(|row| scan.collection.is_none_or(|number| row.collection == number))
        .filter(|row| scan.beyond.is_none_or(|number| row.collection > number))
        .filter(|row| {
            scan.from.is_none_or(|from| if scan.backwards { row.id <= from } else { row.id >= from })
        })
        .filter(|row| scan.after.is_none_or(|after| row.revision > after))
        .cloned()
        .collect();
    let mut visited = scanned(tx, scan);
    if scan.collection.is_none() {
        visited.sort_by_key(|row| (row.collection, row.id));
    } else if scan.backwards {
        expected.reverse();
    }
    assert_eq!(visited, expected, "{scan:?}");
}

/// Scans visit what a filter over all rows gives, in the order of ids.
pub fn scans_match_a_model(place: &dyn Place) {
    let (store, rows) = (place.handle(), population(&mut Numbers(3)));
    put_all(&*store, &rows);
    read(&*store, |tx| {
        questions(&rows).into_iter().for_each(|scan| compare(tx, &rows, scan));
        Ok(())
    });
}

/// The same inside a transaction that has replaced, removed and added rows.
pub fn scans_inside_a_transaction_match_a_model(place: &dyn Place) {
    let (store, mut rows) = (place.handle(), population(&mut Numbers(4)));
    put_all(&*store, &rows);
    write(&*store, |tx| {
        for n in (0..rows.len()).rev().step_by(5) {
            assert!(tx.delete(rows[n].collection, &rows[n].id)?);
            rows.remove(n);
        }
        for row in rows.iter_mut().step_by(3) {
            row.revision = Revision::new(12);
            row.sealed = b"replaced".to_vec();
            tx.put(row)?;
        }
        let added = Row { revision: Revision::new(12), ..row(2, 77, b"added") };
        tx.put(&added)?;
        rows.push(added);
        rows.sort_by_key(|row| (row.collection, row.id));
        questions(&rows[..]).into_iter().for_each(|scan| compare(tx, &rows, scan));
        Ok(())
    })
    .unwrap();
}

/// A visitor can stop early, and can read other rows (and scan again) while it visits.
pub fn a_visitor_may_stop_and_may_look(place: &dyn Place) {
    let store = place.handle();
    put_all(&*store, &(0..20).map(|n| row(1, n, &[n])).collect::<Vec<_>>());
    read(&*store, |tx| {
        let mut visited = 0;
        let scan = Scan { collection: Some(1), ..Scan::everything() };
        tx.scan(scan, &mut |row| {
            assert_eq!(tx.get(1, &row.id).unwrap().as_ref(), Some(&row));
            assert_eq!(scanned(tx, scan.from(row.id)).len(), 20 - visited);
            visited += 1;
            if visited == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        assert_eq!(visited, 7);
        Ok(())
    });
}
