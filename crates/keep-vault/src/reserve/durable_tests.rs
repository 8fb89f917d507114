//! What a process wrote and could not make durable, and the system still has in memory, is nothing to build upon.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use keep_store::{MemoryStore, Store, StoreError};
use keep_types::SecretKey32;

use super::layout::Layout;
use super::{Medium, make_store, open_store};

const LAYOUT: Layout = Layout::small(16 << 10, 6);
const SALT: [u8; 32] = [1; 32];

/// A disk behind the memory of a system that takes for clean what it failed to write.
#[derive(Clone)]
struct Disk(Arc<Mutex<State>>);

struct State {
    memory: Vec<u8>,
    disk: Vec<u8>,
    dirty: Vec<Range<usize>>,
    /// How many syncs work until one fails.
    works: Option<usize>,
}

impl Disk {
    fn new() -> Self {
        let bytes = vec![7; LAYOUT.total()];
        Self(Arc::new(Mutex::new(State {
            memory: bytes.clone(),
            disk: bytes,
            dirty: Vec::new(),
            works: None,
        })))
    }

    fn fail_after(&self, syncs: usize) {
        self.0.lock().unwrap().works = Some(syncs);
    }

    fn lose_power(&self) {
        let mut state = self.0.lock().unwrap();
        state.memory = state.disk.clone();
        state.dirty.clear();
    }

    fn open(&self) -> MemoryStore {
        open_store(self.clone(), LAYOUT, SALT, &kek()).unwrap().unwrap()
    }
}

impl Medium for Disk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().memory.clone())
    }

    fn read_durable(&mut self) -> io::Result<Vec<u8>> {
        self.sync()?;
        self.lose_power();
        self.read()
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let range = at as usize..at as usize + bytes.len();
        state.memory[range.clone()].copy_from_slice(bytes);
        state.dirty.push(range);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let dirty = std::mem::take(&mut state.dirty);
        if state.works == Some(0) {
            state.works = None;
            return Err(io::Error::other("not written"));
        }
        state.works = state.works.map(|works| works - 1);
        for range in dirty {
            let bytes = state.memory[range.clone()].to_vec();
            state.disk[range].copy_from_slice(&bytes);
        }
        Ok(())
    }
}

fn kek() -> SecretKey32 {
    SecretKey32::take(&mut [1; 32])
}

fn put(store: &MemoryStore, head: &[u8]) -> Result<(), StoreError> {
    store.write(&mut |tx| tx.set_head(head))
}

fn head(store: &MemoryStore) -> Vec<u8> {
    let mut head = None;
    store.read(&mut |tx| tx.head().map(|found| head = found)).unwrap();
    head.unwrap()
}

/// A change of the journal whose sync fails, and a new slot whose header's does.
#[test]
fn what_was_never_durable_is_not_built_upon() {
    for (change, syncs) in [(vec![2; 10], 0), (vec![2; 9_000], 1)] {
        let disk = Disk::new();
        let store = make_store(disk.clone(), LAYOUT, SALT, &kek()).unwrap();
        store.write(&mut |tx| tx.set_header(b"header")).unwrap();
        (0..3).for_each(|_| put(&store, b"one").unwrap());
        disk.fail_after(syncs);
        put(&store, &change).unwrap_err();
        // The process is killed.
        std::mem::forget(store);
        let store = disk.open();
        assert_eq!(head(&store), b"one");
        put(&store, b"three").unwrap();
        std::mem::forget(store);
        disk.lose_power();
        assert_eq!(head(&disk.open()), b"three");
    }
}
