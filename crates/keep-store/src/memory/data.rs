//! The rows of a vault as one value, and a change of it as another.

use std::collections::BTreeMap;
use std::sync::Arc;

use keep_types::RecordId;

use super::codec::{row_len, value_len};
use super::room::Size;
use crate::{NameIndex, Row, Scan};

/// Where a row lies.
pub(super) type Key = (u8, RecordId);

/// Everything that one vault holds. A copy shares the rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Data {
    pub(super) header: Option<Arc<[u8]>>,
    pub(super) head: Option<Arc<[u8]>>,
    pub(super) rows: BTreeMap<Key, Arc<Row>>,
    pub(super) names: BTreeMap<(u8, NameIndex), RecordId>,
    size: Size,
}

/// What one transaction changes: `None` in `rows` means that the row goes.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    pub(super) header: Option<Arc<[u8]>>,
    pub(super) head: Option<Arc<[u8]>>,
    pub(super) rows: BTreeMap<Key, Option<Arc<Row>>>,
    /// The names of the rows above.
    names: BTreeMap<(u8, NameIndex), RecordId>,
}

impl Changes {
    /// Writes or removes a row.
    pub(super) fn set(&mut self, key: Key, row: Option<Row>) {
        let name = row.as_ref().and_then(|row| row.name);
        let before = self.rows.insert(key, row.map(Arc::new)).flatten();
        if let Some(old) = before.and_then(|row| row.name) {
            self.names.remove(&(key.0, old));
        }
        if let Some(name) = name {
            self.names.insert((key.0, name), key.1);
        }
    }

    /// The changed row with this name.
    pub(super) fn find(&self, collection: u8, name: &NameIndex) -> Option<&Arc<Row>> {
        let id = self.names.get(&(collection, *name))?;
        self.rows.get(&(collection, *id))?.as_ref()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.header.is_none() && self.head.is_none() && self.rows.is_empty()
    }
}

impl Data {
    pub(super) fn find(&self, collection: u8, name: &NameIndex) -> Option<&Arc<Row>> {
        let id = self.names.get(&(collection, *name))?;
        self.rows.get(&(collection, *id))
    }

    /// How much everything takes in a snapshot.
    pub(super) const fn size(&self) -> Size {
        self.size
    }

    /// How much everything takes once these changes are applied.
    pub(super) fn size_after(&self, changes: &Changes) -> Size {
        let mut size = self.size;
        for (old, new) in [(&self.header, &changes.header), (&self.head, &changes.head)] {
            if let Some(new) = new {
                size.rest -= old.as_deref().map_or(0, value_len);
                size.rest += value_len(new);
            }
        }
        for (key, row) in &changes.rows {
            let counted = size.of(key.0);
            *counted -= self.rows.get(key).map_or(0, |row| row_len(row));
            *counted += row.as_deref().map_or(0, row_len);
        }
        size
    }

    /// Takes the changes over. Names go before they come, so that two rows can swap theirs.
    pub(super) fn apply(&mut self, changes: Changes) {
        self.size = self.size_after(&changes);
        self.header = changes.header.or_else(|| self.header.take());
        self.head = changes.head.or_else(|| self.head.take());
        for key in changes.rows.keys() {
            if let Some(name) = self.rows.remove(key).and_then(|old| old.name) {
                self.names.remove(&(key.0, name));
            }
        }
        for (key, row) in changes.rows {
            let Some(row) = row else { continue };
            if let Some(name) = row.name {
                self.names.insert((key.0, name), key.1);
            }
            self.rows.insert(key, row);
        }
    }
}

/// The keys that a scan visits.
pub(super) fn bounds(scan: &Scan) -> std::ops::RangeInclusive<Key> {
    const LOWEST: RecordId = RecordId::from_bytes([0; 16]);
    const HIGHEST: RecordId = RecordId::from_bytes([0xff; 16]);
    let (first, last) = scan.collection.map_or((0, u8::MAX), |number| (number, number));
    match scan.beyond {
        // From behind the last place of the collection, so that nothing is left beyond the last collection.
        Some(beyond) if beyond >= first => (beyond, HIGHEST)..=(last.max(beyond), HIGHEST),
        _ => (first, LOWEST)..=(last, HIGHEST),
    }
}

/// Whether a scan visits this row, which lies within its bounds.
pub(super) fn wanted(scan: &Scan, row: &Row) -> bool {
    let in_range = match scan.from {
        None => true,
        Some(from) if scan.backwards => row.id <= from,
        Some(from) => row.id >= from,
    };
    in_range
        && scan.beyond.is_none_or(|beyond| row.collection > beyond)
        && scan.after.is_none_or(|after| row.revision > after)
}
