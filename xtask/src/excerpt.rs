//! What of a failed suite's log tells why it failed: whoever sees only the summary of a run has nothing else.

/// How many lines are shown at most.
const MOST: usize = 200;
/// How many lines of the end are shown where nothing in the log is known to be a failure.
const TAIL: usize = 40;

/// What the lines from here on belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Nothing that tells of a failure.
    Other,
    /// What Rust's test harness prints of failed tests, up to the counts.
    Libtest,
    /// What pytest prints of failed tests, up to its summary.
    Pytest,
    /// A check of the Test Anything Protocol that failed, with the comments after it.
    Tap,
    /// An error of the compiler, up to an empty line.
    Compiler,
}

/// The lines of `log` that tell of failures, or its end where there is none.
pub fn of(log: &str) -> String {
    let mut part = Part::Other;
    let mut told: Vec<&str> = Vec::new();
    for line in log.lines() {
        part = next(part, line);
        if part != Part::Other {
            told.push(line);
        }
    }
    let all: Vec<&str> = log.lines().collect();
    if told.is_empty() {
        return all.get(all.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n");
    }
    let left = told.len().saturating_sub(MOST);
    told.truncate(MOST);
    let mut text = told.join("\n");
    if left > 0 {
        text.push_str(&format!("\n   ({left} more lines of failures are in the log)"));
    }
    text
}

fn next(part: Part, line: &str) -> Part {
    if line == "failures:" {
        return Part::Libtest;
    }
    if line.starts_with("not ok ") {
        return Part::Tap;
    }
    if line.starts_with("===") && (line.contains(" FAILURES ") || line.contains(" ERRORS ")) {
        return Part::Pytest;
    }
    if line.starts_with("error: ") || line.starts_with("error[") {
        return Part::Compiler;
    }
    let goes_on = match part {
        Part::Other => false,
        Part::Libtest => !line.starts_with("test result: "),
        Part::Pytest => !line.contains(" short test summary info "),
        Part::Tap => line.starts_with('#') || line.starts_with(' '),
        Part::Compiler => !line.is_empty(),
    };
    if goes_on { part } else { Part::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_are_shown_and_nothing_else() {
        let log = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\nboom\n\n\
            failures:\n    b\n\ntest result: FAILED. 1 passed\n$ node x.mjs\nok 1 - a\nnot ok 2 - b\n# Error: why\n\
            ok 3 - c\n# note\n=== FAILURES ===\n___ t ___\nE assert\n=== short test summary info ===\nPASSED z\n\
            error[E0308]: mismatched\n --> a.rs\n\nwarning: x";
        let told = of(log);
        for shown in ["boom", "not ok 2", "Error: why", "E assert", "E0308", " --> a.rs"] {
            assert!(told.contains(shown), "{shown} in {told}");
        }
        for left_out in ["test a", "ok 3", "note", "PASSED", "warning", "test result"] {
            assert!(!told.contains(left_out), "{left_out} in {told}");
        }
    }

    #[test]
    fn without_a_known_failure_the_end_is_shown() {
        let log: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
        let told = of(&log.join("\n"));
        assert!(told.starts_with("line 60") && told.ends_with("line 99"));
    }

    #[test]
    fn a_flood_is_cut_and_says_so() {
        let log = format!("failures:\n{}", "x\n".repeat(1000));
        assert!(of(&log).ends_with("(801 more lines of failures are in the log)"));
    }
}
