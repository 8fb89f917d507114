//! The topics, a file each. A new one is a line here and a function that gives rows.

mod barest;
mod bip340;
mod bitcoin;
mod bunker;
mod cipher;
mod clients;
mod daily;
mod fixture;
mod flight;
mod frost;
mod integrity;
mod list;
mod peer;
mod python;
mod relayed;
mod sign;
mod size;
mod typescript;
mod unlock;

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
    Topic { name: "bitcoin", rows: bitcoin::rows },
    Topic { name: "cipher", rows: cipher::rows },
    Topic { name: "unlock", rows: unlock::rows },
    Topic { name: "list", rows: list::rows },
    Topic { name: "daily", rows: daily::rows },
    Topic { name: "sign", rows: sign::rows },
    Topic { name: "flight", rows: flight::rows },
    Topic { name: "bunker", rows: bunker::rows },
    Topic { name: "relayed", rows: relayed::rows },
    Topic { name: "clients", rows: clients::rows },
    Topic { name: "peer", rows: peer::rows },
    Topic { name: "integrity", rows: integrity::rows },
    Topic { name: "frost", rows: frost::rows },
    Topic { name: "size", rows: size::rows },
    Topic { name: "python", rows: python::rows },
    Topic { name: "typescript", rows: typescript::rows },
];
