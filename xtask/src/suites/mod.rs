//! `cargo xtask test`: the suites, in order.

pub mod agents;
mod checks;
mod interop;
mod release;
mod tests;
mod typescript;
mod windows;

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::context::{Context, Job};
use crate::excerpt;
use crate::summary::Summary;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// One suite.
struct Suite {
    name: &'static str,
    about: &'static str,
    /// After this many minutes it is ended, and that is a failure.
    minutes: u64,
    /// Whether it belongs to the inner loop.
    quick: bool,
    /// Whether it runs what the `build` suite makes.
    needs_build: bool,
    run: fn(&Job<'_>) -> Result<Tally>,
}

/// All suites. What finds the most in the least time comes first.
const SUITES: &[Suite] = &[
    Suite { name: "fmt", about: "formatting", minutes: 1, quick: true, needs_build: false, run: checks::fmt },
    Suite {
        name: "layers",
        about: "the dependency rule",
        minutes: 1,
        quick: true,
        needs_build: false,
        run: checks::layers,
    },
    Suite {
        name: "clippy",
        about: "lints, as errors",
        minutes: 14,
        quick: true,
        needs_build: false,
        run: checks::clippy,
    },
    Suite {
        name: "build",
        about: "every test compiles",
        minutes: 16,
        quick: true,
        needs_build: false,
        run: tests::build,
    },
    Suite {
        name: "unit",
        about: "unit and behaviour tests",
        minutes: 10,
        quick: true,
        needs_build: true,
        run: tests::unit,
    },
    Suite {
        name: "doc",
        about: "examples in the documentation",
        minutes: 4,
        quick: false,
        needs_build: false,
        run: tests::doc,
    },
    Suite {
        name: "fuzz",
        about: "parsers under mutated input",
        minutes: 3,
        quick: false,
        needs_build: true,
        run: tests::fuzz,
    },
    Suite {
        name: "durability",
        about: "crashes, faults, histories",
        minutes: 10,
        quick: false,
        needs_build: true,
        run: tests::durability,
    },
    Suite {
        name: "cli",
        about: "the command line from outside",
        minutes: 10,
        quick: false,
        needs_build: true,
        run: tests::cli,
    },
    Suite {
        name: "interop",
        about: "foreign clients over a foreign relay",
        minutes: 8,
        quick: false,
        needs_build: true,
        run: interop::run,
    },
    Suite {
        name: "agents",
        about: "agents sign through the official libraries of MCP, and from Python",
        minutes: 8,
        quick: false,
        needs_build: true,
        run: agents::run,
    },
    Suite {
        name: "typescript",
        about: "the npm package signs, by itself and called by agent frameworks",
        minutes: 6,
        quick: false,
        needs_build: true,
        run: typescript::run,
    },
    Suite {
        name: "release",
        about: "the first minute, with the program that people get",
        minutes: 16,
        quick: false,
        needs_build: false,
        run: release::run,
    },
    Suite {
        name: "windows",
        about: "the command line compiles for Windows",
        minutes: 10,
        quick: false,
        needs_build: false,
        run: windows::run,
    },
    Suite {
        name: "deny",
        about: "licences and advisories",
        minutes: 3,
        quick: false,
        needs_build: false,
        run: checks::deny,
    },
];

/// The names for `--only`.
pub fn names() -> Vec<&'static str> {
    SUITES.iter().map(|suite| suite.name).collect()
}

/// Runs the chosen suites; `false` when anything failed.
pub fn run(workspace: Workspace, quick: bool, only: &[String]) -> Result<bool> {
    let chosen = choose(quick, only);
    let context = Context::new(workspace);
    let mut summary = Summary::default();
    for suite in chosen {
        let begin = Instant::now();
        println!("\n== {}: {} (at most {} min)", suite.name, suite.about, suite.minutes);
        let job = context.job(suite.name, Duration::from_secs(60 * suite.minutes))?;
        let tally =
            (suite.run)(&job).unwrap_or_else(|error| Tally::failed(format!("{}: {error:#}", suite.name)));
        if !tally.failed.is_empty() {
            println!("{}\n   (the whole log: {})", excerpt::of(&job.log.text()), job.log.path().display());
        }
        println!("   {} in {:.1} s", tally.in_words(), begin.elapsed().as_secs_f64());
        summary.add(suite.name, tally, begin.elapsed());
    }
    print!("{}", summary.render());
    Ok(summary.is_good())
}

/// The suites to run, in order; `build` comes along when one of them needs it.
fn choose(quick: bool, only: &[String]) -> Vec<&'static Suite> {
    let wanted = |suite: &Suite| {
        (only.is_empty() && (!quick || suite.quick)) || only.iter().any(|name| name == suite.name)
    };
    let build = SUITES.iter().any(|suite| wanted(suite) && suite.needs_build);
    SUITES.iter().filter(|suite| wanted(suite) || (build && suite.name == "build")).collect()
}

#[cfg(test)]
mod test {
    use super::*;

    fn chosen(quick: bool, only: &[&str]) -> Vec<&'static str> {
        let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
        choose(quick, &only).into_iter().map(|suite| suite.name).collect()
    }

    #[test]
    fn choosing_brings_the_build_along() {
        assert_eq!(chosen(true, &[]), ["fmt", "layers", "clippy", "build", "unit"]);
        assert_eq!(chosen(false, &[]), names());
        assert_eq!(chosen(false, &["fmt"]), ["fmt"]);
        assert_eq!(chosen(false, &["interop", "fmt"]), ["fmt", "build", "interop"]);
        assert_eq!(chosen(true, &["doc"]), ["doc"]);
    }

    #[test]
    fn the_whole_stays_within_two_hours_even_if_everything_hangs() {
        assert!(SUITES.iter().map(|suite| suite.minutes).sum::<u64>() <= 120);
    }
}
