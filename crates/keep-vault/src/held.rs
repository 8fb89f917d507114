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
    entry: RecordedBy,
    /// How many jobs of the commit keep what they received, if this one does.
    kept: usize,
}

/// Where the audit entry of a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordedBy {
    /// The job wrote none.
    Nothing,
    /// In the job's own commit.
    Own(u64),
    /// In the commit of an earlier job, which decided the same request.
    Earlier(u64),
}

impl Committed {
    pub(crate) const fn new(job: JobId, revision: Revision, entry: RecordedBy) -> Self {
        Self { job, revision, entry, kept: 0 }
    }

    pub(crate) const fn keeping(mut self, kept: usize) -> Self {
        self.kept = kept;
        self
    }

    /// If the job kept what it received ([`Tx::receive`](crate::Tx::receive)): the revision under which it lies
    /// ([`Unanswered::place`](crate::Unanswered::place)), and how many jobs keep something there.
    pub const fn kept(&self) -> Option<(Revision, usize)> {
        if self.kept == 0 { None } else { Some((self.revision, self.kept)) }
    }

    /// The revision of the commit; of the last one before it, if the job wrote nothing.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The number of the job's first audit entry.
    pub const fn audit_seq(&self) -> Option<u64> {
        match self.entry {
            RecordedBy::Nothing => None,
            RecordedBy::Own(seq) | RecordedBy::Earlier(seq) => Some(seq),
        }
    }

    /// Whether this is a record of `job`.
    pub(crate) fn covers(&self, job: JobId) -> bool {
        self.job == job && self.entry != RecordedBy::Nothing
    }

    /// Whether this is a record of `job` that `job` itself wrote.
    pub(crate) fn is_own_record_of(&self, job: JobId) -> bool {
        self.job == job && matches!(self.entry, RecordedBy::Own(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_jobs_own_record_releases() {
        let (job, other) = (JobId::fresh(), JobId::fresh());
        let record = |job, entry| Committed::new(job, Revision::new(1), entry);
        assert_eq!(
            Held::new(1, job).release(&record(other, RecordedBy::Own(1))),
            Err(VaultError::Unrecorded)
        );
        assert_eq!(Held::new(1, job).release(&record(job, RecordedBy::Nothing)), Err(VaultError::Unrecorded));
        assert_eq!(Held::new(1, job).release(&record(job, RecordedBy::Own(1))), Ok(1));
        assert_eq!(Held::new(1, job).release(&record(job, RecordedBy::Earlier(1))), Ok(1));
        assert!(!record(job, RecordedBy::Earlier(1)).is_own_record_of(job));
    }
}
