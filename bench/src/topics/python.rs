//! What a call from Python, and one over MCP, cost beyond a bare round trip on the daemon's socket, all from one process.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::size::program;
use crate::table::Row;

/// What `keep-agent-py/bench/overhead.py` prints, in microseconds.
#[derive(Deserialize)]
struct Measured {
    call_us: f64,
    mcp_us: f64,
    bare_us: f64,
}

pub fn rows() -> Result<Vec<Row>> {
    let (python, mcp) = ("a call from Python", "a tool over MCP, on standard input and output");
    let measured = match measure() {
        Ok(measured) => measured,
        Err(error) => return Ok(vec![Row::alone(python, Duration::ZERO, format!("{error:#}"))]),
    };
    let of = |us: f64| Duration::from_secs_f64(us / 1e6);
    let [call, tool, bare] = [measured.call_us, measured.mcp_us, measured.bare_us].map(of);
    let reference = "a bare round trip from Python";
    Ok(vec![
        Row::new(python, call, reference, bare),
        Row::alone("what of it is beyond that", call.saturating_sub(bare), "at most 20 µs"),
        Row::new(mcp, tool, reference, bare),
        Row::alone("what of it is beyond that", tool.saturating_sub(bare), "at most 1 ms"),
    ])
}

fn measure() -> Result<Measured> {
    // `cargo xtask bench` installs the package, and says where.
    let python = std::env::var_os("KEEP_AGENT_PYTHON").context("the package is not installed")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../keep-agent-py/bench/overhead.py");
    let output = Command::new(python).arg(script).env("KEEP_BIN", program()?).output();
    let output = output.context("python does not start")?;
    ensure!(output.status.success(), "the measurement failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("the measurement printed something else")
}
