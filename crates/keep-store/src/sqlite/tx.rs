//! The transaction that writes.

use std::ops::ControlFlow;

use keep_types::{ErrorCode, Fault, RecordId};
use rusqlite::Params;

use super::fault::is_name_conflict;
use super::rows::Rows;
use super::schema::{HEAD, HEADER};
use crate::{NameIndex, ReadTx, Row, Scan, StoreError, WriteTx};

const PUT: &str = "INSERT INTO rows (coll, id, rev, name, sealed) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (coll, id) DO UPDATE SET rev = excluded.rev, name = excluded.name, sealed = excluded.sealed";
const DELETE: &str = "DELETE FROM rows WHERE coll = ?1 AND id = ?2";
const SET_META: &str = "INSERT INTO meta (key, value) VALUES (?1, ?2) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// An exclusive transaction on the connection that writes.
///
/// Some failures (a full disk, an unreadable page) end SQLite's transaction at once. What is done afterwards would
/// stand on its own, so after the first failure of a write nothing more is done and nothing is committed, even if the
/// work goes on.
#[derive(Debug)]
pub(super) struct SqliteWrite<'c> {
    rows: Rows<'c>,
    failed: Option<StoreError>,
    /// The data version when this handle last asked.
    seen: Option<i64>,
}

impl<'c> SqliteWrite<'c> {
    pub(super) fn new(rows: Rows<'c>, seen: Option<i64>) -> Self {
        Self { rows, failed: None, seen }
    }

    /// The data version that was seen, if the transaction may be committed.
    pub(super) fn finish(self) -> Result<Option<i64>, StoreError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.rows.conn.is_autocommit() => Err(self.ended()),
            None => Ok(self.seen),
        }
    }

    fn ended(&self) -> StoreError {
        StoreError::Io(format!("{}: the transaction ended early", self.rows.path.display()))
    }

    /// Refuses to go on after a failure.
    fn alive(&self) -> Result<(), StoreError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.rows.conn.is_autocommit() => Err(self.ended()),
            None => Ok(()),
        }
    }

    /// Runs a statement that changes something; says how many rows.
    fn change(&mut self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.alive()?;
        let rows = self.rows;
        let outcome = rows.statement(sql).and_then(|mut statement| {
            statement.execute(params).map_err(|e| match is_name_conflict(&e) {
                true => StoreError::NameTaken,
                false => rows.fault(&e),
            })
        });
        if let Err(error) = &outcome
            && *error != StoreError::NameTaken
        {
            self.failed = Some(error.clone());
        }
        outcome
    }
}

impl ReadTx for SqliteWrite<'_> {
    fn header(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.alive()?;
        self.rows.header()
    }

    fn head(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.alive()?;
        self.rows.head()
    }

    fn get(&self, collection: u8, id: &RecordId) -> Result<Option<Row>, StoreError> {
        self.alive()?;
        self.rows.get(collection, id)
    }

    fn find(&self, collection: u8, name: &NameIndex) -> Result<Option<Row>, StoreError> {
        self.alive()?;
        self.rows.find(collection, name)
    }

    fn scan(&self, scan: Scan, visit: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), StoreError> {
        self.alive()?;
        self.rows.scan(scan, visit)
    }
}

impl WriteTx for SqliteWrite<'_> {
    fn put(&mut self, row: &Row) -> Result<(), StoreError> {
        let revision = i64::try_from(row.revision.get())
            .map_err(|_| StoreError::Aborted(Fault::new(ErrorCode::Bug, "a revision beyond 2^63 - 1")))?;
        self.change(PUT, (row.collection, row.id.as_bytes(), revision, row.name, &row.sealed))?;
        Ok(())
    }

    fn delete(&mut self, collection: u8, id: &RecordId) -> Result<bool, StoreError> {
        Ok(self.change(DELETE, (collection, id.as_bytes()))? > 0)
    }

    fn set_header(&mut self, header: &[u8]) -> Result<(), StoreError> {
        self.change(SET_META, (HEADER, header)).map(drop)
    }

    fn set_head(&mut self, head: &[u8]) -> Result<(), StoreError> {
        self.change(SET_META, (HEAD, head)).map(drop)
    }

    fn changed_by_others(&mut self) -> Result<bool, StoreError> {
        self.alive()?;
        // The version moves with the commits of every other connection and stays with our own.
        let mut statement = self.rows.statement("PRAGMA data_version")?;
        let now = statement.query_row([], |row| row.get(0)).map_err(|e| self.rows.fault(&e))?;
        Ok(self.seen.replace(now) != Some(now))
    }
}
