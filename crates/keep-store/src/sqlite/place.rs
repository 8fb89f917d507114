//! Where a database can live: a local file system with working locks and shared memory.

use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::{Connection, OpenFlags};

use super::again::again;
use super::fault::refused;
use crate::StoreError;

/// The directory of a database.
pub(super) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// A file beside the database, for example `-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes the directory (for its owner only), if it is not there.
pub(super) fn make_directory(dir: &Path) -> Result<(), StoreError> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|dir| !dir.is_dir() && *dir != Path::new("")).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|e| refused(dir, &e))?;
    missing.into_iter().try_for_each(|made| sync_directory(directory(made)))
}

/// Refuses a database that is a symbolic link. SQLite would follow it and keep the log where it leads, while the locks of those who
/// write, with their word of how the last one ended, lie beside the link: two links to one database would have two of each.
/// Directories may be links: everything in them is in one place.
pub(super) fn refuse_link(path: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(StoreError::Linked(path.to_owned())),
        // What cannot be looked at is found out by whoever opens it.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Makes the database file, empty and for its owner only, if it is not there. Only here is it touched without SQLite,
/// and only when it is new: closing a file that SQLite has open would drop the locks of this process.
pub(super) fn make_file(path: &Path) -> Result<(), StoreError> {
    match new_file(path) {
        Ok(_) => sync_directory(directory(path)),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(refused(path, &e)),
    }
}

fn new_file(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes the names in a directory durable.
fn sync_directory(dir: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| refused(dir, &e))?;
    }
    Ok(())
}

/// Refuses an empty file beside which a log still has content: SQLite would delete the log, and with it what was
/// written last.
pub(super) fn refuse_orphaned_log(path: &Path) -> Result<(), StoreError> {
    let length = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
    let log = beside(path, "-wal");
    if length(path) == 0 && length(&log) > 0 {
        return Err(StoreError::Damaged(format!(
            "{} is empty, but its write-ahead log {} is not: keep both and restore a backup",
            path.display(),
            log.display()
        )));
    }
    Ok(())
}

/// Makes durable what the log of a database holds, or that it has none. Whoever wrote the last of it may have ended before it
/// was, and from now on it counts; and a log that was taken away could come back with a commit that had failed.
pub(super) fn make_log_durable(path: &Path) -> Result<(), StoreError> {
    match fs::File::open(directory(path)).and_then(|dir| dir.sync_all()) {
        // Some file systems cannot do it, and a vault that was copied there is still to be read.
        Err(error)
            if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
                && cfg!(unix) =>
        {
            return Err(refused(directory(path), &error));
        }
        Ok(()) | Err(_) => {}
    }
    sync_log(path).map(drop)
}

/// Lets the log be read as the device has it: what another process wrote and did not make durable is made durable first; and where
/// the system tells (Linux), what it could not make durable is not read, though it still has it in memory.
pub(super) fn forget_undurable(path: &Path) -> Result<(), StoreError> {
    if let Some(file) = sync_log(path)? {
        forget_pages(&file);
    }
    Ok(())
}

/// After a write failed, the system takes its page for clean. Without the page it must ask the device.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn forget_pages(file: &fs::File) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

/// There is no way to say so.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn forget_pages(_file: &fs::File) {}

/// Syncs the log, if there is one. SQLite takes its locks on other files, so closing this one gives none of them back.
fn sync_log(path: &Path) -> Result<Option<fs::File>, StoreError> {
    let log = beside(path, "-wal");
    let open = || OpenOptions::new().read(true).write(true).open(&log);
    match again(open).and_then(|file| file.sync_data().map(|()| file)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused(&log, &error)),
    }
}

/// Refuses places that are known to endanger a database.
pub(super) fn examine(dir: &Path) -> Result<(), StoreError> {
    if let Some(kind) = network_file_system(dir) {
        return Err(StoreError::Unsupported(format!(
            "{} is on {kind}, where locks and shared memory cannot be relied upon",
            dir.display()
        )));
    }
    if let Some(service) = synchronised_by(dir) {
        return Err(StoreError::Unsupported(format!(
            "{} is copied by {service} while it is in use, which tears databases apart",
            dir.display()
        )));
    }
    Ok(())
}

/// Tries out a scratch database in `dir`.
pub(super) fn probe(dir: &Path) -> Result<(), StoreError> {
    Scratch::new(dir).probe()
}

/// The network file system on which `dir` lies, by the magic numbers of statfs(2).
#[cfg(any(target_os = "linux", target_os = "android"))]
fn network_file_system(dir: &Path) -> Option<&'static str> {
    const NETWORK: [(u32, &str); 12] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB 2"),
        (0x0102_1997, "9P (a folder of the host, as in WSL)"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x7375_7245, "Coda"),
        (0x564c, "NCP"),
        (0x786f_4256, "a VirtualBox shared folder"),
        (0xbacb_acbc, "a VMware shared folder"),
        (0x0bd0_0bd0, "Lustre"),
    ];
    let magic = rustix::fs::statfs(dir).ok()?.f_type as u64 & 0xffff_ffff;
    NETWORK.iter().find(|(number, _)| u64::from(*number) == magic).map(|(_, name)| *name)
}

/// The network file system on which `dir` lies, by the flag that marks local ones.
#[cfg(target_vendor = "apple")]
fn network_file_system(dir: &Path) -> Option<&'static str> {
    const MNT_LOCAL: u32 = 0x1000;
    let flags = rustix::fs::statfs(dir).ok()?.f_flags;
    (flags & MNT_LOCAL == 0).then_some("a network volume")
}

/// Nothing is known here; the probe decides.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn network_file_system(_dir: &Path) -> Option<&'static str> {
    None
}

/// The service that synchronises `dir`, by the marks that these leave in the root of their folders.
fn synchronised_by(dir: &Path) -> Option<&'static str> {
    const MARKS: [(&str, &str); 5] = [
        (".dropbox", "Dropbox"),
        (".dropbox.cache", "Dropbox"),
        (".stfolder", "Syncthing"),
        (".owncloudsync.log", "ownCloud"),
        (".nextcloudsync.log", "Nextcloud"),
    ];
    const ICLOUD: &str = "Mobile Documents";
    let dir = dir.canonicalize().ok()?;
    if dir.components().any(|part| part.as_os_str() == ICLOUD) {
        return Some("iCloud Drive");
    }
    dir.ancestors().find_map(|folder| {
        // `~/.dropbox` is where the program keeps its settings; a folder that it copies has a file of that name.
        let marked = |mark: &str| match mark {
            ".dropbox" => folder.join(mark).is_file(),
            _ => folder.join(mark).exists(),
        };
        MARKS.iter().find(|(mark, _)| marked(mark)).map(|(_, service)| *service)
    })
}

/// A small database that is made to see whether one works here, and removed again.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(dir: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { path: dir.join(format!(".probe-{}-{number}", std::process::id())) }
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.probe_locks()?;
        let works = self.probe_database().map_err(|e| match e.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full,
            _ => self.lacks(&format!("a database in write-ahead mode ({e})")),
        })?;
        if works { Ok(()) } else { Err(self.lacks("shared memory between connections")) }
    }

    fn lacks(&self, what: &str) -> StoreError {
        StoreError::Unsupported(format!(
            "the file system of {} lacks {what}",
            directory(&self.path).display()
        ))
    }

    /// Two openings of one file must exclude each other. The file becomes the database of the next step, so it is
    /// closed before SQLite sees it.
    fn probe_locks(&self) -> Result<(), StoreError> {
        new_file(&self.path).map_err(|e| refused(&self.path, &e))?;
        let open = || fs::File::open(&self.path).map_err(|e| refused(&self.path, &e));
        let (first, second) = (open()?, open()?);
        first.lock().map_err(|e| self.lacks(&format!("file locks ({e})")))?;
        match second.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(()),
            Ok(()) | Err(TryLockError::Error(_)) => Err(self.lacks("file locks that exclude")),
        }
    }

    /// Whether a second connection sees through the shared index what the first one has logged.
    fn probe_database(&self) -> rusqlite::Result<bool> {
        let connect = || -> rusqlite::Result<Connection> {
            let conn = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0")?;
            Ok(conn)
        };
        let writer = connect()?;
        let mode: String = writer.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Ok(false);
        }
        writer.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)")?;
        let reader = connect()?;
        let count = || reader.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
        let before = count()?;
        writer.execute_batch("INSERT INTO t VALUES (2)")?;
        Ok((before, count()?) == (1, 2))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            // Most of them are not there.
            let _ = fs::remove_file(beside(&self.path, suffix));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_directory_will_do_and_stays_clean() {
        let dir = tempfile::tempdir().unwrap();
        examine(dir.path()).unwrap();
        probe(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn synchronised_folders_are_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".stfolder")).unwrap();
        let vault = dir.path().join("a/b");
        fs::create_dir_all(&vault).unwrap();
        let error = examine(&vault).unwrap_err();
        assert!(matches!(&error, StoreError::Unsupported(why) if why.contains("Syncthing")), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_system_without_files_is_refused() {
        assert!(probe(Path::new("/proc")).is_err());
    }

    #[test]
    fn directories_of_bare_names() {
        assert_eq!(directory(Path::new("keep.db")), Path::new("."));
        assert_eq!(directory(Path::new("/a/keep.db")), Path::new("/a"));
        assert_eq!(beside(Path::new("/a/keep.db"), "-wal"), Path::new("/a/keep.db-wal"));
    }
}
