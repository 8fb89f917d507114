//! Keep measured against raw primitives and peers in the same run.
//!
//! A claim is a ratio: our figure and the reference's, taken side by side on the same machine in the same minute.
//! Absolute times are printed because they help to find what is slow; they say nothing about another machine.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

mod load;
mod measure;
mod table;
mod topics;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use crate::table::Table;

/// As in the program on Unix.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Keep; run it as `cargo xtask bench`.
#[derive(Parser)]
#[command(name = "keep-bench")]
struct Arguments {
    /// Make load for another process instead of measuring, through a relay so many milliseconds away.
    #[arg(long, hide = true)]
    make_load: Option<u64>,
    /// One JSON value instead of a table.
    #[arg(long)]
    json: bool,
    /// Only the topics whose name contains one of these words.
    topics: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.make_load {
        Some(millis) => load::run(Duration::from_millis(millis)),
        None => run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let wanted = |name: &str| {
        arguments.topics.is_empty() || arguments.topics.iter().any(|word| name.contains(word.as_str()))
    };
    let mut table = Table::default();
    for topic in topics::TOPICS.iter().filter(|topic| wanted(topic.name)) {
        eprintln!("measuring {} …", topic.name);
        table.extend((topic.rows)()?);
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&table)?);
    } else {
        print!("{}", table.render());
    }
    Ok(())
}
