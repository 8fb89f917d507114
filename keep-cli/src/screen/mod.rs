//! The screen of `keep serve` in a terminal: what waits for the person, what happens, who is connected, the relays, the
//! address. Without a terminal that can show it, [`Watch`](crate::watch::Watch) tells and asks line by line.

mod backend;
pub mod detail;
mod draw;
mod key;
mod run;
mod state;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;

pub use run::{Parts, run};
pub use state::GUARD_MS;

/// Whether the terminal can show it: all streams lead there, and it is not one that only prints.
pub fn fits() -> bool {
    let can = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    can && std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal()
}
