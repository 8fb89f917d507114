//! Connections, all with the same care.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::fault::translate;
use super::options::SqliteOptions;
use crate::StoreError;

/// Opens connections to one database.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    path: PathBuf,
    vfs: Option<String>,
    wait: Duration,
    sync: bool,
}

/// Statements that one connection keeps prepared: all that there are.
const STATEMENTS: usize = 48;

/// Safe against power loss (`synchronous`, the two `fullfsync` for macOS), against traces of deleted rows
/// (`secure_delete`), and against a database that was tampered with (`trusted_schema`, `cell_size_check`; no mapped
/// pages). Checkpoints happen in a thread of their own, never inside a commit (`wal_autocheckpoint`).
const CARE: &str = "
    PRAGMA fullfsync = ON;
    PRAGMA checkpoint_fullfsync = ON;
    PRAGMA secure_delete = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA mmap_size = 0;
    PRAGMA temp_store = MEMORY;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA cache_size = -2000;
";

impl Connector {
    pub(super) fn new(path: &Path, options: &SqliteOptions) -> Self {
        Self { path: path.to_owned(), vfs: options.vfs.clone(), wait: options.wait, sync: options.sync }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A connection that has not read anything yet. The file exists already: SQLite never makes it.
    pub(super) fn connect(&self) -> Result<Connection, StoreError> {
        self.attempt().map_err(|e| translate(&self.path, &e))
    }

    /// A connection that cannot write.
    pub(super) fn connect_reader(&self) -> Result<Connection, StoreError> {
        let conn = self.connect()?;
        conn.pragma_update(None, "query_only", true).map_err(|e| translate(&self.path, &e))?;
        Ok(conn)
    }

    fn attempt(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.path, flags, vfs.as_str())?,
            None => Connection::open_with_flags(&self.path, flags)?,
        };
        conn.busy_timeout(self.wait)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        conn.execute_batch(CARE)?;
        conn.pragma_update(None, "synchronous", if self.sync { "FULL" } else { "OFF" })?;
        Ok(conn)
    }
}

/// Runs `work` in a transaction that ends, with a rollback unless it was committed, however `work` ends.
pub(super) struct Transaction<'c> {
    conn: &'c Connection,
}

impl<'c> Transaction<'c> {
    /// A view: the first statement that reads takes the snapshot.
    pub(super) fn read(conn: &'c Connection) -> rusqlite::Result<Self> {
        conn.prepare_cached("BEGIN DEFERRED")?.execute([])?;
        Ok(Self { conn })
    }

    /// The right to write, held from the start.
    pub(super) fn write(conn: &'c Connection) -> rusqlite::Result<Self> {
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self { conn })
    }

    /// Commits, durably.
    pub(super) fn commit(self) -> rusqlite::Result<()> {
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.conn.is_autocommit() {
            // If even this fails, the connection stays inside the transaction and the next BEGIN reports it.
            let _ = self.conn.prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_is_careful() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        super::super::place::make_file(&path).unwrap();
        let connector = Connector::new(&path, &SqliteOptions::default());
        let (writer, reader) = (connector.connect().unwrap(), connector.connect_reader().unwrap());
        for conn in [&writer, &reader] {
            let pragma =
                |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
            let on = ["fullfsync", "checkpoint_fullfsync", "secure_delete", "cell_size_check"];
            assert_eq!(on.map(pragma), [1; 4]);
            let off = ["trusted_schema", "mmap_size", "wal_autocheckpoint"];
            assert_eq!(off.map(pragma), [0; 3]);
            assert_eq!((pragma("synchronous"), pragma("temp_store"), pragma("busy_timeout")), (2, 2, 10_000));
            assert!(conn.db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE).unwrap());
        }
        writer.execute_batch("CREATE TABLE t (n)").unwrap();
        assert!(reader.execute_batch("INSERT INTO t VALUES (1)").is_err());
    }
}
