//! The npm package `keep-agent`: built, type-checked, and tested against a real vault and daemon.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::Job;
use crate::install;
use crate::tally::Tally;

/// What comes before the tests, each a script of the package.
const STEPS: [(&str, &str); 2] =
    [("build", "it builds"), ("check", "its types and those of its tests are right")];

pub fn run(job: &Job<'_>) -> Result<Tally> {
    let package = job.root().join("keep-agent-ts");
    let keep = super::interop::keep(job)?;
    if let Err(reason) = install::node_in(job, "keep-agent-ts", &package) {
        return Ok(skipped(&package, &reason));
    }
    let native = job.artifacts()?.library("keep_agent_node").context("the native part was not built")?;
    let mut tally = Tally::default();
    for (script, what) in STEPS {
        let mut npm = Command::new("npm");
        npm.args(["run", "--silent", script]).current_dir(&package).env("KEEP_NATIVE", native);
        let finished = job.run(&mut npm)?;
        if !finished.end.success() {
            tally.add(Tally::failed(format!("typescript: {what}: {}", finished.end)));
            return Ok(tally);
        }
        tally.add(Tally::passed());
    }
    let mut vitest = Command::new("node");
    vitest.args(["node_modules/vitest/vitest.mjs", "run", "--reporter=tap-flat", "--reporter=default"]);
    // The second reporter tells of errors outside of tests.
    let finished = job.run(vitest.current_dir(&package).env("KEEP_BIN", &keep).env("NO_COLOR", "1"))?;
    let mut tested = Tally::from_tap("typescript", &finished.output);
    if !finished.end.success() && tested.failed.is_empty() {
        tested.failed.push(format!("typescript: {}", finished.end));
    }
    tally.add(tested);
    Ok(tally)
}

/// Every test file, by name.
fn skipped(package: &Path, reason: &str) -> Tally {
    let mut tally = Tally::default();
    for entry in fs::read_dir(package.join("tests")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.ts") {
            tally.add(Tally::skipped(format!("typescript/{name}"), reason));
        }
    }
    tally
}
