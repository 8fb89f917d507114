//! Transactions on a store in memory.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use keep_types::RecordId;

use super::data::{Changes, Data, Key, bounds, wanted};
use crate::{NameIndex, ReadTx, Row, Scan, StoreError, WriteTx};

/// A view of the rows as they were when it was taken.
#[derive(Debug)]
pub(super) struct MemoryRead<'d> {
    pub(super) data: &'d Data,
}

impl ReadTx for MemoryRead<'_> {
    fn header(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.data.header.as_deref().map(<[u8]>::to_vec))
    }

    fn head(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.data.head.as_deref().map(<[u8]>::to_vec))
    }

    fn get(&self, collection: u8, id: &RecordId) -> Result<Option<Row>, StoreError> {
        Ok(self.data.rows.get(&(collection, *id)).map(|row| Row::clone(row)))
    }

    fn find(&self, collection: u8, name: &NameIndex) -> Result<Option<Row>, StoreError> {
        Ok(self.data.find(collection, name).map(|row| Row::clone(row)))
    }

    fn scan(&self, scan: Scan, visit: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), StoreError> {
        walk(self.data.rows.range(bounds(&scan)).map(|(_, row)| row), &scan, visit);
        Ok(())
    }
}

/// Visits what the scan wants of `rows`, which come in order.
fn walk<'r>(
    rows: impl DoubleEndedIterator<Item = &'r Arc<Row>>,
    scan: &Scan,
    visit: &mut dyn FnMut(Row) -> ControlFlow<()>,
) {
    let mut visit =
        |row: &Arc<Row>| if wanted(scan, row) { visit(Row::clone(row)) } else { ControlFlow::Continue(()) };
    // Breaking is the visitor's right and no failure.
    let _ = if scan.backwards {
        rows.rev().try_for_each(&mut visit)
    } else {
        rows.into_iter().try_for_each(&mut visit)
    };
}

/// The rows as they were, and the changes of one transaction over them.
#[derive(Debug)]
pub(super) struct MemoryWrite<'d> {
    base: &'d Data,
    changes: Changes,
    others: u64,
    seen: u64,
}

impl<'d> MemoryWrite<'d> {
    /// `others`: how many commits others have made; `seen`: that number plus one when this handle last asked.
    pub(super) fn new(base: &'d Data, others: u64, seen: u64) -> Self {
        Self { base, changes: Changes::default(), others, seen }
    }

    /// What changed, and what was seen.
    pub(super) fn finish(self) -> (Changes, u64) {
        (self.changes, self.seen)
    }

    fn row(&self, key: &Key) -> Option<&Arc<Row>> {
        match self.changes.rows.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.base.rows.get(key),
        }
    }

    fn named(&self, collection: u8, name: &NameIndex) -> Option<&Arc<Row>> {
        self.changes.find(collection, name).or_else(|| {
            let row = self.base.find(collection, name)?;
            let untouched = !self.changes.rows.contains_key(&(collection, row.id));
            untouched.then_some(row)
        })
    }
}

impl ReadTx for MemoryWrite<'_> {
    fn header(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.changes.header.as_deref().or(self.base.header.as_deref()).map(<[u8]>::to_vec))
    }

    fn head(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.changes.head.as_deref().or(self.base.head.as_deref()).map(<[u8]>::to_vec))
    }

    fn get(&self, collection: u8, id: &RecordId) -> Result<Option<Row>, StoreError> {
        Ok(self.row(&(collection, *id)).map(|row| Row::clone(row)))
    }

    fn find(&self, collection: u8, name: &NameIndex) -> Result<Option<Row>, StoreError> {
        Ok(self.named(collection, name).map(|row| Row::clone(row)))
    }

    fn scan(&self, scan: Scan, visit: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), StoreError> {
        let mut rows: BTreeMap<&Key, &Arc<Row>> = self.base.rows.range(bounds(&scan)).collect();
        for (key, changed) in self.changes.rows.range(bounds(&scan)) {
            match changed {
                Some(row) => rows.insert(key, row),
                None => rows.remove(key),
            };
        }
        walk(rows.into_values(), &scan, visit);
        Ok(())
    }
}

impl WriteTx for MemoryWrite<'_> {
    fn put(&mut self, row: &Row) -> Result<(), StoreError> {
        if let Some(name) = &row.name
            && self.named(row.collection, name).is_some_and(|other| other.id != row.id)
        {
            return Err(StoreError::NameTaken);
        }
        self.changes.set((row.collection, row.id), Some(row.clone()));
        Ok(())
    }

    fn delete(&mut self, collection: u8, id: &RecordId) -> Result<bool, StoreError> {
        let key = (collection, *id);
        let existed = self.row(&key).is_some();
        if existed {
            self.changes.set(key, None);
        }
        Ok(existed)
    }

    fn set_header(&mut self, header: &[u8]) -> Result<(), StoreError> {
        self.changes.header = Some(header.into());
        Ok(())
    }

    fn set_head(&mut self, head: &[u8]) -> Result<(), StoreError> {
        self.changes.head = Some(head.into());
        Ok(())
    }

    fn changed_by_others(&mut self) -> Result<bool, StoreError> {
        let now = self.others + 1;
        Ok(std::mem::replace(&mut self.seen, now) != now)
    }
}
