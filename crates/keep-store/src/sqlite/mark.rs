//! What the lock file of the writers says: who writes, or how the last one ended.
//!
//! It says so to processes, not to those who come after a loss of power, so it is never synced. A process that is killed leaves its
//! number behind.

use std::fs::File;
use std::io;

/// How the last one who had the turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With everything done that was begun.
    Well,
    /// Somewhere in the middle: pages of a commit that does not count may lie behind the end of the log.
    Unsure,
    /// While such pages were taken away: perhaps not for good yet.
    Cutting,
}

/// What the file says always has one length.
const LENGTH: usize = 10;
const UNSURE: &str = "unfinished";
const CUTTING: &str = "cutting";

impl Ending {
    /// What the file says. What cannot be read or understood is not good.
    pub(super) fn read(file: &File) -> Self {
        let mut text = [b' '; LENGTH];
        let Ok(_) = read_at_start(file, &mut text) else { return Self::Unsure };
        match str::from_utf8(&text).map(str::trim) {
            Ok("") => Self::Well,
            Ok(CUTTING) => Self::Cutting,
            Ok(_) | Err(_) => Self::Unsure,
        }
    }

    /// Says so to those who come next.
    pub(super) fn write(self, file: &File) -> io::Result<()> {
        write_text(
            file,
            match self {
                Self::Well => "",
                Self::Unsure => UNSURE,
                Self::Cutting => CUTTING,
            },
        )
    }
}

/// Leaves the process number in the file, for those who wait too long, and for those who come after a process that was killed.
pub(super) fn sign(file: &File) -> io::Result<()> {
    write_text(file, &std::process::id().to_string())
}

fn write_text(file: &File, text: &str) -> io::Result<()> {
    write_at_start(file, format!("{text:<LENGTH$}\n").as_bytes())
}

#[cfg(unix)]
fn read_at_start(file: &File, text: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, text, 0)
}

#[cfg(unix)]
fn write_at_start(file: &File, text: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, text, 0)
}

/// Only the handle that has locked the file can read it here.
#[cfg(windows)]
fn read_at_start(file: &File, text: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, text, 0)
}

#[cfg(windows)]
fn write_at_start(file: &File, text: &[u8]) -> io::Result<()> {
    match std::os::windows::fs::FileExt::seek_write(file, text, 0)? {
        written if written == text.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Ending::read(&file), Ending::Well, "a new file");
        for ending in [Ending::Cutting, Ending::Well, Ending::Unsure, Ending::Well] {
            ending.write(&file).unwrap();
            assert_eq!((Ending::read(&file), file.metadata().unwrap().len()), (ending, 11));
        }
        sign(&file).unwrap();
        assert_eq!((Ending::read(&file), file.metadata().unwrap().len()), (Ending::Unsure, 11));
    }
}
