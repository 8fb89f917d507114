//! When a vault that is held open locks itself.

use std::time::Duration;

/// Why the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Somebody asked for it.
    Asked,
    /// Its time is over.
    TimeOut,
    /// The machine slept, and may have changed hands meanwhile.
    Slept,
    /// The vault that it holds is no longer at its place.
    Gone,
}

impl Ended {
    /// The word for the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked for",
            Self::TimeOut => "its time was over",
            Self::Slept => "the machine slept",
            Self::Gone => "the vault is no longer at its place",
        }
    }
}

/// A gap between the two watches beyond this is a sleep of the machine.
const SLEEP: Duration = Duration::from_secs(2);

/// Two watches that nobody can set: one goes on while the machine sleeps, one does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watches {
    pub with_sleep: Duration,
    pub awake: Duration,
}

impl Watches {
    /// What they show now.
    #[cfg(target_os = "linux")]
    pub fn read() -> Self {
        use rustix::time::{ClockId, clock_gettime};
        let of = |clock| {
            let time = clock_gettime(clock);
            Duration::new(
                u64::try_from(time.tv_sec).unwrap_or_default(),
                u32::try_from(time.tv_nsec).unwrap_or_default(),
            )
        };
        Self { with_sleep: of(ClockId::Boottime), awake: of(ClockId::Monotonic) }
    }

    /// What they show now: the clock of the day beside the watch, because there is no watch that counts sleep everywhere.
    #[cfg(not(target_os = "linux"))]
    pub fn read() -> Self {
        use std::sync::OnceLock;
        use std::time::{Instant, SystemTime};
        static START: OnceLock<(Instant, SystemTime)> = OnceLock::new();
        let (instant, time) = START.get_or_init(|| (Instant::now(), SystemTime::now()));
        Self { with_sleep: time.elapsed().unwrap_or_default(), awake: instant.elapsed() }
    }

    /// How long the machine has slept in all.
    fn asleep(self) -> Duration {
        self.with_sleep.saturating_sub(self.awake)
    }
}

/// Looks at the watches now and then.
#[derive(Debug)]
pub struct Limits {
    began: Watches,
    /// When to lock, on the watch that counts sleep.
    pub deadline: Option<Duration>,
    /// Whether a sleep of the machine locks.
    pub sleep_locks: bool,
}

impl Limits {
    pub fn new(now: Watches, lifetime: Option<Duration>, sleep_locks: bool) -> Self {
        Self {
            began: now,
            deadline: lifetime.map(|lifetime| now.with_sleep.saturating_add(lifetime)),
            sleep_locks,
        }
    }

    /// Whether it is time to lock.
    pub fn check(&self, now: Watches) -> Option<Ended> {
        if self.deadline.is_some_and(|deadline| now.with_sleep >= deadline) {
            return Some(Ended::TimeOut);
        }
        let slept = now.asleep().saturating_sub(self.began.asleep());
        (self.sleep_locks && slept > SLEEP).then_some(Ended::Slept)
    }

    /// How long it is until the deadline.
    pub fn left(&self, now: Watches) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_sub(now.with_sleep))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(with_sleep: u64, awake: u64) -> Watches {
        Watches { with_sleep: Duration::from_secs(with_sleep), awake: Duration::from_secs(awake) }
    }

    #[test]
    fn the_time_runs_out_also_asleep() {
        let limits = Limits::new(at(100, 90), Some(Duration::from_secs(60)), false);
        assert_eq!(limits.check(at(159, 149)), None);
        assert_eq!(limits.check(at(160, 150)), Some(Ended::TimeOut));
        assert_eq!(limits.check(at(160, 100)), Some(Ended::TimeOut));
        assert_eq!(limits.left(at(130, 120)), Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_sleep_locks_where_it_should() {
        let limits = Limits::new(at(100, 90), None, true);
        assert_eq!(limits.check(at(5000, 4990)), None);
        assert_eq!(limits.check(at(5002, 4990)), None);
        assert_eq!(limits.check(at(5003, 4990)), Some(Ended::Slept));
        assert_eq!(Limits::new(at(100, 90), None, false).check(at(5003, 4990)), None);
    }

    #[test]
    fn the_watches_run() {
        let (first, second) = (Watches::read(), Watches::read());
        assert!(second.with_sleep >= first.with_sleep && second.awake >= first.awake);
    }
}
