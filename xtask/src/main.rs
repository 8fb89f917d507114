//! The tasks of the workspace, run as `cargo xtask …`: one way to test, measure and check.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to the person who runs it"
)]

mod artifacts;
mod bench;
mod bitcoind;
mod context;
mod excerpt;
mod install;
mod layers;
mod process;
mod soak;
mod suites;
mod summary;
mod tally;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The tasks of the Keep workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Set up what the tests need, run all suites, and say what passed, failed and was skipped.
    Test(TestArguments),
    /// Check the dependency rule: arrows between crates run downwards only.
    Layers,
    /// Measure against raw primitives and peers in the same run.
    Bench {
        /// One JSON value instead of a table.
        #[arg(long)]
        json: bool,
        /// Only the topics whose name contains one of these words.
        topics: Vec<String>,
    },
    /// Run the crash, fault and simulation tests in their long form.
    Soak {
        /// How many rounds each of them runs.
        #[arg(long, default_value_t = soak::DEFAULT_ROUNDS)]
        rounds: u32,
    },
}

#[derive(clap::Args)]
struct TestArguments {
    /// The inner loop: formatting, clippy, layers and unit tests.
    #[arg(long)]
    quick: bool,
    /// Only this suite (may be repeated).
    #[arg(long, value_name = "SUITE", value_parser = suites::names())]
    only: Vec<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a task; `false` when it ran and found something wrong.
fn run(task: Task) -> Result<bool> {
    let workspace = Workspace::load()?;
    match task {
        Task::Test(arguments) => suites::run(workspace, arguments.quick, &arguments.only),
        Task::Layers => layers::run(&workspace),
        Task::Bench { json, topics } => bench::run(&workspace, json, &topics),
        Task::Soak { rounds } => soak::run(workspace, rounds),
    }
}
