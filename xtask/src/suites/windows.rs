//! The command line for Windows: it compiles, without lints. Nothing is linked, and nothing runs. It compiles every dependency
//! once more, so it is only done when asked for.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::context::Job;
use crate::install::{self, Installed};
use crate::tally::Tally;
use crate::workspace::cargo;

const TARGET: &str = "x86_64-pc-windows-gnu";
/// Stands for the compiler of what is written in C, which only linking would need.
const NO_COMPILER: &str = "true";

/// Asks for it.
const WISH: &str = "KEEP_TEST_WINDOWS";

pub fn run(job: &Job<'_>) -> Result<Tally> {
    if std::env::var_os(WISH).is_none() {
        return Ok(Tally::skipped(
            "windows",
            format!("{WISH}=1 compiles all of it once more, in some minutes"),
        ));
    }
    if let Err(reason) = standard_library(job) {
        return Ok(Tally::skipped("windows", &*reason));
    }
    let mut check = cargo();
    check.args(["clippy", "--quiet", "--target", TARGET, "-p", "keep-sdk", "-p", "keep-cli"]);
    check.args(["--", "-D", "warnings"]);
    for tool in ["CC", "CXX", "AR"] {
        check.env(format!("{tool}_{}", TARGET.replace('-', "_")), NO_COMPILER);
    }
    let checked = job.run(check.current_dir(job.root()))?;
    Ok(if checked.end.success() {
        Tally::passed()
    } else {
        Tally::failed(format!("windows: {}", checked.end))
    })
}

/// The standard library for the target; installed where rustup can do it.
fn standard_library(job: &Job<'_>) -> Installed<()> {
    if is_there() {
        return Ok(());
    }
    install::need("rustup")
        .map_err(|reason| format!("the target {TARGET} is not installed, and {reason}"))?;
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).current_dir(job.root());
    let added = job.run(&mut rustup).map_err(|error| format!("{error:#}"))?;
    if added.end.success() && is_there() {
        return Ok(());
    }
    let last = added.output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("rustup target add {TARGET} failed ({}): {}", added.end, last.trim()))
}

fn is_there() -> bool {
    let told = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    told.is_ok_and(|told| PathBuf::from(String::from_utf8_lossy(&told.stdout).trim()).is_dir())
}
