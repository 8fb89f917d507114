//! Files in and out.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::Path;

use keep_sdk::{ErrorCode, Fault};

use crate::secrets::unreadable;

/// The largest file that is read, in bytes: a PSBT of 16 MiB in hexadecimal, with room for line feeds.
const MAX: u64 = 50 << 20;

/// Reads a file, or stdin for `-`.
pub fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let (name, outcome) = if path == Path::new("-") {
        ("stdin".to_owned(), io::stdin().lock().take(MAX).read_to_end(&mut bytes))
    } else {
        let opened = std::fs::File::open(path);
        (path.display().to_string(), opened.and_then(|file| file.take(MAX).read_to_end(&mut bytes)))
    };
    outcome.map_err(|error| unreadable(&name, &error))?;
    Ok(bytes)
}

/// Says before anything is signed that a file cannot be written because it is there.
pub fn expect_free(path: &Path, force: bool) -> Result<(), Fault> {
    if path.exists() && !force {
        return Err(Fault::new(ErrorCode::AlreadyExists, format!("{} is there already", path.display()))
            .with_hint("choose another file, or pass --force"));
    }
    Ok(())
}

/// Writes a file as a whole: beside its place first, then into it.
pub fn write(path: &Path, bytes: &[u8], force: bool) -> Result<(), Fault> {
    let failed = |error: &io::Error| {
        let code = match error.kind() {
            io::ErrorKind::AlreadyExists => ErrorCode::AlreadyExists,
            io::ErrorKind::StorageFull => ErrorCode::StorageFull,
            _ => ErrorCode::Storage,
        };
        Fault::new(code, format!("cannot write {}: {error}", path.display()))
            .with_hint("choose another file with --output")
    };
    expect_free(path, force)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&part)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| if force { std::fs::rename(&part, path) } else { place(&part, path) });
    if written.is_err() {
        // What is left is worth nothing, and may not be removable either.
        let _ = std::fs::remove_file(&part);
    }
    written.map_err(|error| failed(&error))
}

/// Moves a file without overwriting what somebody put there meanwhile.
fn place(part: &Path, path: &Path) -> io::Result<()> {
    match std::fs::hard_link(part, path) {
        Ok(()) => std::fs::remove_file(part),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Not every file system has links.
        Err(_) => std::fs::rename(part, path),
    }
}
