//! The user's own part of the disk. Who may enter it is what Windows set when the account was made: nothing here asks again.

use std::fs::{Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// What the file by which the daemon is reached ends with.
pub const ADDRESS: &str = "pipe";
/// What that is.
pub const KIND: &str = "a file";
/// What names another directory for it.
pub const VARIABLE: &str = "LOCALAPPDATA";

/// `keep\run` in the directory that is named, or in `AppData\Local` of the home directory.
pub fn directory(named: Option<PathBuf>) -> PathBuf {
    let of_home = || Some(std::env::home_dir()?.join("AppData").join("Local"));
    let local = named.filter(|path| path.is_absolute()).or_else(of_home).unwrap_or_default();
    local.join("keep").join("run")
}

/// Makes a directory. It gets the permissions of the one around it.
pub fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// The times of a directory are left: it is not opened as a file here.
pub const fn touch(_directory: &Path) {}

/// Files get the permissions of their directory.
pub fn privately(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

pub const fn is_ours(_found: &Metadata) -> bool {
    true
}

pub const fn is_open_to_others(_found: &Metadata) -> bool {
    false
}

pub fn is_address(found: &Metadata) -> bool {
    found.is_file()
}
