//! Counting tests in what test runners print.

/// How the reason of an ignored test begins that another test runs, as another user or with a server of its own: it is
/// not skipped.
const ELSEWHERE: &str = "run by ";

/// What came of some tests.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    /// Names, with the reason where the runner gives one.
    pub failed: Vec<String>,
    pub skipped: Vec<Skip>,
}

/// A test that did not run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    pub name: String,
    pub reason: String,
}

impl Tally {
    /// One check that passed.
    pub fn passed() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    /// One check that failed.
    pub fn failed(name: impl Into<String>) -> Self {
        Self { failed: vec![name.into()], ..Self::default() }
    }

    /// One check that did not run.
    pub fn skipped(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { skipped: vec![Skip { name: name.into(), reason: reason.into() }], ..Self::default() }
    }

    /// "3 passed, 0 failed, 1 skipped".
    pub fn in_words(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len())
    }

    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }

    /// Reads the output of Rust's test harness; `whose` stands before every name.
    pub fn from_libtest(whose: &str, output: &str) -> Self {
        let mut tally = Self::default();
        let (mut failures, mut ignored, mut elsewhere) = (0, 0, 0);
        for line in output.lines() {
            if let Some(counts) = line.strip_prefix("test result: ") {
                tally.passed += count(counts, "passed");
                failures += count(counts, "failed");
                ignored += count(counts, "ignored");
            } else if let Some((name, result)) =
                line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
            {
                match result.split_once(", ").unwrap_or((result, "")) {
                    ("FAILED", _) => tally.failed.push(format!("{whose}: {name}")),
                    ("ignored", reason) if reason.starts_with(ELSEWHERE) => elsewhere += 1,
                    ("ignored", reason) => tally.skipped.push(Skip {
                        name: format!("{whose}: {name}"),
                        reason: if reason.is_empty() { "ignored".to_owned() } else { reason.to_owned() },
                    }),
                    _ => {}
                }
            }
        }
        // A line may be torn by what a test printed; the counts are not.
        for missing in tally.failed.len() as u64..failures {
            tally.failed.push(format!("{whose}: failure {}, unnamed", missing + 1));
        }
        for missing in tally.skipped.len() as u64 + elsewhere..ignored {
            let name = format!("{whose}: ignored test {}, unnamed", missing + 1);
            tally.skipped.push(Skip { name, reason: "ignored".to_owned() });
        }
        tally
    }

    /// Reads the summary that `pytest -rA` ends with; `whose` stands before every name. No summary is a failure.
    pub fn from_pytest(whose: &str, output: &str) -> Self {
        let mut tally = Self::default();
        let mut lines = output.lines().skip_while(|line| !line.contains(" short test summary info "));
        if lines.next().is_none() {
            return Self::failed(format!("{whose}: ended without a summary"));
        }
        for line in lines {
            let Some((word, rest)) = line.split_once(' ') else { continue };
            match word {
                "PASSED" | "XFAIL" => tally.passed += 1,
                "FAILED" | "ERROR" | "XPASS" => {
                    let name = rest.split_once(" - ").map_or(rest, |(name, _)| name);
                    tally.failed.push(format!("{whose}: {name}"));
                }
                "SKIPPED" => {
                    let (name, reason) = rest.split_once(": ").unwrap_or((rest, ""));
                    tally.add(Self::skipped(format!("{whose}: {name}"), reason));
                }
                _ => {}
            }
        }
        tally
    }

    /// Reads the Test Anything Protocol; `whose` stands before every name. A missing or unfulfilled plan is a failure.
    pub fn from_tap(whose: &str, output: &str) -> Self {
        let mut tally = Self::default();
        let mut plan = None;
        let mut seen = 0;
        for line in output.lines() {
            if let Some(last) = line.strip_prefix("1..") {
                plan = last.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
                continue;
            }
            let (good, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
                (Some(rest), _) => (true, rest),
                (_, Some(rest)) => (false, rest),
                _ => continue,
            };
            seen += 1;
            let (title, directive) = rest.split_once(" # ").unwrap_or((rest, ""));
            let title = title.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(" - ");
            let name = format!("{whose}: {title}");
            match (good, directive.strip_prefix("SKIP")) {
                (_, Some(reason)) => tally.skipped.push(Skip { name, reason: reason.trim().to_owned() }),
                (true, None) => tally.passed += 1,
                (false, None) => tally.failed.push(name),
            }
        }
        if plan != Some(seen) {
            let planned = plan.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
            tally.failed.push(format!("{whose}: ended after {seen} of {planned} checks"));
        }
        tally
    }
}

/// The number before `word` in "ok. 3 passed; 0 failed; …".
fn count(counts: &str, word: &str) -> u64 {
    let numbers = counts.split([';', '.']).filter_map(|part| part.trim().strip_suffix(word));
    numbers.filter_map(|number| number.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_harness() {
        let output = "\nrunning 4 tests\ntest a::b ... ok\ntest a::c ... FAILED\n\
            test d ... ignored, needs a token\ntest e - should panic ... ok\n\nfailures:\n\n---- a::c stdout ----\n\
            boom\n\ntest result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";
        let tally = Tally::from_libtest("keep-x", output);
        assert_eq!(tally.passed, 2);
        assert_eq!(tally.failed, ["keep-x: a::c"]);
        assert_eq!(
            tally.skipped,
            [Skip { name: "keep-x: d".to_owned(), reason: "needs a token".to_owned() }]
        );
    }

    #[test]
    fn what_another_test_runs_is_not_skipped() {
        let output = "test a ... ignored, run by the test above\ntest b ... ignored\n\
            test result: ok. 0 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        let skipped = Tally::from_libtest("x", output).skipped;
        assert_eq!(skipped.iter().map(|skip| skip.name.as_str()).collect::<Vec<_>>(), ["x: b"]);
    }

    #[test]
    fn a_torn_line_does_not_hide_a_failure() {
        let output = "test a ... some outputFAILED\n\
            test result: FAILED. 0 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        let tally = Tally::from_libtest("x", output);
        assert_eq!((tally.passed, tally.failed.len(), tally.skipped.len()), (0, 1, 1));
    }

    #[test]
    fn reads_the_summary_of_pytest() {
        let output = "PASSED what a test printed\n=== short test summary info ===\nPASSED tests/test_a.py::one\n\
            SKIPPED [1] tests/test_a.py:9: no network\nFAILED tests/test_a.py::two - assert 1 == 2\n\
            ERROR tests/test_b.py\n=== 1 failed, 1 passed, 1 skipped, 1 error in 1.00s ===\n";
        let tally = Tally::from_pytest("py", output);
        assert_eq!(tally.passed, 1);
        assert_eq!(tally.failed, ["py: tests/test_a.py::two", "py: tests/test_b.py"]);
        assert_eq!(tally.skipped[0].name, "py: [1] tests/test_a.py:9");
        assert_eq!(tally.skipped[0].reason, "no network");
        assert_eq!(Tally::from_pytest("py", "Fatal Python error").failed.len(), 1);
    }

    #[test]
    fn sums_several_binaries() {
        let result =
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";
        assert_eq!(Tally::from_libtest("x", &result.repeat(2)).passed, 6);
    }

    #[test]
    fn reads_tap() {
        let output = "TAP version 13\n# a note\nok 1 - connects\nnot ok 2 - signs # it hangs\n\
            ok 3 - talks to ndk # SKIP not installed\n1..3\n";
        let tally = Tally::from_tap("interop", output);
        assert_eq!(tally.passed, 1);
        assert_eq!(tally.failed, ["interop: signs"]);
        assert_eq!(tally.skipped[0].reason, "not installed");
        assert_eq!(tally.skipped[0].name, "interop: talks to ndk");
    }

    #[test]
    fn a_runner_that_dies_early_fails() {
        let tally = Tally::from_tap("interop", "ok 1 - connects\n");
        assert_eq!(tally.failed, ["interop: ended after 1 of an unknown number of checks"]);
        let tally = Tally::from_tap("interop", "1..2\nok 1 - connects\n");
        assert_eq!(tally.failed, ["interop: ended after 1 of 2 checks"]);
    }
}
