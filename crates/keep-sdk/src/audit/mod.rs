//! The audit log: looked at, checked, exported, pruned, anchored.

mod calls;
mod export;
mod offline;
mod views;
mod when;

use keep_types::{Event, Fault};

use crate::{AuditEntryView, AuditReport, Keep};

pub(crate) use calls::{
    AcceptRollback, Anchor, ExportHead, ExportPage, Fingerprint, List, PlanRetention, Retention, Stats,
    Verify,
};
pub use offline::verify_audit_file;
pub use views::{
    AnchorView, AuditCountView, AuditExportView, AuditFileReport, AuditFilter, AuditStatsView,
    FingerprintView, PageView, RetentionView, RollbackView, SignedHeadView, SignerView,
};
pub use when::parse_when;

/// Reads, checks and hands out the audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    keep: Keep,
}

impl Audit {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// The last `limit` entries that match `filter`, the oldest of them first.
    ///
    /// # Errors
    /// When the filter names what does not exist, or the log cannot be read.
    pub fn search(&self, filter: AuditFilter, limit: usize) -> Result<Vec<AuditEntryView>, Fault> {
        self.keep.call(List { filter, before: None, limit })
    }

    /// The last `limit` entries, the oldest of them first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn list(&self, limit: usize) -> Result<Vec<AuditEntryView>, Fault> {
        self.search(AuditFilter::default(), limit)
    }

    /// Checks every record against the sealed sums, the chain of the log from its first entry to its last, and what stands
    /// for removed entries.
    ///
    /// # Errors
    /// [`keep_types::ErrorCode::Integrity`] with what is wrong.
    pub fn verify(&self) -> Result<AuditReport, Fault> {
        self.keep.call(Verify { anchor: None })
    }

    /// As [`verify`](Self::verify), and that the vault goes on from an anchor: the JSON of the event that
    /// [`anchor`](Self::anchor) gave once.
    ///
    /// # Errors
    /// [`keep_types::ErrorCode::Integrity`] when the vault was put back to a state before the anchor, or anything else is wrong.
    pub fn verify_against(&self, anchor: String) -> Result<AuditReport, Fault> {
        self.keep.call(Verify { anchor: Some(anchor) })
    }

    /// How large the log is and what it is made of. Takes no longer for a long log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn stats(&self) -> Result<AuditStatsView, Fault> {
        self.keep.call(Stats {})
    }

    /// What tells this vault from every other.
    ///
    /// # Errors
    /// When the vault cannot be read; in one of an older version, when its audit key cannot be made.
    pub fn fingerprint(&self) -> Result<FingerprintView, Fault> {
        self.keep.call(Fingerprint {})
    }

    /// What [`retain`](Self::retain) would remove.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn plan_retention(&self, max_days: u32) -> Result<RetentionView, Fault> {
        self.keep.call(PlanRetention { max_days })
    }

    /// Removes entries older than `max_days` days, and leaves a signed checkpoint in their place. The whole vault is checked
    /// first.
    ///
    /// # Errors
    /// [`keep_types::ErrorCode::Integrity`] when something is wrong with the vault; nothing is removed then.
    pub fn retain(&self, max_days: u32) -> Result<RetentionView, Fault> {
        self.keep.call(Retention { max_days })
    }

    /// A signed checkpoint as a Nostr event, to be kept elsewhere or published. Its author is a key of its own, not an identity.
    ///
    /// # Errors
    /// When the vault cannot be read or written.
    pub fn anchor(&self) -> Result<Event, Fault> {
        Ok(self.keep.call(Anchor {})?.event.0)
    }

    /// Goes on with a vault that is older than the one that was last used on this machine.
    ///
    /// # Errors
    /// When it is not older, or when anything else is wrong with it.
    pub fn accept_rollback(&self) -> Result<RollbackView, Fault> {
        self.keep.call(AcceptRollback {})
    }
}
