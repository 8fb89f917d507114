//! Checks of the source: formatting, lints, layers, licences.

use anyhow::Result;

use crate::context::Job;
use crate::install;
use crate::tally::Tally;
use crate::workspace::cargo;

pub fn fmt(job: &Job<'_>) -> Result<Tally> {
    one(job, "fmt", &["fmt", "--all", "--check", "--", "--color=never"])
}

pub fn clippy(job: &Job<'_>) -> Result<Tally> {
    one(job, "clippy", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
}

/// In this process; each violation is a failure of its own.
pub fn layers(job: &Job<'_>) -> Result<Tally> {
    let found = crate::layers::violations(job.context.workspace.packages());
    for violation in &found {
        job.log.note(violation)?;
    }
    if found.is_empty() {
        return Ok(Tally::passed());
    }
    Ok(Tally {
        failed: found.into_iter().map(|violation| format!("layers: {violation}")).collect(),
        ..Tally::default()
    })
}

/// With cargo-deny, where it is installed; the advisories also need its database.
pub fn deny(job: &Job<'_>) -> Result<Tally> {
    if let Err(reason) = install::need("cargo-deny") {
        return Ok(Tally::skipped("deny", reason));
    }
    let mut tally = one(job, "deny", &["deny", "check", "licenses", "bans", "sources"])?;
    let finished = job.run(cargo().args(["deny", "check", "advisories"]).current_dir(job.root()))?;
    tally.add(if finished.end.success() {
        Tally::passed()
    } else if finished.output.contains("failed to fetch advisory database") {
        Tally::skipped("deny: advisories", "the advisory database cannot be fetched")
    } else {
        Tally::failed(format!("deny: advisories: {}", finished.end))
    });
    Ok(tally)
}

fn one(job: &Job<'_>, name: &str, arguments: &[&str]) -> Result<Tally> {
    let finished = job.run(cargo().args(arguments).current_dir(job.root()))?;
    Ok(if finished.end.success() {
        Tally::passed()
    } else {
        Tally::failed(format!("{name}: {}", finished.end))
    })
}
