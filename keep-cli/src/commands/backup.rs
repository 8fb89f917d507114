//! `keep backup`.

use std::fs::{File, OpenOptions};
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use keep_sdk::{
    BackupKey, BackupLock, BackupNeeds, BackupSummary, Clock, ErrorCode, Fault, LockedBackup, SecretText,
    SystemClock, counted, new_backup_passphrase, verify_backup,
};
use serde::Serialize;

use crate::args::{Backup, BackupCommand, BackupOpened};
use crate::ending::Ending;
use crate::output::{View, optional_in_clear};
use crate::secrets::{Source, read_file, unreadable};
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
struct Written {
    file: String,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_in_clear")]
    passphrase: Option<SecretText>,
    #[serde(flatten)]
    summary: BackupSummary,
}

impl View for Written {
    fn human(&self, style: Style) -> String {
        let done = format!("{} {}: {}", style.tick(), style.bold(&self.file), content(&self.summary));
        match &self.passphrase {
            Some(passphrase) => format!("{done}\nIts passphrase: {}", passphrase.expose()),
            None => done,
        }
    }
}

#[derive(Serialize)]
struct Verified {
    intact: bool,
    #[serde(flatten)]
    summary: BackupSummary,
}

impl View for Verified {
    fn human(&self, style: Style) -> String {
        let made = &self.summary.created_at;
        format!("{} whole, made {made}: {}", style.tick(), content(&self.summary))
    }
}

pub fn run(session: &Session, arguments: &Backup) -> Result<(), Ending> {
    match &arguments.command {
        Some(BackupCommand::Verify(opened)) => verify(session, opened),
        None => make(session, arguments),
    }
}

fn make(session: &Session, arguments: &Backup) -> Result<(), Ending> {
    let path = arguments.output.clone().unwrap_or_else(default_name);
    refuse_taken(&path, arguments.force)?;
    let keep = session.open_for_bulk()?;
    let (lock, shown) = lock(session, arguments)?;
    let (bytes, summary) = write(&path, arguments.force, |file| keep.backups().write(lock, file))?;
    session.output.show(&Written { file: path.display().to_string(), bytes, passphrase: shown, summary })?;
    session.output.talk(
        "Whoever opens it has every key. Keep the passphrase elsewhere than the file, and shares of threshold keys elsewhere than\n\
         a backup with another share of the same group. Check it now and then: keep backup verify",
    );
    Ok(())
}

/// What locks the backup, and the passphrase if it is to be shown.
fn lock(session: &Session, arguments: &Backup) -> Result<(BackupLock, Option<SecretText>), Ending> {
    if !arguments.recipient.is_empty() {
        return Ok((BackupLock::Recipients(arguments.recipient.clone()), None));
    }
    let copy = |text: &SecretText| SecretText::new(text.expose().to_owned());
    if arguments.generate_passphrase {
        let made = new_backup_passphrase()?;
        return Ok((BackupLock::Passphrase(copy(&made)), Some(made)));
    }
    let source = Source::backup(arguments.with.passphrase_file.as_deref());
    if let Some(given) = source.given()? {
        return Ok((BackupLock::Passphrase(given), None));
    }
    let mut terminal = source.terminal()?;
    let made = new_backup_passphrase()?;
    session.output.ask(&format!("A passphrase for it that nobody guesses: {}", made.expose()));
    if terminal.ask_yes("Write it down. Take this one?")? {
        return Ok((BackupLock::Passphrase(made), None));
    }
    Ok((BackupLock::Passphrase(source.get_new(session.yes_safe())?), None))
}

fn verify(session: &Session, arguments: &BackupOpened) -> Result<(), Ending> {
    let (file, key) = open(arguments)?;
    let summary = verify_backup(file, &key)?;
    session.output.show(&Verified { intact: true, summary })
}

/// A backup, of which the beginning was read, and what opens it.
pub fn open(arguments: &BackupOpened) -> Result<(LockedBackup<impl Read>, BackupKey), Ending> {
    let shown = arguments.file.display().to_string();
    let mut file = File::open(&arguments.file).map_err(|error| unreadable(&shown, &error))?;
    // The first byte tells what cannot be read at all, such as a directory.
    let mut first = Vec::new();
    let begun = Read::by_ref(&mut file).take(1).read_to_end(&mut first);
    begun.map_err(|error| unreadable(&shown, &error))?;
    let file = LockedBackup::read(Cursor::new(first).chain(file))?;
    let key = match (file.needs(), &arguments.identity_file) {
        (BackupNeeds::Identity, Some(path)) => BackupKey::Identities(read_file(path)?),
        (BackupNeeds::Identity, None) => {
            return Err(Fault::new(
                ErrorCode::Locked,
                "the backup is for a recipient, whose secret key opens it",
            )
            .with_hint("pass --identity-file FILE")
            .into());
        }
        (BackupNeeds::Passphrase, _) => {
            BackupKey::Passphrase(Source::backup(arguments.with.passphrase_file.as_deref()).get()?)
        }
    };
    Ok((file, key))
}

/// What is in a backup, in words.
pub fn content(summary: &BackupSummary) -> String {
    let BackupSummary { keys, groups, secrets, records, .. } = summary;
    format!(
        "{}, {}, {}, {} in all",
        counted(*keys, "key"),
        counted(*groups, "threshold key"),
        counted(*secrets, "secret"),
        counted(*records, "record")
    )
}

fn default_name() -> PathBuf {
    let today = SystemClock.now().to_string();
    format!("keep-backup-{}.age", &today[..10]).into()
}

fn refuse_taken(path: &Path, force: bool) -> Result<(), Fault> {
    if !force && path.symlink_metadata().is_ok() {
        return Err(taken(path));
    }
    Ok(())
}

fn taken(path: &Path) -> Fault {
    Fault::new(ErrorCode::AlreadyExists, format!("{} is there already", path.display()))
        .with_hint("choose another --output, or pass --force")
}

/// Writes the file with what `content` writes, as a whole or not at all; its length, and what `content` gives.
fn write<T>(
    path: &Path,
    force: bool,
    content: impl FnOnce(&mut dyn Write) -> Result<T, Fault>,
) -> Result<(u64, T), Fault> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => taken(path),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            cannot_write(ErrorCode::StorageFull, path, &error)
        }
        _ => cannot_write(ErrorCode::Storage, path, &error),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let whole = || -> Result<(u64, T), Fault> {
        let mut file = new_part(&part).map_err(failed)?;
        let made = content(&mut file)?;
        let length = file.sync_all().and_then(|()| file.metadata()).map_err(failed)?.len();
        put_in_place(&part, path, force).map_err(failed)?;
        Ok((length, made))
    };
    let written = whole().inspect_err(|_| {
        // A part that cannot be removed says by its name what it is.
        let _ = std::fs::remove_file(&part);
    })?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    Ok(written)
}

fn cannot_write(code: ErrorCode, path: &Path, error: &io::Error) -> Fault {
    Fault::new(code, format!("cannot write {}: {error}", path.display()))
}

fn new_part(part: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(part)
}

/// Without `force` by a link, which fails where there is something; file systems without links get a look first.
fn put_in_place(part: &Path, path: &Path, force: bool) -> io::Result<()> {
    if !force {
        match std::fs::hard_link(part, path) {
            Ok(()) => return std::fs::remove_file(part),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) if path.symlink_metadata().is_ok() => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
    }
    std::fs::rename(part, path)
}
