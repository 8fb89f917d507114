//! Rows in SQL.

use std::ops::ControlFlow;
use std::path::Path;

use keep_types::{RecordId, Revision};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Params, ToSql};

use super::fault::translate;
use super::schema::{HEAD, HEADER};
use crate::{NameIndex, ReadTx, Row, Scan, StoreError};

const COLUMNS: &str = "SELECT coll, id, rev, name, sealed FROM rows";
const GET: &str = "SELECT coll, id, rev, name, sealed FROM rows WHERE coll = ?1 AND id = ?2";
const FIND: &str = "SELECT coll, id, rev, name, sealed FROM rows WHERE coll = ?1 AND name = ?2";
const META: &str = "SELECT value FROM meta WHERE key = ?1";

/// The rows as one connection sees them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'c> {
    pub(super) conn: &'c Connection,
    pub(super) path: &'c Path,
}

impl<'c> Rows<'c> {
    pub(super) fn fault(&self, error: &rusqlite::Error) -> StoreError {
        translate(self.path, error)
    }

    pub(super) fn statement(&self, sql: &str) -> Result<CachedStatement<'c>, StoreError> {
        self.conn.prepare_cached(sql).map_err(|e| self.fault(&e))
    }

    fn meta(&self, key: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let mut statement = self.statement(META)?;
        statement.query_row([key], |row| row.get(0)).optional().map_err(|e| self.fault(&e))
    }

    fn one(&self, sql: &str, params: impl Params) -> Result<Option<Row>, StoreError> {
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query(params).map_err(|e| self.fault(&e))?;
        match rows.next().map_err(|e| self.fault(&e))? {
            Some(row) => self.decode(row).map(Some),
            None => Ok(None),
        }
    }

    fn decode(&self, row: &rusqlite::Row<'_>) -> Result<Row, StoreError> {
        decode(row).map_err(|e| match e {
            rusqlite::Error::SqliteFailure(..) => self.fault(&e),
            _ => StoreError::Damaged(format!("{} has a row of impossible form", self.path.display())),
        })
    }
}

fn decode(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        collection: row.get(0)?,
        id: RecordId::from_bytes(row.get(1)?),
        revision: revision(row.get(2)?)?,
        name: row.get(3)?,
        sealed: row.get(4)?,
    })
}

fn revision(number: i64) -> rusqlite::Result<Revision> {
    u64::try_from(number).map(Revision::new).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(2, number))
}

impl ReadTx for Rows<'_> {
    fn header(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.meta(HEADER)
    }

    fn head(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.meta(HEAD)
    }

    fn get(&self, collection: u8, id: &RecordId) -> Result<Option<Row>, StoreError> {
        self.one(GET, (collection, id.as_bytes()))
    }

    fn find(&self, collection: u8, name: &NameIndex) -> Result<Option<Row>, StoreError> {
        self.one(FIND, (collection, name))
    }

    fn scan(&self, scan: Scan, visit: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), StoreError> {
        let (sql, params) = query(&scan);
        let params: Vec<&dyn ToSql> = params.iter().map(|p| p as &dyn ToSql).collect();
        let mut statement = self.statement(&sql)?;
        let mut rows = statement.query(&*params).map_err(|e| self.fault(&e))?;
        while let Some(row) = rows.next().map_err(|e| self.fault(&e))? {
            if visit(self.decode(row)?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The query of a scan. What changed lately is few among many, so it is found through the index on revisions; the
/// planner, which has no statistics, must be told.
fn query(scan: &Scan) -> (String, Vec<rusqlite::types::Value>) {
    let (mut conditions, mut params) = (Vec::new(), Vec::new());
    if let Some(collection) = scan.collection {
        conditions.push("coll = ?");
        params.push(i64::from(collection).into());
    }
    if let Some(beyond) = scan.beyond {
        conditions.push("coll > ?");
        params.push(i64::from(beyond).into());
    }
    if let Some(from) = scan.from {
        conditions.push(if scan.backwards { "id <= ?" } else { "id >= ?" });
        params.push(from.as_bytes().to_vec().into());
    }
    if let Some(after) = scan.after {
        conditions.push("rev > ?");
        // No row has a revision beyond what an SQLite integer holds.
        params.push(i64::try_from(after.get()).unwrap_or(i64::MAX).into());
    }
    let mut sql = COLUMNS.to_owned();
    if scan.after.is_some() {
        sql.push_str(" INDEXED BY rows_by_rev");
    } else if scan.collection.is_none() {
        // By the way that `get` goes, so that a row to which the index does not lead is missed here too.
        sql.push_str(" INDEXED BY sqlite_autoindex_rows_1");
    }
    for (n, condition) in conditions.iter().enumerate() {
        sql.push_str(if n == 0 { " WHERE " } else { " AND " });
        sql.push_str(condition);
    }
    sql.push_str(match (scan.collection.is_some(), scan.backwards) {
        (true, false) => " ORDER BY id",
        (true, true) => " ORDER BY id DESC",
        (false, _) if scan.after.is_some() => "",
        (false, false) => " ORDER BY coll, id",
        (false, true) => " ORDER BY coll DESC, id DESC",
    });
    (sql, params)
}
