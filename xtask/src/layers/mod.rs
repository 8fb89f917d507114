//! The dependency rule: arrows between the crates of the workspace run downwards only.

mod check;
mod table;

use anyhow::Result;

use crate::workspace::Workspace;

pub use check::violations;

/// `cargo xtask layers`.
pub fn run(workspace: &Workspace) -> Result<bool> {
    let found = violations(workspace.packages());
    for violation in &found {
        println!("{violation}");
    }
    if found.is_empty() {
        println!("layers: {} packages, all arrows run downwards", workspace.packages().len());
    } else {
        println!("layers: {} violations; the rule is in docs/architecture.md", found.len());
    }
    Ok(found.is_empty())
}
