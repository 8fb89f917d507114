//! How large the program is, and of how many crates it is made.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::table::{Quantity, Row};

/// What the direct peer, privkeyio/keep 0.9.2, has: bytes of the stripped binary, and crates.
const PEER: (u64, f64) = (25_200_000, 417.0);

pub fn rows() -> Result<Vec<Row>> {
    let peer = "privkeyio/keep 0.9.2";
    let crates =
        Row::new("crates in the program", Quantity::Count(crates()? as f64), peer, Quantity::Count(PEER.1));
    let what = "the program, stripped";
    let binary = match binary() {
        Ok(length) => Row::new(what, Quantity::Bytes(length), peer, Quantity::Bytes(PEER.0)),
        Err(error) => Row::alone(what, Quantity::Bytes(0), format!("{error:#}")),
    };
    Ok(vec![binary, crates])
}

/// The length of the program as people build it.
fn binary() -> Result<u64> {
    Ok(std::fs::metadata(program()?)?.len())
}

/// The program as people build it.
pub fn program() -> Result<PathBuf> {
    let build = ["build", "--release", "--package", "keep-cli", "--message-format", "json"];
    let messages = cargo(&build)?;
    let path = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(str::to_owned))
        .context("cargo names no executable")?;
    Ok(path.into())
}

/// How many different packages are linked into it, its own included.
fn crates() -> Result<usize> {
    let tree = cargo(&["tree", "--package", "keep-cli", "--edges", "normal", "--prefix", "none"])?;
    let packages: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    Ok(packages.iter().filter(|package| !package.is_empty()).count())
}

fn cargo(arguments: &[&str]) -> Result<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program).args(arguments).output().context("cargo does not start")?;
    ensure!(output.status.success(), "cargo {} failed", arguments.first().copied().unwrap_or_default());
    Ok(String::from_utf8(output.stdout)?)
}
