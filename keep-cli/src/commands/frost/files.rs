//! Files that commands write and read, and questions that they ask.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use keep_sdk::{DisplayText, ErrorCode, Fault};

use crate::ending::Ending;
use crate::secrets::unreadable;
use crate::terminal::Terminal;

/// Writes a file whole or not at all; never over another one unless `force` says so.
pub fn write(path: &Path, content: &str, force: bool) -> Result<(), Fault> {
    write_with(path, content, force, 0o666)
}

/// As [`write`], for what only its owner may read.
pub fn write_private(path: &Path, content: &str, force: bool) -> Result<(), Fault> {
    write_with(path, content, force, 0o600)
}

fn write_with(path: &Path, content: &str, force: bool, mode: u32) -> Result<(), Fault> {
    let failed = |error: std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::AlreadyExists => ErrorCode::AlreadyExists,
            std::io::ErrorKind::StorageFull => ErrorCode::StorageFull,
            _ => ErrorCode::Storage,
        };
        let hint = match code {
            ErrorCode::AlreadyExists => "choose another name, or overwrite it with --force",
            _ => "check the directory and its permissions",
        };
        Fault::new(code, format!("cannot write {}: {error}", path.display())).with_hint(hint)
    };
    refuse_existing(path, force)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = directory.unwrap_or(Path::new(".")).join(format!(".{name}.{}.part", std::process::id()));
    let written = create(&part, mode).and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.sync_all()
    });
    let moved = written.and_then(|()| {
        if force {
            std::fs::rename(&part, path)
        } else {
            // Fails if somebody was faster.
            std::fs::hard_link(&part, path).and_then(|()| std::fs::remove_file(&part))
        }
    });
    moved.map_err(|error| {
        // What is left is of no use to anybody.
        let _ = std::fs::remove_file(&part);
        failed(error)
    })
}

/// Says so if a file is there that must not be overwritten, before anything is done for it.
pub fn refuse_existing(path: &Path, force: bool) -> Result<(), Fault> {
    if force || !path.exists() {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::AlreadyExists, format!("{} exists already", path.display()))
        .with_hint("choose another name, or overwrite it with --force"))
}

/// Reads a text of at most `max` bytes.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let outcome = if path == Path::new("-") {
        std::io::stdin().lock().take(max + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
    };
    outcome.map_err(|error| unreadable(&path.display().to_string(), &error))?;
    if bytes.len() as u64 > max {
        return Err(Fault::new(ErrorCode::InvalidInput, format!("{} is too long", path.display())));
    }
    Ok(bytes)
}

/// Reads text.
pub fn read_text(path: &Path) -> Result<String, Fault> {
    String::from_utf8(read(path, 8 << 20)?)
        .map_err(|_| Fault::new(ErrorCode::InvalidInput, format!("{} is not UTF-8 text", path.display())))
}

/// Reads a message: text of at most `max` bytes in a regular file. Others are not opened: reading a pipe would wait for ever.
pub fn read_message(path: &Path, max: u64) -> Result<String, Fault> {
    let at = std::fs::metadata(path).map_err(|error| unreadable(&path.display().to_string(), &error))?;
    let bad = |why: &str| Fault::new(ErrorCode::InvalidInput, why);
    if !at.is_file() {
        return Err(bad("cannot read it: it is no regular file"));
    }
    if at.len() > max {
        return Err(bad("it is too long for a message"));
    }
    let text = String::from_utf8(read(path, max)?).map_err(|_| bad("it is not UTF-8 text"))?;
    let text = text.trim();
    if is_message(text) {
        Ok(text.to_owned())
    } else {
        Err(bad("it is no message: expected keepfrost1:… or JSON"))
    }
}

/// Whether a text begins as messages do.
pub fn is_message(text: &str) -> bool {
    text.starts_with("keepfrost1:") || text.starts_with('{')
}

/// A file's name as it is shown: others have chosen it.
pub fn shown(name: &str) -> String {
    DisplayText::truncated(name, 100).to_string()
}

/// What is said of a file, which may quote it.
pub fn shown_reason(reason: &str) -> String {
    DisplayText::truncated(reason, 200).to_string()
}

/// Asks before something that cannot be undone, or must not be done unseen.
pub fn agree(yes: bool, question: &str, refused: &str) -> Result<(), Ending> {
    if yes {
        return Ok(());
    }
    let mut terminal = Terminal::open().ok_or_else(|| {
        Fault::new(ErrorCode::ApprovalUnavailable, "this needs a yes, and there is no terminal to ask on")
            .with_hint("pass --yes if you mean it")
    })?;
    if terminal.ask_yes(question)? {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::RefusedByPerson, refused).with_hint("answer y to go on").into())
}

/// Makes a file that was not there, with the permissions `mode` less what the user's mask takes away.
fn create(path: &Path, mode: u32) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    // Elsewhere it gets the permissions of its directory.
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}
