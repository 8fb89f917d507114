//! Connections that read.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::connect::Connector;
use crate::StoreError;

/// How many idle connections are kept.
const IDLE: usize = 4;

/// Connections that read, opened as needed and kept for the next reader.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Connector,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, idle: Mutex::new(Vec::new()) }
    }

    /// Lends a connection to `work`. One that is still in a transaction afterwards, or whose borrower panicked, is
    /// not kept.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => self.connector.connect_reader()?,
        };
        let outcome = work(&conn);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE && conn.is_autocommit() {
            idle.push(conn);
        }
        outcome
    }
}
