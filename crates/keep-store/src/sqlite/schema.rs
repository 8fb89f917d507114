//! What the database file holds, and how a file that holds something else is told.

use std::path::Path;

use rusqlite::Connection;

use super::fault::translate;
use super::place::beside;
use crate::StoreError;

/// "Keep", in the field of the file header that tells applications apart (offset 68).
const APPLICATION_ID: i64 = 0x4b65_6570;

/// The newest format that this version knows; it stands in `user_version` (offset 60).
pub(super) const FORMAT: u32 = 1;

/// Rows lie in a table with a hidden row number: rows written together lie together. With the rows inside the primary
/// key's tree, where ids are random, a commit of 32 requests touches twice as many pages and takes twice as long.
const SCHEMA: &str = "
    CREATE TABLE rows (
        coll   INTEGER NOT NULL,
        id     BLOB NOT NULL,
        rev    INTEGER NOT NULL,
        name   BLOB,
        sealed BLOB NOT NULL,
        PRIMARY KEY (coll, id)
    ) STRICT;
    CREATE INDEX rows_by_rev ON rows (rev);
    CREATE UNIQUE INDEX rows_by_name ON rows (coll, name) WHERE name IS NOT NULL;
    CREATE TABLE meta (key INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
";

/// The keys of the table `meta`.
pub(super) const HEADER: i64 = 1;
pub(super) const HEAD: i64 = 2;

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An empty database: nothing was made here, or making it was interrupted.
    Blank,
    /// A store of a format that this version knows.
    Store,
}

/// Looks what the file is, without changing it.
pub(super) fn examine(conn: &Connection, path: &Path) -> Result<Kind, StoreError> {
    let number = |sql: &str| -> Result<i64, StoreError> {
        conn.query_row(sql, [], |row| row.get(0)).map_err(|e| translate(path, &e))
    };
    let objects = number("SELECT count(*) FROM sqlite_schema")?;
    let application = number("PRAGMA application_id")?;
    if objects == 0 && application == 0 {
        return Ok(Kind::Blank);
    }
    if application != APPLICATION_ID {
        return Err(StoreError::Damaged(format!("{} is a database of another program", path.display())));
    }
    let found = u32::try_from(number("PRAGMA user_version")?).unwrap_or(u32::MAX);
    if found > FORMAT {
        return Err(StoreError::TooNew { found, known: FORMAT });
    }
    let parts = number(
        "SELECT count(*) FROM sqlite_schema WHERE (type, name) IN \
         (VALUES ('table', 'rows'), ('table', 'meta'), ('index', 'rows_by_rev'), ('index', 'rows_by_name'))",
    )?;
    if found == 0 || parts != 4 {
        return Err(StoreError::Damaged(format!(
            "{} lacks a table, an index or its format number",
            path.display()
        )));
    }
    Ok(Kind::Store)
}

/// Refuses a file that was cut within its last page; SQLite itself notices only whole pages that are missing. While
/// there is a log the file may be in the middle of growing, and the log makes it whole.
pub(super) fn require_whole_pages(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
    if length(&beside(path, "-wal")) > 0 {
        return Ok(());
    }
    let page: u32 =
        conn.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(|e| translate(path, &e))?;
    if length(path) % u64::from(page.max(1)) == 0 {
        return Ok(());
    }
    Err(StoreError::Damaged(format!("{} is truncated: it ends within a page", path.display())))
}

/// Makes the tables. The caller has a transaction open.
pub(super) fn build(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(SCHEMA)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", FORMAT)
}
