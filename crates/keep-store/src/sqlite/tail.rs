//! What lies in the file of the log behind the last commit that counts.
//!
//! There may be pages of a commit that does not count: its first page was lost with the power, its sync failed, or its process was
//! killed. The pages of a log are chained by their sums, so a new commit makes the others worthless as soon as it differs from
//! them. But often the first page that is written is the same (that of the database's length, when both made it longer by as
//! much). If the power went right after it, the old commit would be whole, and back. So such pages are cut off before anything is
//! written in their place, and the file is synced.
//!
//! Where the log ends, its index in shared memory knows. Nobody else reads behind it: readers and those who copy the log go to the
//! end that was in the index when they began, of the same log, which is never nearer to its beginning; and a log begins anew only
//! when all of the old one is in the database, synced, and nobody reads it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::again::again;
use super::connect::Transaction;
use super::fault::{refused, translate};
use super::mark::Ending;
use super::options::{Cutter, SqliteOptions};
use super::place::beside;
use super::pool::Pool;
use super::turnstile::Turn;
use crate::StoreError;

/// The length of what a log begins with, and of what each page in it does, in bytes.
const LOG_HEADER: u64 = 32;
const PAGE_HEADER: u64 = 24;

/// The end of one log.
#[derive(Debug)]
pub(super) struct Tail {
    database: PathBuf,
    log: PathBuf,
    /// The file that SQLite has open: if the vault is moved away while it is in use, another one may lie at its path. (Windows
    /// does not let it be moved.)
    file: Option<File>,
    cutter: Option<Cutter>,
    sync: bool,
}

impl Tail {
    /// Of the log of `conn`, which has read from the database, and so has its log open.
    pub(super) fn new(conn: &Connection, database: &Path, options: &SqliteOptions) -> Self {
        // SQLite follows the links of directories; its own path holds wherever the process goes.
        let database = conn.path().map_or_else(|| database.to_owned(), PathBuf::from);
        let log = beside(&database, "-wal");
        let file = if cfg!(unix) { File::open(&log).ok() } else { None };
        Self { database, log, file, cutter: options.cutter.clone(), sync: options.sync }
    }

    /// Cuts off what lies behind the last commit that counts. `conn` is in no transaction.
    pub(super) fn cut_off(
        &self,
        conn: &Connection,
        readers: &Pool,
        turn: &Turn<'_>,
    ) -> Result<(), StoreError> {
        self.require_same_file()?;
        let is_done = turn.ending() != Ending::Cutting;
        if self.length()? == 0 && is_done {
            turn.will_end(Ending::Well);
            return Ok(());
        }
        // No program that is not ours writes meanwhile, either.
        let _held = Transaction::write(conn).map_err(|e| translate(&self.database, &e))?;
        let end = readers.with(|conn| self.end(conn))?;
        if self.length()? > end || !is_done {
            turn.announce(Ending::Cutting)?;
            again(|| self.cut(end)).map_err(|e| refused(&self.log, &e))?;
        }
        turn.will_end(Ending::Well);
        Ok(())
    }

    /// Refuses to go by a path at which something else lies by now.
    fn require_same_file(&self) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        let identities =
            file.metadata().and_then(|own| Ok((identity(&own), identity(&fs::metadata(&self.log)?))));
        match identities {
            Ok((own, there)) if own == there => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused(&self.log, &error)),
            Ok(_) | Err(_) => Err(StoreError::Io(format!(
                "{} was moved away or replaced while it was in use: nothing is written",
                self.database.display()
            ))),
        }
    }

    fn cut(&self, end: u64) -> io::Result<()> {
        if let Some(cutter) = &self.cutter {
            return cutter.cut(&self.log, end);
        }
        // SQLite takes its locks on other files, so closing this one gives none of them back.
        let file = OpenOptions::new().write(true).open(&self.log)?;
        file.set_len(end)?;
        if self.sync { file.sync_all() } else { Ok(()) }
    }

    fn length(&self) -> Result<u64, StoreError> {
        match fs::metadata(&self.log) {
            Ok(file) => Ok(file.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(refused(&self.log, &error)),
        }
    }

    /// Where the last commit that counts ends, in bytes. SQLite says so to a connection that is in no transaction, so another one
    /// has the right to write meanwhile.
    fn end(&self, conn: &Connection) -> Result<u64, StoreError> {
        let ask = |pragma: &str, column: usize| conn.query_row(pragma, [], |row| row.get::<_, i64>(column));
        let (pages, size) = (|| {
            // A connection that has not read anything does not know yet that there is a log.
            ask("PRAGMA schema_version", 0)?;
            Ok((ask("PRAGMA wal_checkpoint(NOOP)", 1)?, ask("PRAGMA page_size", 0)?))
        })()
        .map_err(|e| translate(&self.database, &e))?;
        match (u64::try_from(pages), u64::try_from(size)) {
            (Ok(0), Ok(_)) => Ok(0),
            (Ok(pages), Ok(size)) => Ok(LOG_HEADER + pages * (PAGE_HEADER + size)),
            _ => Err(StoreError::Io(format!("{}: SQLite does not say where it ends", self.log.display()))),
        }
    }
}

/// What tells a file from every other one while it is open.
#[cfg(unix)]
fn identity(file: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (file.dev(), file.ino())
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> (u64, u64) {
    (0, 0)
}
