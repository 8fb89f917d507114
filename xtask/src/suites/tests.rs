//! The tests that are written in Rust.

use anyhow::Result;

use crate::artifacts::{Artifacts, Group};
use crate::context::Job;
use crate::install;
use crate::tally::Tally;
use crate::workspace::cargo;

/// Milliseconds of mutated input for each fuzz target.
const FUZZ_MILLIS: &str = "3000";

pub fn build(job: &Job<'_>) -> Result<Tally> {
    job.context.built(Artifacts::build(job)?);
    Ok(Tally::passed())
}

pub fn unit(job: &Job<'_>) -> Result<Tally> {
    let missing = install::debian(job, "age-keygen", "age").err();
    let mut tally = group(job, "unit", Group::Unit, &[])?;
    if let Some(reason) = missing {
        tally.add(Tally::skipped("unit: files and backups from and for stock age", &reason));
    }
    Ok(tally)
}

pub fn durability(job: &Job<'_>) -> Result<Tally> {
    group(job, "durability", Group::Durability, &[])
}

pub fn cli(job: &Job<'_>) -> Result<Tally> {
    let missing = install::debian(job, "minisign", "minisign").err();
    let mut tally = group(job, "cli", Group::Cli, &[])?;
    if let Some(reason) = missing {
        tally.add(Tally::skipped("cli: files from and for stock minisign", &reason));
    }
    Ok(tally)
}

pub fn fuzz(job: &Job<'_>) -> Result<Tally> {
    group(job, "fuzz", Group::Fuzz, &[("KEEP_FUZZ_MILLIS", FUZZ_MILLIS)])
}

pub fn doc(job: &Job<'_>) -> Result<Tally> {
    let mut command = cargo();
    let finished =
        job.run(command.args(["test", "--workspace", "--doc", "--no-fail-fast"]).current_dir(job.root()))?;
    let mut tally = Tally::from_libtest("doc", &finished.output);
    if !finished.end.success() && tally.failed.is_empty() {
        tally.failed.push(format!("doc: {}", finished.end));
    }
    Ok(tally)
}

fn group(job: &Job<'_>, suite: &str, group: Group, environment: &[(&str, &str)]) -> Result<Tally> {
    let artifacts = job.artifacts()?;
    let mut tally = Tally::default();
    for program in artifacts.tests(group) {
        tally.add(program.run(job, artifacts, environment)?);
    }
    if tally == Tally::default() {
        return Ok(Tally::skipped(suite, "the workspace has no such tests"));
    }
    Ok(tally)
}
