//! `cargo xtask bench`: builds keep-bench as people's programs are built, and runs it.

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::install;
use crate::workspace::{Workspace, cargo};

/// How long the preparation may take.
const SETUP: std::time::Duration = std::time::Duration::from_secs(300);

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
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "--package", "keep-bench", "--"]);
    if json {
        command.arg("--json");
    }
    let status =
        command.args(topics).current_dir(workspace.root()).status().context("cargo does not start")?;
    Ok(status.success())
}
