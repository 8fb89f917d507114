//! `keep audit export`.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};

use keep_sdk::{Audit, AuditExportView, ErrorCode, Fault, counted};

use crate::args::AuditExport;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

impl View for AuditExportView {
    fn human(&self, style: Style) -> String {
        format!(
            "{} {}, signed by {}\n  {}",
            style.tick(),
            counted(self.entries, "entry"),
            self.fingerprint,
            style.dim("check it anywhere with `keep audit verify --file … --signer …`"),
        )
    }
}

pub fn run(session: &Session, arguments: &AuditExport) -> Result<(), Ending> {
    let Some(path) = &arguments.output else {
        let audit = session.open()?.audit();
        return match audit.export(BufWriter::new(stdout().lock())) {
            // Whoever read it has gone.
            Err(fault) if fault.message().contains("roken pipe") => Err(Ending::Closed),
            outcome => Ok(outcome.map(drop)?),
        };
    };
    if path.exists() && !arguments.force {
        return Err(Fault::new(ErrorCode::AlreadyExists, format!("{} exists already", path.display()))
            .with_hint("choose another name, or pass --force to replace it")
            .into());
    }
    let view = write(&session.open()?.audit(), path)?;
    session.output.show(&view)
}

/// The file appears as a whole or not at all.
fn write(audit: &Audit, path: &Path) -> Result<AuditExportView, Fault> {
    let unfinished = unfinished(path);
    let written = make(&unfinished).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        let view = audit.export(&mut out)?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(|error| cannot_write(path, &error))?;
        std::fs::rename(&unfinished, path).map_err(|error| cannot_write(path, &error))?;
        Ok(view)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.unfinished", std::process::id()));
    name.into()
}

fn make(path: &Path) -> Result<File, Fault> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Fault {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorCode::StorageFull,
        _ => ErrorCode::Storage,
    };
    Fault::new(code, format!("cannot write {}: {error}", path.display()))
        .with_hint("check the directory and its permissions")
}
