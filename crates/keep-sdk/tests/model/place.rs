//! Where a vault of the model lies: in a database on a disk that fails and loses what was not synced, or in a reserve on one.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex};

use keep_store::{SqliteOptions, SqliteStore, Store};
use keep_testing::faultdisk::{Failure, FaultDisk, FileId, Image, Lasting, Log, Op};
use keep_types::SecretKey32;
use keep_vault::reserve::{Layout, Medium, make_store, open_store};

use crate::world::{database, quick_directory};

thread_local! {
    /// Disks stay registered with SQLite, so they are used again.
    static DISKS: RefCell<Vec<FaultDisk>> = const { RefCell::new(Vec::new()) };
}

/// Small slots, and a journal that is soon full.
const LAYOUT: Layout = Layout::small(256 << 10, 12);
const SALT: [u8; 32] = [7; 32];
const NAME: &str = "reserve";
const FILE: FileId = FileId::new(0);

/// Which kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Database,
    Reserve,
}

/// A place for one vault. Nothing may be open in it when it becomes another one or is dropped.
pub enum Place {
    Database { disk: Option<FaultDisk>, dir: tempfile::TempDir },
    Reserve(Reserve),
}

impl Place {
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Database => {
                let disk = DISKS.with(|disks| disks.borrow_mut().pop()).unwrap_or_else(FaultDisk::new);
                Self::Database { disk: Some(disk), dir: quick_directory() }
            }
            Kind::Reserve => Self::Reserve(Reserve::of(random())),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Database { .. } => Kind::Database,
            Self::Reserve(_) => Kind::Reserve,
        }
    }

    fn options(disk: &Option<FaultDisk>) -> SqliteOptions {
        let disk = disk.as_ref().unwrap();
        SqliteOptions::default()
            .vfs(disk.vfs())
            .cutter(disk.cutter())
            .examine_place(false)
            .checkpoint_frames(60)
    }

    /// An empty store.
    pub fn create(&self) -> Arc<dyn Store> {
        match self {
            Self::Database { disk, dir } => {
                Arc::new(SqliteStore::create_with(database(dir.path()), Self::options(disk)).unwrap())
            }
            Self::Reserve(reserve) => Arc::new(make_store(reserve.clone(), LAYOUT, SALT, &kek()).unwrap()),
        }
    }

    /// The store that is there.
    pub fn open(&self) -> Result<Arc<dyn Store>, String> {
        match self {
            Self::Database { disk, dir } => {
                let store = SqliteStore::open_with(database(dir.path()), Self::options(disk));
                let store = store.map_err(|e| e.to_string())?;
                // Opening does this by the operating system.
                disk.as_ref().unwrap().synced_past_sqlite("-wal");
                Ok(Arc::new(store))
            }
            Self::Reserve(reserve) => {
                let store = open_store(reserve.clone(), LAYOUT, SALT, &kek()).map_err(|e| e.to_string())?;
                Ok(Arc::new(store.ok_or("no slot opens")?))
            }
        }
    }

    pub fn position(&self) -> usize {
        match self {
            Self::Database { disk, .. } => disk.as_ref().unwrap().position(),
            Self::Reserve(reserve) => reserve.0.lock().unwrap().ops.len(),
        }
    }

    pub fn log(&self) -> Log {
        match self {
            Self::Database { disk, .. } => disk.as_ref().unwrap().log(),
            Self::Reserve(reserve) => Log::of(reserve.0.lock().unwrap().ops.clone()),
        }
    }

    pub fn fail(&self, skip: usize, failure: Failure, lasting: Lasting) {
        match self {
            Self::Database { disk, .. } => disk.as_ref().unwrap().fail(skip, failure, lasting),
            Self::Reserve(reserve) => {
                let mut state = reserve.0.lock().unwrap();
                (state.plan, state.failures) = (Some((skip, failure, lasting)), 0);
            }
        }
    }

    /// How often it failed; then it works again.
    pub fn heal(&self) -> usize {
        match self {
            Self::Database { disk, .. } => {
                let disk = disk.as_ref().unwrap();
                let failures = disk.failures();
                disk.heal();
                failures
            }
            Self::Reserve(reserve) => {
                let mut state = reserve.0.lock().unwrap();
                state.plan = None;
                std::mem::take(&mut state.failures)
            }
        }
    }

    /// What is on the disk after the power went.
    pub fn become_image(&mut self, image: &Image) {
        match self {
            Self::Database { disk, dir } => {
                disk.as_ref().unwrap().start_over();
                *dir = quick_directory();
                image.write_to(dir.path()).unwrap();
            }
            Self::Reserve(reserve) => {
                // Before the first operation it is what it was.
                let bytes = image.files().get(NAME).cloned().unwrap_or_else(random);
                *reserve = Reserve::of(bytes);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Database { disk, .. } = self
            && let Some(disk) = disk.take()
        {
            disk.heal();
            disk.start_over();
            let _ = DISKS.try_with(|disks| disks.borrow_mut().push(disk));
        }
    }
}

/// What a reserve without a vault holds; anything that opens under no key will do.
fn random() -> Vec<u8> {
    (0..LAYOUT.total()).map(|n| (n * 31 % 251) as u8).collect()
}

fn kek() -> SecretKey32 {
    SecretKey32::take(&mut [2; 32])
}

/// A reserve that remembers every operation.
#[derive(Clone)]
pub struct Reserve(Arc<Mutex<State>>);

struct State {
    bytes: Vec<u8>,
    ops: Vec<Op>,
    plan: Option<(usize, Failure, Lasting)>,
    failures: usize,
}

impl Reserve {
    fn of(bytes: Vec<u8>) -> Self {
        let ops = vec![Op::Found { file: FILE, name: NAME.into(), bytes: bytes.clone().into() }];
        Self(Arc::new(Mutex::new(State { bytes, ops, plan: None, failures: 0 })))
    }
}

impl State {
    fn failure(&mut self) -> Option<Failure> {
        let (skip, failure, lasting) = self.plan.as_mut()?;
        if *skip > 0 {
            *skip -= 1;
            return None;
        }
        if self.failures > 0 && *lasting == Lasting::Once {
            return None;
        }
        self.failures += 1;
        Some(*failure)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.ops.push(Op::Wrote { file: FILE, at: at as u64, bytes: bytes.into() });
    }
}

impl Medium for Reserve {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().bytes.clone())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        match state.failure() {
            Some(Failure::Full) => return Err(io::ErrorKind::StorageFull.into()),
            Some(Failure::Io) => return Err(io::Error::other("broken")),
            Some(Failure::Short) => {
                state.write(at as usize, &bytes[..bytes.len() / 2]);
                return Err(io::Error::other("half"));
            }
            None => state.write(at as usize, bytes),
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.failure().is_some() {
            return Err(io::Error::other("no sync"));
        }
        state.ops.push(Op::Synced { file: FILE });
        Ok(())
    }
}
