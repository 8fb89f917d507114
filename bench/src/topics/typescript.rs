//! What a call from TypeScript costs beyond a bare round trip on the daemon's socket, both from the same process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::size::program;
use crate::table::Row;

/// What `keep-agent-ts/bench/overhead.mjs` prints, in microseconds.
#[derive(Deserialize)]
struct Measured {
    call_us: f64,
    bare_us: f64,
}

pub fn rows() -> Result<Vec<Row>> {
    let what = "a call from TypeScript";
    let measured = match measure() {
        Ok(measured) => measured,
        Err(error) => return Ok(vec![Row::alone(what, Duration::ZERO, format!("{error:#}"))]),
    };
    let [call, bare] = [measured.call_us, measured.bare_us].map(|us| Duration::from_secs_f64(us / 1e6));
    let beyond = Row::alone("what of it is beyond that", call.saturating_sub(bare), "at most 20 µs");
    Ok(vec![Row::new(what, call, "a bare round trip from Node", bare), beyond])
}

fn measure() -> Result<Measured> {
    let package: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../keep-agent-ts");
    ensure!(package.join("node_modules").is_dir(), "its npm packages are not installed");
    let build = Command::new("npm").args(["run", "--silent", "build"]).current_dir(&package).output();
    ensure!(build.context("npm does not start")?.status.success(), "the package does not build");
    let mut node = Command::new("node");
    node.arg("bench/overhead.mjs").current_dir(&package).env("KEEP_BIN", program()?);
    let output = node.output().context("node does not start")?;
    ensure!(output.status.success(), "the measurement failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("the measurement printed something else")
}
