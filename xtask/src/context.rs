//! What the suites of one run share, and what each of them gets.

use std::cell::OnceCell;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::artifacts::Artifacts;
use crate::process::{Finished, Log, run};
use crate::workspace::Workspace;

/// One run of xtask.
#[derive(Debug)]
pub struct Context {
    pub workspace: Workspace,
    artifacts: OnceCell<Artifacts>,
}

/// One suite at work.
#[derive(Debug)]
pub struct Job<'a> {
    pub context: &'a Context,
    pub log: Log,
    /// When everything that the suite started is ended.
    pub deadline: Instant,
}

impl Context {
    pub const fn new(workspace: Workspace) -> Self {
        Self { workspace, artifacts: OnceCell::new() }
    }

    /// A job with its own log and time budget.
    pub fn job(&self, name: &str, budget: Duration) -> Result<Job<'_>> {
        let log = Log::create(self.workspace.state().join("logs").join(format!("{name}.log")))?;
        Ok(Job { context: self, log, deadline: Instant::now() + budget })
    }

    /// Keeps what the build made, for the suites after it.
    pub fn built(&self, artifacts: Artifacts) {
        self.artifacts.set(artifacts).ok();
    }
}

impl Job<'_> {
    pub fn root(&self) -> &Path {
        self.context.workspace.root()
    }

    /// The test programs.
    pub fn artifacts(&self) -> Result<&Artifacts> {
        self.context.artifacts.get().context("the tests were not built")
    }

    /// Runs a program within the suite's budget; its output goes to the suite's log.
    pub fn run(&self, command: &mut Command) -> Result<Finished> {
        run(command, &self.log, self.deadline)
    }

    /// Tells the person who waits, and the log.
    pub fn say(&self, line: &str) -> Result<()> {
        println!("   {line}");
        self.log.note(line)
    }
}
