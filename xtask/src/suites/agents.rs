//! Agents use `keep` through the libraries that they are written with. The scripts are in `e2e/agents`.

use std::process::Command;

use anyhow::Result;

use crate::context::Job;
use crate::install;
use crate::tally::Tally;

/// The official Python SDK of MCP, on both transports.
const SCRIPTS: [&str; 2] = ["mcp_stdio.py", "mcp_http.py"];

pub fn run(job: &Job<'_>) -> Result<Tally> {
    let source = job.root().join("e2e").join("agents");
    let keep = super::interop::keep(job)?;
    let bin = match install::python(job, "agents", &source.join("requirements.txt")) {
        Ok(bin) => bin,
        Err(reason) => {
            let mut tally = Tally::default();
            for script in SCRIPTS {
                tally.add(Tally::skipped(format!("agents/{script}"), &*reason));
            }
            return Ok(tally);
        }
    };
    let mut tally = Tally::default();
    for script in SCRIPTS {
        let whose = format!("agents/{script}");
        let mut command = Command::new(bin.join("python"));
        command.arg(source.join(script)).env("KEEP_BIN", &keep).env("PYTHONDONTWRITEBYTECODE", "1");
        let finished = job.run(&mut command)?;
        let mut of_one = Tally::from_tap(&whose, &finished.output);
        if !finished.end.success() && of_one.failed.is_empty() {
            of_one.failed.push(format!("{whose}: {}", finished.end));
        }
        tally.add(of_one);
    }
    Ok(tally)
}
