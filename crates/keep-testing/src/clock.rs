//! A clock that shows what a test tells it to show.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keep_types::{Clock, Timestamp};

/// A clock that stands still until it is moved. Clones show the same time.
#[derive(Debug, Clone)]
pub struct FakeClock(Arc<AtomicU64>);

impl FakeClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(now.as_secs())))
    }

    /// Sets the time, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_secs(), Ordering::SeqCst);
    }

    /// Moves the time on by whole seconds; stops at [`Timestamp::MAX`].
    pub fn advance(&self, by: Duration) {
        self.change(|now| now.plus(by));
    }

    /// Sets the time back by whole seconds; stops at the epoch.
    pub fn rewind(&self, by: Duration) {
        self.change(|now| now.minus(by));
    }

    fn change(&self, step: impl Fn(Timestamp) -> Timestamp) {
        // The closure always answers, so the update cannot be refused.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |secs| {
            Some(step(Timestamp::from_secs(secs)).as_secs())
        });
    }
}

impl Default for FakeClock {
    /// A clock at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::at(Timestamp::from_secs(1_767_225_600))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_time() {
        let clock = FakeClock::default();
        assert_eq!(clock.now().to_string(), "2026-01-01T00:00:00Z");
        let other = clock.clone();
        other.advance(Duration::from_secs(90));
        assert_eq!(clock.now().to_string(), "2026-01-01T00:01:30Z");
        clock.rewind(Duration::from_secs(30));
        assert_eq!(other.now().to_string(), "2026-01-01T00:01:00Z");
        other.set(Timestamp::MAX);
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
