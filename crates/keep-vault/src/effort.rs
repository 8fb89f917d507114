//! Counts what an attempt to open a vault costs, for the tests that compare attempts. Compiles to nothing otherwise.

#[cfg(test)]
pub(crate) use counters::{Effort, take};

/// Argon2id ran once.
pub(crate) fn derived() {
    #[cfg(test)]
    counters::change(|effort| effort.derivations += 1);
}

/// A stanza or a slot's header was tried.
pub(crate) fn opened() {
    #[cfg(test)]
    counters::change(|effort| effort.attempts += 1);
}

#[cfg(test)]
mod counters {
    use std::cell::Cell;

    /// The work of one thread: key derivations, and sealed things that were tried.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(crate) struct Effort {
        pub derivations: u32,
        pub attempts: u32,
    }

    thread_local! {
        static EFFORT: Cell<Effort> = const { Cell::new(Effort { derivations: 0, attempts: 0 }) };
    }

    pub(super) fn change(change: impl FnOnce(&mut Effort)) {
        let mut effort = EFFORT.get();
        change(&mut effort);
        EFFORT.set(effort);
    }

    /// What was counted since this was last asked.
    pub(crate) fn take() -> Effort {
        EFFORT.take()
    }
}
