//! The store in memory does what every store does.

use std::sync::Arc;

use keep_store::conformance::Place;
use keep_store::{MemoryStore, Store, conformance_suite};

struct InMemory(MemoryStore);

impl Place for InMemory {
    fn handle(&self) -> Arc<dyn Store> {
        Arc::new(self.0.another_handle())
    }
}

conformance_suite!(InMemory(MemoryStore::new()));
