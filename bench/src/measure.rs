//! Taking times.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};

/// Which time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// What this thread computed: for work on one core, untouched by what else the machine does.
    Cpu,
    /// What all threads of this process computed: for work that is handed from thread to thread.
    Process,
    /// What a clock on the wall shows: for disks, sockets, other processes and several threads.
    Wall,
}

/// How often something is done and which time counts. The figure is the median over the rounds of a round's time
/// divided by its iterations.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    time: Time,
    rounds: u32,
    iterations: u32,
}

impl Measure {
    /// Work of microseconds on one core: 31 rounds of 500.
    pub const CPU: Self = Self { time: Time::Cpu, rounds: 31, iterations: 500 };
    /// Work of milliseconds on one core: seven rounds of one.
    pub const LONG: Self = Self { time: Time::Cpu, rounds: 7, iterations: 1 };
    /// Work of several threads, by what they compute: 15 rounds of 20.
    pub const PROCESS: Self = Self { time: Time::Process, rounds: 15, iterations: 20 };
    /// Work that waits for the disk: 101 rounds of one.
    pub const DISK: Self = Self { time: Time::Wall, rounds: 101, iterations: 1 };
    /// Work that takes long by itself: five rounds of one.
    pub const SLOW: Self = Self { time: Time::Wall, rounds: 5, iterations: 1 };

    /// The median time of one `work`.
    pub fn of(self, mut work: impl FnMut()) -> Duration {
        work();
        median((0..self.rounds).map(|_| self.round(&mut work)).collect())
    }

    /// The median times of `ours` and of `reference`, their rounds taken in turns, so that a machine that slows down
    /// slows both down.
    pub fn both(self, mut ours: impl FnMut(), mut reference: impl FnMut()) -> (Duration, Duration) {
        ours();
        reference();
        let rounds = (0..self.rounds).map(|_| (self.round(&mut ours), self.round(&mut reference)));
        let (ours, reference) = rounds.unzip();
        (median(ours), median(reference))
    }

    fn round(self, work: &mut impl FnMut()) -> Duration {
        let begin = self.now();
        for _ in 0..self.iterations {
            work();
        }
        self.now().saturating_sub(begin) / self.iterations
    }

    fn now(self) -> Duration {
        match self.time {
            Time::Cpu => by_clock(ClockId::ThreadCPUTime),
            Time::Process => by_clock(ClockId::ProcessCPUTime),
            Time::Wall => {
                static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
                START.elapsed()
            }
        }
    }
}

fn by_clock(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let (secs, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(secs.unwrap_or(0), nanos.unwrap_or(0))
}

/// What all threads of this process have computed so far.
pub fn process_time() -> Duration {
    by_clock(ClockId::ProcessCPUTime)
}

/// What threads of a process, by its number or `self`, have computed so far: all of them, or those of this name. From
/// `/proc`, so on Linux alone.
pub fn threads_time(process: &str, name: Option<&str>) -> Result<Duration> {
    let mut whole = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?.path();
        // One that has ended meanwhile computes no more.
        let read = |what: &str| std::fs::read_to_string(thread.join(what)).ok();
        let (Some(called), Some(figures)) = (read("comm"), read("schedstat")) else { continue };
        if name.is_some_and(|name| name != called.trim_end()) {
            continue;
        }
        let nanos = figures.split(' ').next().context("no time in schedstat")?;
        whole += Duration::from_nanos(nanos.parse()?);
    }
    Ok(whole)
}

/// The one that so many in a hundred do not exceed.
pub fn percentile(mut times: Vec<Duration>, hundredths: usize) -> Duration {
    times.sort_unstable();
    let at = (times.len() * hundredths).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}

/// The middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_outliers() {
        let times = [9, 1, 2, 3, 1000].map(Duration::from_micros);
        assert_eq!(median(times.to_vec()), Duration::from_micros(3));
        assert_eq!(median(vec![]), Duration::ZERO);
        let times: Vec<Duration> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(percentile(times, 99), Duration::from_micros(198));
        assert_eq!(percentile(vec![], 99), Duration::ZERO);
    }

    #[test]
    fn sleeping_is_wall_time_and_not_cpu_time() {
        let sleep = || std::thread::sleep(Duration::from_millis(3));
        let wall = Measure { time: Time::Wall, rounds: 3, iterations: 1 };
        let cpu = Measure { time: Time::Cpu, ..wall };
        assert!(wall.of(sleep) >= Duration::from_millis(3));
        assert!(cpu.of(sleep) < Duration::from_millis(2));
    }

    #[test]
    fn both_sides_run_equally_often() {
        let (mut ours, mut reference) = (0, 0);
        let measure = Measure { time: Time::Cpu, rounds: 4, iterations: 3 };
        measure.both(|| ours += 1, || reference += 1);
        assert_eq!((ours, reference), (13, 13));
    }
}
