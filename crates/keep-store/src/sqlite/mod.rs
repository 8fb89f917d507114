//! The store of the embedded vault: an SQLite database in write-ahead mode.

mod again;
mod checkpoint;
mod connect;
mod fault;
mod mark;
mod options;
mod place;
mod pool;
mod rows;
mod schema;
mod tail;
mod turnstile;
mod tx;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use self::checkpoint::{Checkpointer, Progress, copy_log};
use self::connect::{Connector, Transaction};
use self::fault::translate;
use self::pool::Pool;
use self::rows::Rows;
use self::schema::Kind;
use self::tail::Tail;
use self::turnstile::Turnstile;
use self::writing::Writing;
use crate::store::{ReadWork, Store, WriteWork};
use crate::{ReadTx as _, Scan, StoreError};

pub use self::options::SqliteOptions;

/// A vault's rows in an SQLite database that several processes can use at once.
///
/// A commit is durable: the log is synced before [`Store::write`] returns. If the operating system fails to sync,
/// `write` fails and nobody sees the change, but after a crash it may come to light, as a whole, until the next write
/// begins, of whichever process. What an opened store shows is durable, and what it does not show never comes back once
/// something was written.
///
/// Beside the database lie `next.lock` and `write.lock`, through which writers take turns and leave word of how they ended, and
/// while it is in use SQLite's `-wal` and `-shm`. The last process that closes the vault folds the log into the database and removes it,
/// so that a vault at rest is one file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    options: SqliteOptions,
    // In this order they end: the thread and the readers before the connection that folds the log.
    checkpointer: Checkpointer,
    readers: Pool,
    turnstile: Arc<Turnstile>,
    writer: Mutex<Writing>,
}

impl SqliteStore {
    /// Makes a store at `path`, and the directory if need be. What an interrupted `create` left behind is taken over.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is a store with a header or rows, or any other file; [`StoreError::Linked`] if there is a
    /// symbolic link; [`StoreError::Unsupported`] if the file system cannot keep it safely; otherwise when it cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::create_with(path, SqliteOptions::default())
    }

    /// As [`SqliteStore::create`], with options.
    ///
    /// # Errors
    /// As [`SqliteStore::create`].
    pub fn create_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let dir = place::directory(path);
        place::make_directory(dir)?;
        if options.examine_place {
            place::examine(dir)?;
            place::probe(dir)?;
        }
        place::refuse_link(path)?;
        place::make_file(path)?;
        place::refuse_orphaned_log(path)?;
        let turnstile = Turnstile::open(dir)?;
        let connector = Connector::new(path, &options);
        let turn = turnstile.enter(options.wait)?;
        let conn = connector.connect().map_err(|e| something_else(path, e))?;
        let is_built = build_unless_used(&conn, path)?;
        drop(turn);
        Self::assemble(conn, connector, turnstile, options, is_built)
    }

    /// Opens the store at `path`. The place is not tried out again as by `create`; should it lack locks or shared
    /// memory, the first access to the database shows it.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Linked`], [`StoreError::Damaged`], [`StoreError::TooNew`] or
    /// [`StoreError::Unsupported`], as the names say; otherwise when it cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteOptions::default())
    }

    /// As [`SqliteStore::open`], with options.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        place::refuse_link(path)?;
        if !path.try_exists().map_err(|e| fault::refused(path, &e))? {
            return Err(StoreError::Missing(path.to_owned()));
        }
        let dir = place::directory(path);
        if options.examine_place {
            place::examine(dir)?;
        }
        place::refuse_orphaned_log(path)?;
        let turnstile = Turnstile::open(dir)?;
        let connector = Connector::new(path, &options);
        if options.sync {
            // Before SQLite reads it to its end. What is written from now on is the business of those who live.
            place::forget_undurable(path)?;
        }
        let conn = connector.connect()?;
        if schema::examine(&conn, path)? == Kind::Blank {
            return Err(StoreError::Damaged(format!(
                "{} is empty: it was truncated, or creating it was interrupted",
                path.display()
            )));
        }
        schema::require_whole_pages(&conn, path)?;
        if options.sync {
            place::make_log_durable(path)?;
        }
        Self::assemble(conn, connector, turnstile, options, false)
    }

    /// Whether an interrupted [`create`](Self::create) left an empty database at `path`, which another one takes over.
    pub fn is_unfinished(path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        let kind = || {
            place::refuse_link(path)?;
            place::refuse_orphaned_log(path)?;
            schema::examine(&Connector::new(path, &SqliteOptions::default()).connect()?, path)
        };
        path.is_file() && kind() == Ok(Kind::Blank)
    }

    fn assemble(
        conn: Connection,
        connector: Connector,
        turnstile: Turnstile,
        options: SqliteOptions,
        knows_end: bool,
    ) -> Result<Self, StoreError> {
        let path = connector.path().to_owned();
        require_log(&conn, &path)?;
        let tail = Tail::new(&conn, &path, &options);
        let writing = Writing::new(conn, tail, knows_end);
        let writer = Mutex::new(writing.map_err(|e| translate(&path, &e))?);
        let turnstile = Arc::new(turnstile);
        Ok(Self {
            checkpointer: Checkpointer::new(options.checkpoint_frames, connector.clone(), turnstile.clone()),
            readers: Pool::new(connector),
            turnstile,
            writer,
            path,
            options,
        })
    }

    /// Where the database lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies the write-ahead log into the database now, as far as readers allow. It happens by itself; this is for
    /// those who want it done at a certain time.
    ///
    /// # Errors
    /// When the turn does not come in time, or the database cannot be written.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let _turn = self.turnstile.enter(self.options.wait)?;
        let writer = self.writer();
        let _progress: Option<Progress> = copy_log(writer.conn()).map_err(|e| translate(&self.path, &e))?;
        Ok(())
    }

    /// Checks every page and every index of the database; returns what is wrong, or nothing. Reads the whole file.
    ///
    /// # Errors
    /// When the database cannot be read at all.
    pub fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.readers.with(|conn| {
            let check = || -> rusqlite::Result<Vec<String>> {
                conn.prepare("PRAGMA integrity_check")?.query_map([], |row| row.get(0))?.collect()
            };
            let mut findings = check().map_err(|e| translate(&self.path, &e))?;
            findings.retain(|finding| finding != "ok");
            Ok(findings)
        })
    }

    /// A panic under this lock has left the connection rolled back.
    fn writer(&self) -> MutexGuard<'_, Writing> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for SqliteStore {
    fn read(&self, work: ReadWork<'_>) -> Result<(), StoreError> {
        self.readers.with(|conn| {
            let _view = Transaction::read(conn).map_err(|e| translate(&self.path, &e))?;
            work(&Rows { conn, path: &self.path })
        })
    }

    fn write(&self, work: WriteWork<'_>) -> Result<(), StoreError> {
        let turn = self.turnstile.enter(self.options.wait)?;
        let mut writer = self.writer();
        writer.run(&self.path, &turn, &self.readers, work)?;
        let logged = writer.logged();
        drop(writer);
        drop(turn);
        self.checkpointer.note(logged);
        Ok(())
    }

    fn wipe_leftovers(&self) -> Result<(), StoreError> {
        let turn = self.turnstile.enter(self.options.wait)?;
        let mut writer = self.writer();
        writer.vacuum(&self.path, &turn, &self.readers)?;
        // The log holds the old pages as well.
        let is_cut = writer.cut_log().map_err(|e| translate(&self.path, &e))?;
        if is_cut { Ok(()) } else { Err(StoreError::Busy("another process reads the vault".into())) }
    }

    fn settle(&self) -> Result<(), StoreError> {
        let _turn = self.turnstile.enter(self.options.wait)?;
        self.writer().cut_log().map(drop).map_err(|e| translate(&self.path, &e))
    }
}

/// Turns a blank database into a store; says whether it was blank. One that has been used is not touched.
fn build_unless_used(conn: &Connection, path: &Path) -> Result<bool, StoreError> {
    let fault = |e| translate(path, &e);
    if schema::examine(conn, path).map_err(|e| something_else(path, e))? == Kind::Blank {
        require_log(conn, path)?;
        let transaction = Transaction::write(conn).map_err(fault)?;
        schema::build(conn).map_err(fault)?;
        return transaction.commit().map(|()| true).map_err(fault);
    }
    let rows = Rows { conn, path };
    let mut used = rows.header()?.is_some() || rows.head()?.is_some();
    rows.scan(Scan::everything(), &mut |_| {
        used = true;
        std::ops::ControlFlow::Break(())
    })?;
    if used { Err(StoreError::Exists(path.to_owned())) } else { Ok(false) }
}

/// Whatever lies where a store is to be made is there already, be it a store or not.
fn something_else(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Damaged(_) | StoreError::TooNew { .. } => StoreError::Exists(path.to_owned()),
        other => other,
    }
}

/// Switches to write-ahead mode, which the database then remembers.
fn require_log(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let mode: String =
        conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(|e| translate(path, &e))?;
    if mode == "wal" {
        return Ok(());
    }
    Err(StoreError::Unsupported(format!(
        "the file system of {} does not let SQLite keep a log",
        path.display()
    )))
}
