//! Reading a database that is too damaged to be opened.

use keep_types::{RecordId, Revision};

use crate::Row;

/// Something that looks like a record. Nothing says that it is one but its seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A row.
    Row(Row),
    /// A header or a head.
    Value(Vec<u8>),
}

/// Serial types of SQLite's record format: a blob of 16 bytes, a blob of 32 bytes, and null.
const ID: u8 = 12 + 2 * 16;
const NAME: u8 = 12 + 2 * 32;
const NULL: u8 = 0;
/// Headers and heads are of such a length, in bytes.
const VALUES: std::ops::RangeInclusive<usize> = 60..=2_000;

/// Tries every byte of a database file or a write-ahead log as the beginning of a record (SQLite's file format, section
/// 2.1) and hands over what looks like one. Needs no page, index or file header to be whole; what lies in overflow pages is
/// not found. Old versions and deleted rows may be among it.
pub fn salvage(bytes: &[u8], found: &mut dyn FnMut(Found)) {
    for at in 0..bytes.len() {
        if let Some(row) = row(&bytes[at..]) {
            found(Found::Row(row));
        } else if let Some(value) = value(&bytes[at..]) {
            found(Found::Value(value));
        }
    }
}

/// The record of a row: collection, id, revision, name, sealed.
fn row(bytes: &[u8]) -> Option<Row> {
    let &[header, collection, ID, revision, name, ..] = bytes else { return None };
    if name != NAME && name != NULL {
        return None;
    }
    let (sealed, length) = blob(&bytes[5..])?;
    if usize::from(header) != 5 + length {
        return None;
    }
    let mut body = Body(bytes.get(5 + length..)?);
    Some(Row {
        collection: u8::try_from(body.integer(collection)?).ok()?,
        id: RecordId::from_bytes(body.take(16)?.try_into().ok()?),
        revision: Revision::new(u64::try_from(body.integer(revision)?).ok()?),
        name: if name == NAME { Some(body.take(32)?.try_into().ok()?) } else { None },
        sealed: body.take(sealed)?.to_vec(),
    })
}

/// The record of a header or a head: the key is the row number, then the value.
fn value(bytes: &[u8]) -> Option<Vec<u8>> {
    let &[header, NULL, ..] = bytes else { return None };
    let (value, length) = blob(&bytes[2..])?;
    let fits = usize::from(header) == 2 + length && VALUES.contains(&value);
    let body = if fits { bytes.get(2 + length..)? } else { return None };
    body.get(..value).map(<[u8]>::to_vec)
}

/// The length of a blob by its serial type, and that of the serial type itself (a varint of up to 3 bytes).
fn blob(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut serial = 0;
    for (n, byte) in bytes.iter().take(3).enumerate() {
        serial = serial << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            let is_blob = serial >= 12 && serial % 2 == 0;
            return is_blob.then_some(((serial.checked_sub(12)?) / 2, n + 1));
        }
    }
    None
}

struct Body<'b>(&'b [u8]);

impl<'b> Body<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A big-endian integer of the length that its serial type says.
    fn integer(&mut self, serial: u8) -> Option<i64> {
        let length = match serial {
            1..=4 => usize::from(serial),
            5 => 6,
            6 => 8,
            8 => return Some(0),
            9 => return Some(1),
            _ => return None,
        };
        let bytes = self.take(length)?;
        let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
        Some(bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteStore, Store};

    fn everything(bytes: &[u8]) -> Vec<Found> {
        let mut all = Vec::new();
        salvage(bytes, &mut |found| all.push(found));
        all
    }

    #[test]
    fn rows_and_header_are_found_in_a_heap_of_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keep.db");
        let store = SqliteStore::create(&path).unwrap();
        let mut rows = Vec::new();
        for (n, revision) in [0, 1, 2, 200, 70_000, 1 << 40, i64::MAX as u64].into_iter().enumerate() {
            let (id, name) = (RecordId::from_bytes([n as u8; 16]), (n % 2 == 0).then_some([n as u8; 32]));
            let sealed = vec![n as u8; 60 + 300 * n];
            let row = Row { collection: n as u8, id, revision: Revision::new(revision), name, sealed };
            store.write(&mut |tx| tx.put(&row)).unwrap();
            rows.push(row);
        }
        store.write(&mut |tx| tx.set_header(&[9; 150])).unwrap();
        drop(store);
        let mut bytes = std::fs::read(path).unwrap();
        bytes[..100].fill(0xff);
        let found = everything(&bytes[1..]);
        for row in rows {
            assert!(found.contains(&Found::Row(row.clone())), "{}", row.collection);
        }
        assert!(found.contains(&Found::Value(vec![9; 150])));
    }

    #[test]
    fn noise_is_survived() {
        let noise: Vec<u8> =
            (0..100_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        everything(&noise);
        assert_eq!(everything(&[0; 5_000]), []);
    }
}
