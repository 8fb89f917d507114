//! A later state that is damaged: nothing is written over it before the owner goes on, and going on is one step.

use std::io;
use std::sync::{Arc, Mutex};

use keep_store::{MemoryStore, Store, StoreError};
use keep_types::{ErrorCode, SecretKey32};

use super::layout::Layout;
use super::log::{Lost, Rekey, find};
use super::{Medium, make_store};

const LAYOUT: Layout = Layout::small(16 << 10, 6);
const SALT: [u8; 32] = [1; 32];

/// Bytes in memory; so many writes reach them, and half of the one after.
#[derive(Clone)]
struct Bytes(Arc<Mutex<(Vec<u8>, usize)>>);

impl Bytes {
    fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new((bytes, usize::MAX))))
    }

    fn now(&self) -> Vec<u8> {
        self.0.lock().unwrap().0.clone()
    }

    fn open(&self) -> (MemoryStore, Rekey, Option<Lost>) {
        let found = find(&self.now(), LAYOUT, &SALT, &kek()).unwrap();
        let lost = found.lost;
        let (store, rekey) = found.into_store(Box::new(self.clone()), LAYOUT, SALT, &kek()).unwrap();
        (store, rekey, lost)
    }
}

impl Medium for Bytes {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.now())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let Some(left) = state.1.checked_sub(1) else { return Err(io::Error::other("cut off")) };
        state.1 = left;
        let written = if left == 0 { bytes.len() / 2 } else { bytes.len() };
        state.0[at as usize..][..written].copy_from_slice(&bytes[..written]);
        if left == 0 { Err(io::Error::other("cut off")) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
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

/// What was written in this order, with the slot of the second state damaged. `later` changes came after it.
fn damaged(later: usize) -> Bytes {
    let bytes = Bytes::of(vec![7; LAYOUT.total()]);
    let store = make_store(bytes.clone(), LAYOUT, SALT, &kek()).unwrap();
    store
        .write(&mut |tx| {
            tx.set_header(b"header")?;
            tx.set_head(b"first")
        })
        .unwrap();
    // Too long for what is left of the journal.
    (0..5).for_each(|_| put(&store, b"first again").unwrap());
    put(&store, &[9; 6_000]).unwrap();
    (0..later).for_each(|_| put(&store, b"second").unwrap());
    drop(store);
    let spoilt = LAYOUT.body(1).start + 100;
    bytes.0.lock().unwrap().0[spoilt] ^= 1;
    bytes
}

/// The same after a first slot whose journal was written as full as it gets.
fn full() -> Bytes {
    let bytes = Bytes::of(vec![7; LAYOUT.total()]);
    let store = make_store(bytes.clone(), LAYOUT, SALT, &kek()).unwrap();
    store.write(&mut |tx| tx.set_header(b"header")).unwrap();
    let second = LAYOUT.header(1);
    let untouched = bytes.now()[second.clone()].to_vec();
    for n in 0.. {
        put(&store, format!("change {n}").as_bytes()).unwrap();
        if bytes.now()[second.clone()] != untouched {
            break;
        }
    }
    drop(store);
    let spoilt = LAYOUT.body(1).start + 100;
    bytes.0.lock().unwrap().0[spoilt] ^= 1;
    bytes
}

fn is_refused(outcome: Result<(), StoreError>) {
    match outcome.unwrap_err() {
        StoreError::Aborted(fault) => {
            assert_eq!(fault.code(), ErrorCode::Integrity);
            assert!(fault.hint().contains("doctor --accept"), "{fault}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_left_of_a_later_state_is_not_written_over() {
    for later in [0, 2] {
        let bytes = damaged(later);
        let before = bytes.now();
        let (store, rekey, lost) = bytes.open();
        assert_eq!((lost, rekey.lost()), (Some(Lost::Slot), Some(Lost::Slot)));
        let opened = head(&store);
        // Its journal goes with the later one's first change.
        assert_eq!(opened, if later == 0 { b"first again".to_vec() } else { b"first".to_vec() });
        is_refused(put(&store, b"small"));
        is_refused(put(&store, &[1; 7_000]));
        is_refused(store.wipe_leftovers());
        assert_eq!(head(&store), opened);
        drop((store, rekey));
        assert!(bytes.now() == before, "something was written");
        let (store, rekey, lost) = bytes.open();
        assert_eq!(lost, Some(Lost::Slot));
        rekey.accept_lost(true);
        put(&store, b"gone on").unwrap();
        put(&store, b"and on").unwrap();
        drop((store, rekey));
        let (store, rekey, lost) = bytes.open();
        assert_eq!((head(&store), lost, rekey.lost()), (b"and on".to_vec(), None, None));
    }
}

#[test]
fn damage_in_the_middle_of_the_journal_is_treated_alike() {
    let bytes = damaged(0);
    // Without the damage to the slot there is a whole second state.
    bytes.0.lock().unwrap().0[LAYOUT.body(1).start + 100] ^= 1;
    let (store, ..) = bytes.open();
    for text in [b"one", b"two"] {
        put(&store, text).unwrap();
    }
    drop(store);
    bytes.0.lock().unwrap().0[LAYOUT.block(0).unwrap().start + 40] ^= 1;
    let before = bytes.now();
    let (store, rekey, lost) = bytes.open();
    assert_eq!((head(&store), lost), (vec![9; 6_000], Some(Lost::Journal)));
    is_refused(put(&store, b"small"));
    assert!(bytes.now() == before);
    rekey.accept_lost(true);
    put(&store, b"gone on").unwrap();
    drop((store, rekey));
    let (store, _, lost) = bytes.open();
    assert_eq!((head(&store), lost), (b"gone on".to_vec(), None));
}

/// Cut off after any write, and in the middle of it: either the owner has gone on, or it is still said that something is lost.
#[test]
fn going_on_that_is_cut_off_is_not_half_done() {
    let (mut undone, mut done) = (0, 0);
    for later in ["damaged", "damaged later", "full"] {
        for writes in 1..8 {
            let bytes = match later {
                "damaged" => damaged(0),
                "damaged later" => damaged(2),
                _ => full(),
            };
            let (store, rekey, _) = bytes.open();
            rekey.accept_lost(true);
            bytes.0.lock().unwrap().1 = writes;
            let outcome = put(&store, b"gone on");
            bytes.0.lock().unwrap().1 = usize::MAX;
            // The process is gone without an orderly end.
            let cut = Bytes::of(bytes.now());
            let (reopened, again, lost) = cut.open();
            match outcome {
                Ok(()) => {
                    assert_eq!((head(&reopened), lost), (b"gone on".to_vec(), None), "{later}, {writes}");
                    done += 1;
                }
                Err(_) => {
                    assert_ne!(head(&reopened), b"gone on", "{later}, {writes}");
                    assert_eq!(lost, Some(Lost::Slot), "{later}, {writes}");
                    is_refused(put(&reopened, b"small"));
                    again.accept_lost(true);
                    put(&reopened, b"gone on").unwrap();
                    drop((reopened, again));
                    assert_eq!(cut.open().2, None);
                    undone += 1;
                }
            }
        }
    }
    assert!(undone >= 6 && done >= 6, "{undone} times undone, {done} times done");
}
