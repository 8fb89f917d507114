//! The VFS itself: C callbacks around those of the default VFS.
//!
//! SQLite calls a VFS through tables of C functions and hands it raw memory for its open files; there is no safe way
//! to write one. This module holds all of the crate's unsafe code and nothing but the passing on; what is recorded and
//! what fails is decided in [`Recorder`].
//!
//! Memory: SQLite gives each open file `szOsFile` bytes. Ours begin with a [`Tapped`], behind which lies the file of
//! the default VFS. SQLite calls `xClose` exactly once for each file whose `pMethods` was set.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::ffi::{
    self, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR, SQLITE_IOERR_DELETE, SQLITE_IOERR_FSYNC,
    SQLITE_IOERR_READ, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE, SQLITE_OK, SQLITE_OPEN_CREATE,
    SQLITE_OPEN_DELETEONCLOSE, SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_SUPER_JOURNAL,
    SQLITE_OPEN_WAL, sqlite3_file, sqlite3_io_methods, sqlite3_vfs,
};

use super::failure::Failure;
use super::log::FileId;
use super::recorder::Recorder;

/// What the VFS holds on to (`pAppData`).
struct Disk {
    base: *mut sqlite3_vfs,
    recorder: Arc<Mutex<Recorder>>,
}

/// An open file that is recorded. The default VFS's file follows it in memory.
#[repr(C)]
struct Tapped {
    methods: sqlite3_file,
    tap: *mut Tap,
}

/// The Rust side of an open file; made when it is opened, freed when it is closed.
struct Tap {
    recorder: Arc<Mutex<Recorder>>,
    file: FileId,
    /// The first sync of a new journal or log also syncs the directory, as SQLite's own VFS does.
    syncs_directory: bool,
}

/// Registers a VFS that records into `recorder`; gives its name. It is never freed.
pub(super) fn register(recorder: Arc<Mutex<Recorder>>) -> Result<String, c_int> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("faultdisk-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let c_name = CString::new(name.clone()).map_err(|_| ffi::SQLITE_MISUSE)?;
    // SAFETY: initialising SQLite more than once is allowed; the default VFS lives as long as the process.
    let base = unsafe {
        ffi::sqlite3_initialize();
        ffi::sqlite3_vfs_find(std::ptr::null())
    };
    if base.is_null() {
        return Err(ffi::SQLITE_ERROR);
    }
    let disk = Box::into_raw(Box::new(Disk { base, recorder }));
    // SAFETY: `base` is a valid VFS, as just found.
    let vfs = unsafe { table(&*base, c_name.into_raw(), disk.cast()) };
    // SAFETY: the table is leaked, so it stays valid for ever; all of its pointers do too.
    match unsafe { ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0) } {
        SQLITE_OK => Ok(name),
        code => Err(code),
    }
}

/// Our table over that of the default VFS. Its functions that need no thought are called with the default VFS in place
/// of ours, through the wrappers below.
fn table(base: &sqlite3_vfs, name: *const c_char, disk: *mut c_void) -> sqlite3_vfs {
    sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<Tapped>() as c_int + base.szOsFile,
        mxPathname: base.mxPathname,
        pNext: std::ptr::null_mut(),
        zName: name,
        pAppData: disk,
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(get_last_error),
        xCurrentTimeInt64: Some(current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

/// Version 2: with shared memory, without mapped reads.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

fn locked(recorder: &Mutex<Recorder>) -> MutexGuard<'_, Recorder> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// `vfs` is one that [`register`] made.
unsafe fn disk<'a>(vfs: *mut sqlite3_vfs) -> &'a Disk {
    // SAFETY: `pAppData` is a leaked `Disk`.
    unsafe { &*(*vfs).pAppData.cast::<Disk>() }
}

/// # Safety
/// `file` was opened by [`open`] as a recorded file and is not closed.
unsafe fn tap<'a>(file: *mut sqlite3_file) -> &'a mut Tap {
    // SAFETY: the tap lives until `close`; SQLite uses one file in one thread at a time.
    unsafe { &mut *(*file.cast::<Tapped>()).tap }
}

/// # Safety
/// As for [`tap`], or `file` is the memory that SQLite gives to `xOpen`.
unsafe fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` makes room for both.
    unsafe { file.cast::<u8>().add(size_of::<Tapped>()).cast() }
}

/// Calls a method of the default VFS's file.
macro_rules! pass {
    ($file:expr, $method:ident $(, $arg:expr)*) => {{
        // SAFETY: `$file` is open, and so is the default VFS's file behind it, whose methods SQLite has vetted.
        unsafe {
            let inner = inner($file);
            match (*(*inner).pMethods).$method {
                Some(method) => method(inner $(, $arg)*),
                None => SQLITE_IOERR,
            }
        }
    }};
}

/// Calls a function of the default VFS.
macro_rules! pass_vfs {
    ($vfs:expr, $function:ident $(, $arg:expr)*) => {{
        // SAFETY: `$vfs` is ours, and the default VFS lives for ever.
        unsafe {
            let base = disk($vfs).base;
            match (*base).$function {
                Some(function) => function(base $(, $arg)*),
                None => SQLITE_IOERR,
            }
        }
    }};
}

/// # Safety
/// `name` is a C string.
unsafe fn path(name: *const c_char) -> PathBuf {
    // SAFETY: as above.
    let name = unsafe { CStr::from_ptr(name) };
    PathBuf::from(String::from_utf8_lossy(name.to_bytes()).into_owned())
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    const RECORDED: c_int =
        SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
    if name.is_null() || flags & RECORDED == 0 || flags & SQLITE_OPEN_DELETEONCLOSE != 0 {
        // A temporary file is the default VFS's own affair from here on.
        return pass_vfs!(vfs, xOpen, name, file, flags, out_flags);
    }
    // SAFETY: the VFS is ours, the name a C string, the memory as large as `szOsFile` says.
    let (disk, path, behind) = unsafe {
        (*file).pMethods = std::ptr::null();
        (disk(vfs), path(name), inner(file))
    };
    // Held from here on, so that of two threads that open a new file only one makes it.
    let mut recorder = locked(&disk.recorder);
    let mut exists: c_int = 0;
    pass_vfs!(vfs, xAccess, name, ffi::SQLITE_ACCESS_EXISTS, &raw mut exists);
    // The default VFS calls an empty file absent.
    let creates = exists == 0 && recorder.known(&path).is_none() && flags & SQLITE_OPEN_CREATE != 0;
    if creates && recorder.failure().is_some() {
        return SQLITE_CANTOPEN;
    }
    let code = pass_vfs!(vfs, xOpen, name, behind, flags, out_flags);
    if code != SQLITE_OK {
        return code;
    }
    let id = match recorder.known(&path) {
        _ if creates => recorder.created(&path),
        Some(id) => id,
        None => match content(file) {
            Ok(bytes) => recorder.found(&path, bytes),
            Err(code) => {
                pass!(file, xClose);
                return code;
            }
        },
    };
    // As SQLite's own: whoever may have made it syncs its name, whether or not another opening was first.
    let syncs_directory = flags & SQLITE_OPEN_CREATE != 0 && flags & SQLITE_OPEN_MAIN_DB == 0;
    let tap = Box::new(Tap { recorder: disk.recorder.clone(), file: id, syncs_directory });
    // SAFETY: the memory begins with a `Tapped`; from here on `close` is called for it.
    unsafe {
        (*file.cast::<Tapped>()).tap = Box::into_raw(tap);
        (*file).pMethods = &raw const METHODS;
    }
    SQLITE_OK
}

/// What the default VFS's file holds. Read through SQLite's own descriptor: closing another one would drop its locks.
/// The file behind `file` is open.
fn content(file: *mut sqlite3_file) -> Result<Vec<u8>, c_int> {
    let mut size: i64 = 0;
    if pass!(file, xFileSize, &raw mut size) != SQLITE_OK {
        return Err(SQLITE_IOERR_READ);
    }
    let mut bytes = vec![0_u8; usize::try_from(size).unwrap_or(0)];
    match pass!(file, xRead, bytes.as_mut_ptr().cast(), size as c_int, 0) {
        SQLITE_OK => Ok(bytes),
        code => Err(code),
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes an open file once; nobody uses the tap afterwards.
    unsafe { drop(Box::from_raw((*file.cast::<Tapped>()).tap)) };
    pass!(file, xClose)
}

unsafe extern "C" fn write(file: *mut sqlite3_file, data: *const c_void, length: c_int, at: i64) -> c_int {
    // SAFETY: the file is open, and `data` has `length` bytes.
    let (tap, bytes) = unsafe { (tap(file), std::slice::from_raw_parts(data.cast::<u8>(), length as usize)) };
    let mut recorder = locked(&tap.recorder);
    let (bytes, code) = match recorder.failure() {
        None => (bytes, SQLITE_OK),
        Some(Failure::Full) => return SQLITE_FULL,
        Some(Failure::Io) => return SQLITE_IOERR_WRITE,
        Some(Failure::Short) => (&bytes[..bytes.len() / 2], SQLITE_IOERR_WRITE),
    };
    let done = pass!(file, xWrite, bytes.as_ptr().cast(), bytes.len() as c_int, at);
    if done != SQLITE_OK {
        return done;
    }
    recorder.wrote(tap.file, at as u64, bytes);
    code
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    // SAFETY: the file is open.
    let tap = unsafe { tap(file) };
    let mut recorder = locked(&tap.recorder);
    if recorder.failure().is_some() {
        return SQLITE_IOERR_TRUNCATE;
    }
    let code = pass!(file, xTruncate, size);
    if code == SQLITE_OK {
        recorder.truncated(tap.file, size as u64);
    }
    code
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let tap = unsafe { tap(file) };
    let mut recorder = locked(&tap.recorder);
    if recorder.failure().is_some() {
        return SQLITE_IOERR_FSYNC;
    }
    recorder.synced(tap.file);
    if std::mem::take(&mut tap.syncs_directory) {
        recorder.directory_synced();
    }
    SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: the VFS is ours, the name a C string.
    let (disk, path) = unsafe { (disk(vfs), path(name)) };
    let mut recorder = locked(&disk.recorder);
    if recorder.known(&path).is_none() {
        return pass_vfs!(vfs, xDelete, name, sync_directory);
    }
    if recorder.failure().is_some() {
        return SQLITE_IOERR_DELETE;
    }
    let code = pass_vfs!(vfs, xDelete, name, 0);
    if code == SQLITE_OK {
        recorder.deleted(&path);
        if sync_directory != 0 {
            recorder.directory_synced();
        }
    }
    code
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    // No promise of the real device but this one: bytes beside those being written are not harmed.
    pass!(file, xDeviceCharacteristics) & ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

/// Functions that only pass on.
macro_rules! passing {
    ($($name:ident => $method:ident($($arg:ident: $type:ty),*) -> $result:ty;)+) => {
        $(unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $arg: $type)*) -> $result {
            pass!(file, $method $(, $arg)*)
        })+
    };
    (vfs: $($name:ident => $function:ident($($arg:ident: $type:ty),*);)+) => {
        $(unsafe extern "C" fn $name(vfs: *mut sqlite3_vfs $(, $arg: $type)*) -> c_int {
            pass_vfs!(vfs, $function $(, $arg)*)
        })+
    };
}

passing! {
    read => xRead(buffer: *mut c_void, length: c_int, at: i64) -> c_int;
    file_size => xFileSize(size: *mut i64) -> c_int;
    lock => xLock(level: c_int) -> c_int;
    unlock => xUnlock(level: c_int) -> c_int;
    check_reserved_lock => xCheckReservedLock(out: *mut c_int) -> c_int;
    file_control => xFileControl(op: c_int, arg: *mut c_void) -> c_int;
    sector_size => xSectorSize() -> c_int;
    shm_map => xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int;
    shm_lock => xShmLock(offset: c_int, n: c_int, flags: c_int) -> c_int;
    shm_unmap => xShmUnmap(delete: c_int) -> c_int;
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: as in `pass!`; a barrier gives no answer.
    unsafe {
        let inner = inner(file);
        if let Some(barrier) = (*(*inner).pMethods).xShmBarrier {
            barrier(inner);
        }
    }
}

passing! { vfs:
    access => xAccess(name: *const c_char, flags: c_int, out: *mut c_int);
    full_pathname => xFullPathname(name: *const c_char, length: c_int, out: *mut c_char);
    randomness => xRandomness(length: c_int, out: *mut c_char);
    sleep => xSleep(microseconds: c_int);
    current_time => xCurrentTime(out: *mut f64);
    get_last_error => xGetLastError(length: c_int, out: *mut c_char);
    current_time_int64 => xCurrentTimeInt64(out: *mut i64);
}
