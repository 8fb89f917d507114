//! `keep audit verify`: of the vault, or of an exported file without one.

use std::fs::File;
use std::io::{BufReader, stdin};
use std::path::Path;

use keep_sdk::{AuditFileReport, AuditReport, ErrorCode, Fault, SignerView, counted, verify_audit_file};
use serde::Serialize;

use crate::args::AuditVerify;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

/// An anchor is one short JSON value.
const MAX_ANCHOR: u64 = 64 * 1024;

#[derive(Serialize)]
struct Verified {
    intact: bool,
    #[serde(flatten)]
    report: AuditReport,
}

impl View for Verified {
    fn human(&self, style: Style) -> String {
        let report = &self.report;
        let tick = style.tick();
        let last = report.last.as_deref().map(|last| format!(", the last of {last}")).unwrap_or_default();
        let mut lines = vec![
            format!("{tick} {}{last}: the chain is whole", counted(report.entries, "entry")),
            format!(
                "{tick} {} at revision {}: as they were written",
                counted(report.records, "record"),
                report.revision
            ),
        ];
        if report.first > 1 {
            let removed = report.first - 1;
            lines.push(format!(
                "{tick} {} removed; a signed checkpoint stands for what is gone",
                counted(removed, "older entry")
            ));
        }
        if let Some(anchor) = &report.anchor {
            let text =
                format!("{tick} the log goes on from the anchor of {} (entry {})", anchor.time, anchor.entry);
            lines.push(text);
        }
        lines.push(format!("  {}", style.dim(&format!("head {}", report.head))));
        lines.join("\n")
    }
}

impl View for AuditFileReport {
    fn human(&self, style: Style) -> String {
        let last = self.last.as_deref().map(|last| format!(", the last of {last}")).unwrap_or_default();
        let signer = match self.signer {
            SignerView::Known => format!("{} signed by the vault that you named", style.tick()),
            SignerView::Unknown => {
                format!("{} consistent with itself; the signer is unknown", style.yellow("!"))
            }
        };
        format!(
            "{} {}{last}: the chain is whole, and ends in its signed head\n{signer}\n  {}",
            style.tick(),
            counted(self.entries, "entry"),
            style.dim(&format!(
                "fingerprint {}, revision {}, signed {}",
                self.fingerprint, self.revision, self.signed_at
            )),
        )
    }
}

pub fn run(session: &Session, arguments: &AuditVerify) -> Result<(), Ending> {
    if let Some(file) = &arguments.file {
        return of_file(session, file, arguments.signer.as_deref());
    }
    let anchor = arguments.anchor.as_deref().map(read_anchor).transpose()?;
    let audit = session.open()?.audit();
    let report = match anchor {
        Some(anchor) => audit.verify_against(anchor)?,
        None => audit.verify()?,
    };
    session.output.show(&Verified { intact: true, report })
}

/// Needs no vault and no passphrase.
fn of_file(session: &Session, path: &Path, signer: Option<&str>) -> Result<(), Ending> {
    let report = if path == Path::new("-") {
        verify_audit_file(stdin().lock(), signer)?
    } else {
        let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
        verify_audit_file(BufReader::with_capacity(1 << 16, file), signer)?
    };
    session.output.show(&report)?;
    match report.signer {
        SignerView::Known => Ok(()),
        SignerView::Unknown => {
            let message =
                "the file is consistent with itself, but nobody said whose signature it should have";
            Err(Fault::new(ErrorCode::SignerUnknown, message).into())
        }
    }
}

fn read_anchor(path: &Path) -> Result<String, Fault> {
    let too_long = || Fault::new(ErrorCode::InvalidInput, format!("{} is no anchor", path.display()));
    let length = std::fs::metadata(path).map_err(|error| cannot_read(path, &error))?.len();
    if length > MAX_ANCHOR {
        return Err(too_long().with_hint("give what `keep audit anchor` printed"));
    }
    std::fs::read_to_string(path).map_err(|error| cannot_read(path, &error))
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(ErrorCode::InvalidInput, format!("cannot read {}: {error}", path.display()))
        .with_hint("check the path")
}
