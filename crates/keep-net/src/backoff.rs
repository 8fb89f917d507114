//! How long to wait before the next attempt.

use std::time::Duration;

use crate::rng::SplitMix;

/// Exponential back-off with jitter: each wait is drawn from the upper half of a window that doubles up to a cap, so
/// that many clients of a restarted relay do not come back at the same moment.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, attempt: 0 }
    }

    pub fn next(&mut self, rng: &mut SplitMix) -> Duration {
        let window = self.base.saturating_mul(1 << self.attempt.min(20)).min(self.cap);
        self.attempt = self.attempt.saturating_add(1);
        let half = window / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(rng.below(nanos.saturating_add(1)))
    }

    /// The next wait is the shortest again.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_vary() {
        let mut rng = SplitMix::seeded(1);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for window in [100, 200, 400, 800, 1600, 2000, 2000, 2000] {
            let wait = backoff.next(&mut rng).as_millis();
            assert!(wait >= window / 2 && wait <= window, "{wait} of {window}");
        }
        for _ in 0..100 {
            assert!(backoff.next(&mut rng) <= Duration::from_secs(2));
        }
        backoff.reset();
        assert!(backoff.next(&mut rng) <= Duration::from_millis(100));
    }
}
