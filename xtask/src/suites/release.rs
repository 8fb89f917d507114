//! The release build does the main job, without network, terminal or settings.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::Job;
use crate::tally::Tally;
use crate::workspace::cargo;

pub fn run(job: &Job<'_>) -> Result<Tally> {
    let build =
        job.run(cargo().args(["build", "--release", "--package", "keep-cli"]).current_dir(job.root()))?;
    if !build.end.success() {
        return Ok(Tally::failed(format!("release: the build fails: {}", build.end)));
    }
    let keep = job.context.workspace.target().join("release").join("keep");
    let bytes = fs::metadata(&keep).with_context(|| format!("the build made no {}", keep.display()))?.len();
    job.say(&format!(
        "keep is {}.{} MB, from {} crates",
        bytes / 1_000_000,
        bytes / 100_000 % 10,
        crates(job)?
    ))?;

    let home = job.context.workspace.state().join("release-home");
    fs::remove_dir_all(&home).ok();
    fs::create_dir_all(&home)?;
    let mut command = Command::new(&keep);
    command.args(["quickstart", "--check"]).current_dir(&home).env("HOME", &home);
    for setting in ["KEEP_HOME", "KEEP_PASSWORD", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
        command.env_remove(setting);
    }
    let finished = job.run(&mut command)?;
    let mut tally = Tally::default();
    for (check, good) in [
        ("`keep quickstart --check` exits 0", finished.end.success()),
        ("it prints the signed event", finished.output.lines().any(is_signed_event)),
        ("it leaves no vault behind", fs::read_dir(&home)?.next().is_none()),
    ] {
        tally.add(if good { Tally::passed() } else { Tally::failed(format!("release: {check}")) });
    }
    fs::remove_dir_all(&home)?;
    Ok(tally)
}

/// Whether a line is the JSON of an event with id, author and signature (NIP-01).
fn is_signed_event(line: &str) -> bool {
    let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { return false };
    [("id", 64), ("pubkey", 64), ("sig", 128)].iter().all(|(field, digits)| {
        event[field]
            .as_str()
            .is_some_and(|hex| hex.len() == *digits && hex.chars().all(|c| c.is_ascii_hexdigit()))
    })
}

/// How many crates the program is made of.
fn crates(job: &Job<'_>) -> Result<usize> {
    let mut command = cargo();
    command.args([
        "tree",
        "--package",
        "keep-cli",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--no-dedupe",
    ]);
    let output = command.args(["--format", "{p}"]).current_dir(job.root()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).replace(" (*)", "");
    Ok(text.lines().filter(|line| !line.is_empty()).collect::<std::collections::BTreeSet<_>>().len())
}
