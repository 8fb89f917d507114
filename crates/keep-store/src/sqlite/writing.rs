//! The connection that writes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;

use super::connect::Transaction;
use super::fault::translate;
use super::mark::Ending;
use super::pool::Pool;
use super::rows::Rows;
use super::tail::Tail;
use super::turnstile::Turn;
use super::tx::SqliteWrite;
use crate::StoreError;
use crate::store::WriteWork;

/// The connection that writes, for whoever has the turn.
#[derive(Debug)]
pub(super) struct Writing {
    conn: Connection,
    /// SQLite's data version when a committed transaction last asked for the changes of others.
    seen: Option<i64>,
    /// The length of the log after the last commit, in pages.
    logged: Arc<AtomicU32>,
    tail: Tail,
    /// Whether this handle has seen to the end of the log: what a loss of power left there is older than the handle, and whoever does
    /// not end well later leaves word of it.
    knows_end: bool,
}

impl Writing {
    pub(super) fn new(mut conn: Connection, tail: Tail, knows_end: bool) -> rusqlite::Result<Self> {
        let logged = Arc::new(AtomicU32::new(0));
        let counter = logged.clone();
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            counter.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { conn, seen: None, logged, tail, knows_end })
    }

    pub(super) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// The length of the log after the last commit, in pages.
    pub(super) fn logged(&self) -> u32 {
        self.logged.load(Ordering::Relaxed)
    }

    /// Copies the whole log into the database and makes it empty. A reader in the middle of its view keeps it from being cut.
    pub(super) fn cut_log(&self) -> rusqlite::Result<bool> {
        let busy: i64 = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        self.logged.store(0, Ordering::Relaxed);
        Ok(busy == 0)
    }

    /// Runs `work` in a transaction and commits it.
    pub(super) fn run(
        &mut self,
        path: &Path,
        turn: &Turn<'_>,
        readers: &Pool,
        work: WriteWork<'_>,
    ) -> Result<(), StoreError> {
        let fault = |e| translate(path, &e);
        self.see_to_end(turn, readers)?;
        let transaction = Transaction::write(&self.conn).map_err(fault)?;
        let mut tx = SqliteWrite::new(Rows { conn: &self.conn, path }, self.seen);
        // What a transaction without a commit leaves behind the end never counts, whatever follows it.
        work(&mut tx)?;
        let seen = tx.finish()?;
        turn.will_end(Ending::Unsure);
        transaction.commit().map_err(fault)?;
        turn.will_end(Ending::Well);
        self.seen = seen;
        Ok(())
    }

    /// Writes the whole database anew, without what was deleted.
    pub(super) fn vacuum(&mut self, path: &Path, turn: &Turn<'_>, readers: &Pool) -> Result<(), StoreError> {
        self.see_to_end(turn, readers)?;
        turn.will_end(Ending::Unsure);
        self.conn.execute_batch("VACUUM").map_err(|e| translate(path, &e))?;
        turn.will_end(Ending::Well);
        Ok(())
    }

    /// Sees to it that nothing lies behind the log's end that a commit could bring back, and that others will know of this one.
    fn see_to_end(&mut self, turn: &Turn<'_>, readers: &Pool) -> Result<(), StoreError> {
        turn.require_mark()?;
        if !self.knows_end || turn.ending() != Ending::Well {
            self.tail.cut_off(&self.conn, readers, turn)?;
            self.knows_end = true;
        }
        Ok(())
    }
}
