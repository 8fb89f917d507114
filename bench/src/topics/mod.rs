//! The topics, a file each. A new one is a line here and a function that gives rows.

mod argon2;
mod bip340;
mod nip44;
mod vault;

use anyhow::Result;

use crate::table::Row;

/// A group of measurements.
pub struct Topic {
    /// The word to choose it by.
    pub name: &'static str,
    /// Takes the measurements.
    pub rows: fn() -> Result<Vec<Row>>,
}

/// Every topic, in the order of the table.
pub const TOPICS: &[Topic] = &[
    Topic { name: "bip340", rows: bip340::rows },
    Topic { name: "nip44", rows: nip44::rows },
    Topic { name: "argon2", rows: argon2::rows },
    Topic { name: "vault", rows: vault::rows },
];
