//! Changes as bytes: what a [`ChangeLog`](crate::ChangeLog) keeps.
//!
//! A sequence of items, each with a leading tag; lengths and revisions are big-endian. `docs/formats/reserve.md`
//! describes it.

use std::sync::Arc;

use keep_types::{RecordId, Revision};

use super::data::{Changes, Data, Key};
use crate::{Row, StoreError};

/// The header comes first, if it is there.
pub(super) const HEADER: u8 = 1;
const HEAD: u8 = 2;
const PUT: u8 = 3;
const PUT_NAMED: u8 = 4;
const DELETE: u8 = 5;

/// A tag and a length before a header or a head.
const VALUE_OVERHEAD: usize = 1 + 4;
/// Tag, collection, id, revision and length of a row.
const ROW_OVERHEAD: usize = 1 + 1 + 16 + 8 + 4;

/// How many bytes a row takes in a snapshot.
pub(super) fn row_len(row: &Row) -> usize {
    ROW_OVERHEAD + row.name.map_or(0, |name| name.len()) + row.sealed.len()
}

/// How many bytes a header or a head takes in a snapshot.
pub(super) const fn value_len(value: &[u8]) -> usize {
    VALUE_OVERHEAD + value.len()
}

/// One transaction's changes.
pub(super) fn encode_changes(changes: &Changes) -> Vec<u8> {
    let mut out = Vec::new();
    values(&mut out, changes.header.as_deref(), changes.head.as_deref());
    for (key, row) in &changes.rows {
        match row {
            Some(row) => put(&mut out, row),
            None => {
                out.extend_from_slice(&[DELETE, key.0]);
                out.extend_from_slice(key.1.as_bytes());
            }
        }
    }
    out
}

/// Everything, as the change that makes it from nothing.
pub(super) fn encode_everything(data: &Data) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.size().total());
    values(&mut out, data.header.as_deref(), data.head.as_deref());
    data.rows.values().for_each(|row| put(&mut out, row));
    out
}

fn values(out: &mut Vec<u8>, header: Option<&[u8]>, head: Option<&[u8]>) {
    for (tag, value) in [(HEADER, header), (HEAD, head)] {
        if let Some(value) = value {
            out.push(tag);
            sized(out, value);
        }
    }
}

fn put(out: &mut Vec<u8>, row: &Row) {
    out.extend_from_slice(&[if row.name.is_some() { PUT_NAMED } else { PUT }, row.collection]);
    out.extend_from_slice(row.id.as_bytes());
    out.extend_from_slice(&row.revision.get().to_be_bytes());
    out.extend_from_slice(row.name.as_ref().map_or(&[], |name| &name[..]));
    sized(out, &row.sealed);
}

/// Lengths fit: nothing in memory reaches 4 GiB, and a log refuses far smaller changes.
fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Reads what [`encode_changes`] or [`encode_everything`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<Changes, StoreError> {
    let mut input = Input(bytes);
    let mut changes = Changes::default();
    while !input.0.is_empty() {
        item(&mut input, &mut changes).ok_or_else(|| StoreError::Damaged("a change does not read".into()))?;
    }
    Ok(changes)
}

fn item(input: &mut Input<'_>, changes: &mut Changes) -> Option<()> {
    match input.array::<1>()?[0] {
        HEADER => changes.header = Some(input.sized()?.into()),
        HEAD => changes.head = Some(input.sized()?.into()),
        tag @ (PUT | PUT_NAMED) => {
            let (collection, id) = input.key()?;
            let revision = Revision::new(u64::from_be_bytes(input.array()?));
            let name = if tag == PUT_NAMED { Some(input.array()?) } else { None };
            let sealed = input.sized()?.to_vec();
            changes.set((collection, id), Some(Row { collection, id, revision, name, sealed }));
        }
        DELETE => changes.set(input.key()?, None),
        _ => return None,
    }
    Some(())
}

struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn sized(&mut self) -> Option<&'b [u8]> {
        let length = u32::from_be_bytes(self.array()?);
        self.take(usize::try_from(length).ok()?)
    }

    fn key(&mut self) -> Option<Key> {
        let collection = self.array::<1>()?[0];
        Some((collection, RecordId::from_bytes(self.array()?)))
    }
}

impl Data {
    /// What these changes, one after the other, make from nothing.
    pub(super) fn replay<B: AsRef<[u8]>>(
        parts: impl IntoIterator<Item = B>,
    ) -> Result<Arc<Self>, StoreError> {
        let mut data = Self::default();
        for part in parts {
            data.apply(decode(part.as_ref())?);
        }
        Ok(Arc::new(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u8, name: Option<u8>, length: usize) -> Row {
        let sealed = vec![number; length];
        let id = RecordId::from_bytes([number; 16]);
        Row { collection: number % 3, id, revision: Revision::new(7), name: name.map(|n| [n; 32]), sealed }
    }

    fn data() -> Data {
        let mut changes = Changes::default();
        changes.head = Some(b"head".as_slice().into());
        changes.header = Some(b"header".as_slice().into());
        for n in 0..9 {
            let row = row(n, (n % 2 == 0).then_some(n), 100 * usize::from(n));
            changes.set((row.collection, row.id), Some(row));
        }
        let mut data = Data::default();
        data.apply(changes);
        data
    }

    #[test]
    fn everything_comes_back_and_takes_what_was_said() {
        let data = data();
        let bytes = encode_everything(&data);
        assert_eq!(bytes.len(), data.size().total());
        let back = Data::replay([&bytes]).unwrap();
        assert_eq!((&back.header, &back.head, &back.rows), (&data.header, &data.head, &data.rows));
        assert_eq!((&back.names, back.size()), (&data.names, data.size()));
    }

    #[test]
    fn changes_follow_each_other() {
        let mut data = data();
        let whole = encode_everything(&data);
        let mut changes = Changes::default();
        changes.set((0, RecordId::from_bytes([3; 16])), None);
        changes.set((1, RecordId::from_bytes([4; 16])), Some(row(4, Some(99), 3)));
        let change = encode_changes(&changes);
        data.apply(changes);
        let back = Data::replay([whole, change]).unwrap();
        assert_eq!((&back.rows, &back.names, back.size()), (&data.rows, &data.names, data.size()));
        assert_eq!(encode_everything(&back).len(), back.size().total());
    }

    #[test]
    fn what_is_cut_or_strange_is_damaged() {
        let bytes = encode_everything(&data());
        let whole = (0..bytes.len()).filter(|cut| decode(&bytes[..*cut]).is_ok()).count();
        assert_eq!(whole, 11, "only between items");
        assert!(decode(&[9]).is_err());
        assert!(decode(&[HEAD, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
    }
}
