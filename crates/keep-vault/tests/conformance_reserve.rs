//! The store in a reserve does what every store does.
#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use keep_store::conformance::Place;
use keep_store::{MemoryStore, Store, conformance_suite};
use keep_types::SecretKey32;
use keep_vault::reserve::{Layout, Medium, make_store};

/// Slots that hold the largest rows of the suite, and a journal so short that they are written again and again.
const LAYOUT: Layout = Layout::small(7 << 20, 30);

#[derive(Clone)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Medium for Bytes {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap()[at as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct InReserve(MemoryStore);

impl InReserve {
    fn new() -> Self {
        let bytes = Bytes(Arc::new(Mutex::new(vec![0; LAYOUT.total()])));
        Self(make_store(bytes, LAYOUT, [1; 32], &SecretKey32::take(&mut [2; 32])).unwrap())
    }
}

impl Place for InReserve {
    fn handle(&self) -> Arc<dyn Store> {
        Arc::new(self.0.another_handle())
    }
}

conformance_suite!(InReserve::new());
