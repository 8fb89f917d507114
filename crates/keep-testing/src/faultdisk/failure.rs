//! Failures on demand.

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No space is left: nothing is written. Syncs, deletions and truncations fail with an I/O error instead.
    Full,
    /// The device reports an error: nothing is written.
    Io,
    /// The device reports an error after half of the bytes were written.
    Short,
}

/// For how long it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// Once.
    Once,
    /// Until the disk is healed.
    UntilHealed,
}

/// A failure that is to come.
#[derive(Debug)]
pub(super) struct Plan {
    skip: usize,
    failure: Failure,
    lasting: Lasting,
    failures: usize,
}

impl Plan {
    pub(super) fn new(skip: usize, failure: Failure, lasting: Lasting) -> Self {
        Self { skip, failure, lasting, failures: 0 }
    }

    /// Counts a change; says how it fails, if it does.
    pub(super) fn next(&mut self) -> Option<Failure> {
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        if self.failures > 0 && self.lasting == Lasting::Once {
            return None;
        }
        self.failures += 1;
        Some(self.failure)
    }

    pub(super) fn failures(&self) -> usize {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_when_planned() {
        let mut once = Plan::new(2, Failure::Full, Lasting::Once);
        let mut lasting = Plan::new(2, Failure::Io, Lasting::UntilHealed);
        let seen: Vec<_> = (0..5).map(|_| (once.next().is_some(), lasting.next().is_some())).collect();
        assert_eq!(seen, [(false, false), (false, false), (true, true), (false, true), (false, true)]);
        assert_eq!((once.failures(), lasting.failures()), (1, 3));
    }
}
