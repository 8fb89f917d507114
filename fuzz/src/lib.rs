//! Parsers of Keep under mutated input.
//!
//! [`TARGETS`] names every function that reads bytes from outside: files, relays, clients, people. A target must
//! neither panic nor take long, whatever the bytes are, and it checks what must hold of everything it accepts.
//! The tests of this crate feed each target with the files of `seeds/<target>/`, whole and mutated, for a bounded
//! time (`KEEP_FUZZ_MILLIS` per target). The same targets run under libFuzzer: see `docs/testing.md`.
//!
//! ```
//! let target = keep_fuzz::target("name").unwrap();
//! (target.run)(b"alice");
//! ```
#![forbid(unsafe_code)]

mod mutate;
mod smoke;
#[cfg(test)]
mod survive;
mod targets;

pub use mutate::Mutator;
pub use smoke::{Failure, Settings, smoke};
pub use targets::{TARGETS, Target, target};
