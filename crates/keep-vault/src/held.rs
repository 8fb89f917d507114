//! Results that wait for their record.

use keep_types::{JobId, Revision};

use crate::VaultError;

/// A result that has been computed and may not leave before its record is durable.
///
/// Only the vault makes one, and only the [`Committed`] of the same job opens it:
///
/// ```compile_fail
/// # fn peek(held: keep_vault::Held<u8>) -> u8 {
/// held.value
/// # }
/// ```
#[must_use = "a result that is not released was computed for nothing"]
pub struct Held<T> {
    value: T,
    job: JobId,
}

impl<T> Held<T> {
    pub(crate) const fn new(value: T, job: JobId) -> Self {
        Self { value, job }
    }

    /// Gives the result up against its record.
    ///
    /// # Errors
    /// [`VaultError::Unrecorded`] when `record` is that of another job, or of a job that wrote nothing to the audit log.
    pub fn release(self, record: &Committed) -> Result<T, VaultError> {
        if record.covers(self.job) { Ok(self.value) } else { Err(VaultError::Unrecorded) }
    }
}

impl<T> std::fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held(…)")
    }
}

/// Proof that what a job wrote is durable. Made by the write path after its commit, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    job: JobId,
    revision: Revision,
    audit_seq: Option<u64>,
}

impl Committed {
    pub(crate) const fn new(job: JobId, revision: Revision, audit_seq: Option<u64>) -> Self {
        Self { job, revision, audit_seq }
    }

    /// The revision of the commit; of the last one before it, if the job wrote nothing.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The number of the job's first audit entry.
    pub const fn audit_seq(&self) -> Option<u64> {
        self.audit_seq
    }

    pub(crate) fn covers(&self, job: JobId) -> bool {
        self.job == job && self.audit_seq.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_jobs_own_record_releases() {
        let (job, other) = (JobId::fresh(), JobId::fresh());
        let record = |job, seq| Committed::new(job, Revision::new(1), seq);
        assert_eq!(Held::new(1, job).release(&record(other, Some(1))), Err(VaultError::Unrecorded));
        assert_eq!(Held::new(1, job).release(&record(job, None)), Err(VaultError::Unrecorded));
        assert_eq!(Held::new(1, job).release(&record(job, Some(1))), Ok(1));
    }
}
