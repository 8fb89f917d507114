//! The store on SQLite does what every store does.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use keep_store::conformance::Place;
use keep_store::{SqliteStore, Store, conformance_suite};
use tempfile::TempDir;

struct OnDisk(TempDir);

impl OnDisk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        SqliteStore::create(dir.path().join("keep.db")).unwrap();
        Self(dir)
    }
}

impl Place for OnDisk {
    fn handle(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.0.path().join("keep.db")).unwrap())
    }
}

conformance_suite!(OnDisk::new());
