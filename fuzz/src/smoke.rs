//! The short run that belongs to the tests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::mutate::Mutator;
use crate::targets::Target;

/// How a run is bounded and repeated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For how long mutated input is fed.
    pub time: Duration,
    /// How long one input may take.
    pub patience: Duration,
    /// Where the sequence of mutations begins.
    pub seed: u64,
}

impl Default for Settings {
    /// A fifth of a second of mutations, two seconds of patience.
    fn default() -> Self {
        Self { time: Duration::from_millis(200), patience: Duration::from_secs(2), seed: 1 }
    }
}

/// An input that a target did not survive.
#[derive(Debug)]
pub struct Failure {
    /// The input itself.
    pub input: Vec<u8>,
    /// What happened.
    pub what: &'static str,
}

/// Feeds `target` with `seeds` as they are, then with mutations of them until the time is up. Answers with how many
/// inputs it took.
///
/// # Errors
/// The first [`Failure`].
pub fn smoke(target: &Target, seeds: &[Vec<u8>], settings: &Settings) -> Result<u64, Failure> {
    let begin = Instant::now();
    let mut mutator = Mutator::new(settings.seed);
    let mut count = 0;
    for input in seeds {
        feed(target, input, settings)?;
        count += 1;
    }
    while begin.elapsed() < settings.time {
        feed(target, &mutator.mutate(seeds), settings)?;
        count += 1;
    }
    Ok(count)
}

fn feed(target: &Target, input: &[u8], settings: &Settings) -> Result<(), Failure> {
    let begin = Instant::now();
    let failure = |what| Failure { input: input.to_vec(), what };
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|_| failure("panicked"))?;
    if begin.elapsed() > settings.patience {
        return Err(failure("took too long"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { time: Duration::from_secs(10), ..Settings::default() }
    }

    #[test]
    fn a_panic_is_found_with_its_input() {
        let target = Target { name: "x", run: |input| assert!(!input.contains(&0xff), "boom") };
        let failure = smoke(&target, &[b"some text".to_vec()], &settings()).unwrap_err();
        assert_eq!(failure.what, "panicked");
        assert!(failure.input.contains(&0xff));
    }

    #[test]
    fn a_slow_input_is_found() {
        let target = Target { name: "x", run: |_| std::thread::sleep(Duration::from_millis(20)) };
        let patience = Duration::from_millis(1);
        let failure = smoke(&target, &[b"x".to_vec()], &Settings { patience, ..settings() }).unwrap_err();
        assert_eq!(failure.what, "took too long");
    }
}
