//! The audit log.

use std::collections::HashMap;
use std::sync::Arc;

use keep_types::Fault;
use keep_vault::Vault;

use crate::{AuditEntryView, AuditReport};

/// Reads and checks the audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    vault: Arc<Vault>,
}

impl Audit {
    pub(crate) const fn new(vault: Arc<Vault>) -> Self {
        Self { vault }
    }

    /// The last `limit` entries, the oldest of them first.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn list(&self, limit: usize) -> Result<Vec<AuditEntryView>, Fault> {
        let names: HashMap<_, _> =
            self.vault.keys()?.into_iter().map(|key| (key.id, key.name.to_string())).collect();
        let mut entries: Vec<_> = self
            .vault
            .audit_tail(limit)?
            .iter()
            .map(|entry| AuditEntryView::new(entry, entry.key.and_then(|key| names.get(&key).cloned())))
            .collect();
        entries.reverse();
        Ok(entries)
    }

    /// Checks every record against the sealed sums, and the chain of the log from its first entry to its last.
    ///
    /// # Errors
    /// [`keep_types::ErrorCode::Integrity`] with what is wrong.
    pub fn verify(&self) -> Result<AuditReport, Fault> {
        let summary = self.vault.verify_audit()?;
        let rows = self.vault.verify()?;
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
