//! Checking an exported log without its vault.

use std::io::BufRead;

use keep_audit::{ExportError, Fingerprint, verify_export};
use keep_types::{ErrorCode, Fault};

use super::{AuditFileReport, SignerView};

/// Checks an export: every line, the chain, the signed head, and, with `signer` (a vault's fingerprint, from `keep vault info`
/// or `keep init`), whose signature that is. Without it the file is known to be consistent with itself, and no more.
///
/// # Errors
/// [`ErrorCode::Integrity`] with the number of the line that is wrong, or when another vault signed it;
/// [`ErrorCode::InvalidInput`] when it is no export at all.
pub fn verify_audit_file(file: impl BufRead, signer: Option<&str>) -> Result<AuditFileReport, Fault> {
    let expected = signer.map(str::parse::<Fingerprint>).transpose().map_err(|error| {
        Fault::new(ErrorCode::Usage, error.to_string()).with_hint("`keep vault info` shows it")
    })?;
    let summary = verify_export(file).map_err(fault)?;
    let (head, found) = (summary.head.checkpoint, summary.head.signer());
    if let Some(expected) = expected
        && expected != found
    {
        let message = format!("the export is signed by another vault, with the fingerprint {found}");
        return Err(Fault::new(ErrorCode::Integrity, message)
            .with_hint("ask for the export again, or check the fingerprint that you gave"));
    }
    Ok(AuditFileReport {
        intact: true,
        signer: if expected.is_some() { SignerView::Known } else { SignerView::Unknown },
        fingerprint: found.to_string(),
        entries: head.count(),
        first: head.first,
        head: hex::encode(head.hash),
        last: summary.last.map(|time| time.to_string()),
        revision: head.revision,
        signed_at: head.time.to_string(),
    })
}

fn fault(error: ExportError) -> Fault {
    let message = error.to_string();
    match error {
        ExportError::Io(_) => Fault::new(ErrorCode::Storage, message).with_hint("check the file"),
        ExportError::NotAnExport(_) => Fault::new(ErrorCode::InvalidInput, message)
            .with_hint("give a file that `keep audit export` wrote"),
        ExportError::TooNew(_) => Fault::new(ErrorCode::FormatTooNew, message),
        ExportError::Unreadable { .. }
        | ExportError::Edited { .. }
        | ExportError::Gap { .. }
        | ExportError::Cut { .. }
        | ExportError::OtherHead { .. }
        | ExportError::BadSignature(_)
        | ExportError::Trailing(_) => Fault::new(ErrorCode::Integrity, message)
            .with_hint("ask for the export again; this file is not what the vault wrote"),
    }
}
