//! Writing an export: the same here and over a socket.

use std::io::Write;

use keep_audit::{Batch, ExportWriter, WriteError};
use keep_types::{ErrorCode, Fault, Record};

use super::{Audit, AuditExportView, ExportHead, ExportPage};

impl Audit {
    /// Writes the whole log as JSON Lines that end in a signed head. The export itself is its last entry.
    ///
    /// # Errors
    /// [`ErrorCode::Integrity`] when the log is not what its head says; when `out` cannot be written.
    pub fn export(&self, out: impl Write) -> Result<AuditExportView, Fault> {
        let head = self.keep.call(ExportHead {})?.head;
        let mut writer = ExportWriter::begin(out, head).map_err(failed)?;
        while writer.next_seq() < head.checkpoint.next {
            let page = self.keep.call(ExportPage { from: writer.next_seq() })?;
            let cbor = hex::decode(page.entries)
                .map_err(|_| Fault::new(ErrorCode::Bug, "a page of the log is not in hexadecimal"))?;
            let entries =
                Batch::from_cbor(&cbor).map_err(|e| Fault::new(ErrorCode::Integrity, e.to_string()))?;
            let before = writer.next_seq();
            // What was recorded since the head was signed is not part of this export.
            let wanted = entries.entries().iter().take_while(|entry| entry.seq < head.checkpoint.next);
            for entry in wanted {
                writer.entry(entry).map_err(failed)?;
            }
            if writer.next_seq() == before {
                let message = format!("entry {before} is missing from the log");
                return Err(Fault::new(ErrorCode::Integrity, message));
            }
        }
        writer.finish().map_err(failed)?;
        Ok(AuditExportView {
            entries: head.checkpoint.count(),
            head: hex::encode(head.checkpoint.hash),
            revision: head.checkpoint.revision,
            fingerprint: head.signer().to_string(),
        })
    }
}

fn failed(error: WriteError) -> Fault {
    match error {
        WriteError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            Fault::new(ErrorCode::StorageFull, "there is no space left for the export")
        }
        WriteError::Io(error) => Fault::new(ErrorCode::Storage, format!("cannot write the export: {error}"))
            .with_hint("see where the output goes"),
        WriteError::Broken(broken) => {
            Fault::new(ErrorCode::Integrity, format!("the audit log is not what its head says: {broken}"))
        }
        WriteError::Json => Fault::new(ErrorCode::Bug, "an entry has no JSON form"),
    }
}
