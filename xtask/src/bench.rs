//! `cargo xtask bench`: builds keep-bench as people's programs are built, and runs it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::context::Context;
use crate::install;
use crate::suites::agents;
use crate::workspace::{Workspace, cargo};

/// How long the preparation may take.
const SETUP: std::time::Duration = std::time::Duration::from_secs(900);

pub fn run(workspace: &Workspace, json: bool, topics: &[String]) -> Result<bool> {
    let context = Context::new(Workspace::load()?);
    let job = context.job("bench-setup", SETUP)?;
    // A peer that is missing is missing in the table; keep-bench says so itself.
    if let Err(reason) = install::debian(&job, "argon2", "argon2") {
        eprintln!("{reason}");
    }
    let package = context.workspace.root().join("keep-agent-ts");
    if let Err(reason) = install::node_in(&job, "keep-agent-ts", &package) {
        eprintln!("{reason}");
    }
    let wants = |topic: &str| topics.is_empty() || topics.iter().any(|word| topic.contains(word.as_str()));
    let python = wants("python").then(|| agents::python(&job));
    let mut command = cargo();
    if wants("peer") {
        match peer(workspace) {
            Ok(program) => drop(command.env("KEEP_BENCH_PEER", program)),
            Err(reason) => eprintln!("{reason:#}"),
        }
    }
    match python {
        Some(Ok(python)) => drop(command.env("KEEP_AGENT_PYTHON", python)),
        Some(Err(reason)) => eprintln!("{reason}"),
        None => {}
    }
    command.args(["run", "--release", "--quiet", "--package", "keep-bench", "--"]);
    if json {
        command.arg("--json");
    }
    let status =
        command.args(topics).current_dir(workspace.root()).status().context("cargo does not start")?;
    Ok(status.success())
}

/// Builds the bunker that ours is measured beside: a package outside the workspace. Gives its program.
fn peer(workspace: &Workspace) -> Result<PathBuf> {
    let package = workspace.root().join("bench/peer");
    let target = workspace.root().join("target/peer");
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--quiet", "--target-dir"]).arg(&target);
    let status = build.current_dir(&package).status().context("cargo does not start")?;
    ensure!(status.success(), "the peer does not build");
    Ok(target.join("release/keep-bench-peer"))
}
