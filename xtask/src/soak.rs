//! `cargo xtask soak`: the crash, fault and simulation tests in their long form.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::artifacts::{Artifacts, Group};
use crate::context::Context;
use crate::summary::Summary;
use crate::workspace::Workspace;

/// Rounds of each test, unless said otherwise. The short form in `cargo xtask test` is each test's own choice.
pub const DEFAULT_ROUNDS: u32 = 2_000;
/// What one test program may take.
const BUDGET: Duration = Duration::from_secs(4 * 3600);
/// Milliseconds of mutated input for each fuzz target.
const FUZZ_MILLIS: &str = "300000";

/// Runs them; `false` when anything failed.
pub fn run(workspace: Workspace, rounds: u32) -> Result<bool> {
    let context = Context::new(workspace);
    context.built(Artifacts::build(&context.job("soak-build", BUDGET)?)?);
    let rounds = rounds.to_string();
    let environment = [
        ("KEEP_SOAK", "1"),
        ("KEEP_TEST_ROUNDS", rounds.as_str()),
        ("PROPTEST_CASES", rounds.as_str()),
        ("KEEP_FUZZ_MILLIS", FUZZ_MILLIS),
    ];
    let mut summary = Summary::default();
    for (name, group) in [("durability", Group::Durability), ("fuzz", Group::Fuzz)] {
        let begin = Instant::now();
        let job = context.job(&format!("soak-{name}"), BUDGET)?;
        let mut tally = crate::tally::Tally::default();
        for program in job.artifacts()?.tests(group) {
            println!("{}", program.name());
            tally.add(program.run(&job, job.artifacts()?, &environment)?);
        }
        summary.add(name, tally, begin.elapsed());
    }
    print!("{}", summary.render());
    Ok(summary.is_good())
}
