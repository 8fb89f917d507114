//! What a run of all suites comes to.

use std::fmt::Write as _;
use std::time::Duration;

use crate::tally::Tally;

/// The suites of one run.
#[derive(Debug, Default)]
pub struct Summary {
    suites: Vec<(&'static str, Tally, Duration)>,
}

impl Summary {
    pub fn add(&mut self, name: &'static str, tally: Tally, took: Duration) {
        self.suites.push((name, tally, took));
    }

    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.suites.iter().all(|(_, tally, _)| tally.failed.is_empty())
    }

    /// A line for each suite, then every failure and every skip by name, then the totals.
    pub fn render(&self) -> String {
        let mut text = String::from("\n== summary\n");
        let mut total = Tally::default();
        for (name, tally, took) in &self.suites {
            let word = match (tally.failed.is_empty(), tally.passed) {
                (false, _) => "FAILED",
                (true, 0) => "skipped",
                (true, _) => "passed",
            };
            let (failed, skipped) = (tally.failed.len(), tally.skipped.len());
            writeln!(
                text,
                "{name:<11}{word:<8}{:>6} passed {failed:>4} failed {skipped:>4} skipped {:>7.1} s",
                tally.passed,
                took.as_secs_f64()
            )
            .ok();
            total.add(tally.clone());
        }
        for name in &total.failed {
            writeln!(text, "failed: {name}").ok();
        }
        for skip in &total.skipped {
            writeln!(text, "skipped: {}: {}", skip.name, skip.reason).ok();
        }
        writeln!(text, "\n{}", total.in_words()).ok();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_failed_and_what_was_skipped() {
        let mut summary = Summary::default();
        summary.add("fmt", Tally::passed(), Duration::from_millis(300));
        summary.add("deny", Tally::skipped("deny", "cargo-deny is not installed"), Duration::ZERO);
        assert!(summary.is_good());
        let mut unit = Tally { passed: 7, ..Tally::default() };
        unit.add(Tally::failed("keep-store: a::b"));
        summary.add("unit", unit, Duration::from_secs(2));
        assert!(!summary.is_good());
        let text = summary.render();
        assert!(text.contains("\nfailed: keep-store: a::b\n"), "{text}");
        assert!(text.contains("\nskipped: deny: cargo-deny is not installed\n"), "{text}");
        assert!(text.ends_with("\n8 passed, 1 failed, 1 skipped\n"), "{text}");
    }
}
