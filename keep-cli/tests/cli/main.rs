//! The command line as programs and people meet it: the real binary, in directories of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that fails says so by panicking, and one that is skipped by name"
)]

mod again;
mod agent_mcp;
mod audit;
mod backup;
mod bitcoin;
mod cases;
mod confirm;
mod daemon;
mod daemon_socket;
mod damage;
mod fixtures;
mod frost;
mod frost_cheats;
mod frost_crash;
mod frost_foreign;
mod frost_grants;
mod frost_import;
mod frost_together;
mod hidden;
mod hidden_use;
mod housekeeping;
mod json;
mod leaks;
mod lock_wins;
mod managing;
mod pages;
mod prompts;
mod remote_keys;
mod serving;
mod spent;
mod switch;
mod walk;
mod world;
