//! The audit log.

use std::collections::HashMap;

use keep_types::Fault;
use serde::{Deserialize, Serialize};

use crate::call::{Call, Class, Host};
use crate::{AuditEntryView, AuditReport, Keep};

/// Reads and checks the audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    keep: Keep,
}

impl Audit {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// The last `limit` entries, the oldest of them first.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn list(&self, limit: usize) -> Result<Vec<AuditEntryView>, Fault> {
        self.keep.call(List { limit })
    }

    /// Checks every record against the sealed sums, and the chain of the log from its first entry to its last.
    ///
    /// # Errors
    /// [`keep_types::ErrorCode::Integrity`] with what is wrong.
    pub fn verify(&self) -> Result<AuditReport, Fault> {
        self.keep.call(Verify {})
    }
}

/// The last entries of the log.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct List {
    limit: usize,
}

impl Call for List {
    const NAME: &'static str = "audit.list";
    const CLASS: Class = Class::Use;
    type Reply = Vec<AuditEntryView>;

    fn run(self, host: &Host) -> Result<Vec<AuditEntryView>, Fault> {
        let vault = host.vault();
        let names: HashMap<_, _> =
            vault.keys()?.into_iter().map(|key| (key.id, key.name.to_string())).collect();
        let mut entries: Vec<_> = vault
            .audit_tail(self.limit)?
            .iter()
            .map(|entry| AuditEntryView::new(entry, entry.key.and_then(|key| names.get(&key).cloned())))
            .collect();
        entries.reverse();
        Ok(entries)
    }
}

/// Checks the log and every record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Verify {}

impl Call for Verify {
    const NAME: &'static str = "audit.verify";
    const CLASS: Class = Class::Use;
    type Reply = AuditReport;

    fn run(self, host: &Host) -> Result<AuditReport, Fault> {
        let summary = host.vault().verify_audit()?;
        let rows = host.vault().verify()?;
        if !rows.is_intact() {
            return Err(keep_vault::VaultError::Tampered(rows.problems.join("; ")).into());
        }
        Ok(AuditReport {
            entries: summary.entries,
            head: hex::encode(summary.head),
            last: summary.last.map(|time| time.to_string()),
            revision: rows.revision.get(),
            records: rows.rows,
        })
    }
}
