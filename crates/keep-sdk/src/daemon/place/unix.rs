//! Who owns what lies at a place, and who may enter it.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What the file by which the daemon is reached ends with.
pub const ADDRESS: &str = "sock";
/// What that is.
pub const KIND: &str = "a socket";
/// What names another directory for it.
pub const VARIABLE: &str = "XDG_RUNTIME_DIR";

/// `keep` in the directory that is named, or in `/run/user/UID`, or `/tmp/keep-UID`.
pub fn directory(named: Option<PathBuf>) -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    let of_system = || Some(PathBuf::from(format!("/run/user/{user}")));
    named
        .or_else(of_system)
        .filter(|path| {
            path.is_absolute() && std::fs::metadata(path).is_ok_and(|found| found.is_dir() && is_ours(&found))
        })
        .map_or_else(|| PathBuf::from(format!("/tmp/keep-{user}")), |path| path.join("keep"))
}

/// Makes a directory for its user only.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Sets both times of a directory to the present. They are no reason to keep somebody out of the vault.
pub fn touch(directory: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    let _ = utimensat(CWD, directory, &times, AtFlags::SYMLINK_NOFOLLOW);
}

/// Makes files for their user only, and follows no link to them.
pub fn privately(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
}

pub fn is_ours(found: &Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}

pub fn is_open_to_others(found: &Metadata) -> bool {
    found.mode() & 0o077 != 0
}

pub fn is_address(found: &Metadata) -> bool {
    found.file_type().is_socket()
}
