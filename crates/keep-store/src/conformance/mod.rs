//! What every back end must do, as tests that each back end runs.
//!
//! A back end implements [`Place`] and calls [`conformance_suite!`](crate::conformance_suite), which makes one test of
//! each check.
//!
//! ```
//! use keep_store::conformance::{self, Place};
//! use keep_store::{MemoryStore, Store};
//! use std::sync::Arc;
//!
//! struct InMemory(MemoryStore);
//! impl Place for InMemory {
//!     fn handle(&self) -> Arc<dyn Store> {
//!         Arc::new(self.0.another_handle())
//!     }
//! }
//! conformance::atomic::failing_work_changes_nothing(&InMemory(MemoryStore::new()));
//! ```
// These are tests: they fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod atomic;
pub mod names;
pub mod rows;
pub mod scans;
pub mod sharing;

use std::ops::ControlFlow;
use std::sync::Arc;

use keep_types::{RecordId, Revision};

use crate::{NameIndex, ReadTx, Row, Scan, Store, StoreError, WriteTx};

/// One vault that was just made, and the means to open it more than once.
pub trait Place: Send + Sync {
    /// Another handle on the vault, as another process would have one.
    fn handle(&self) -> Arc<dyn Store>;
}

/// Makes one `#[test]` of each check, for the place that `$new` makes (an expression that is evaluated in each test).
#[macro_export]
macro_rules! conformance_suite {
    ($new:expr) => {
        $crate::conformance_suite!(@tests $new;
            atomic: a_new_store_is_empty, what_is_committed_is_read, failing_work_changes_nothing,
                panicking_work_changes_nothing, own_changes_are_seen_inside, histories_match_a_model;
            names: a_name_is_found, a_taken_name_is_refused, names_become_free, names_can_be_swapped;
            rows: every_size_comes_back, unknown_collections_are_carried, the_largest_revision_comes_back,
                deleting_says_whether, header_and_head_are_replaced;
            scans: scans_match_a_model, scans_inside_a_transaction_match_a_model, a_visitor_may_stop_and_may_look;
            sharing: readers_keep_their_view, readers_do_not_wait_for_a_writer, changes_of_others_are_told,
                a_failed_transaction_forgets_what_it_asked, no_increment_is_lost, readers_see_whole_transactions,
                writers_take_turns;
        );
    };
    (@tests $new:expr; $($module:ident: $($check:ident),+;)+) => {
        $($(
            #[test]
            fn $check() {
                $crate::conformance::$module::$check(&$new);
            }
        )+)+
    };
}

/// Row number `number` of a collection, at revision 1 and without a name.
pub fn row(collection: u8, number: u8, sealed: &[u8]) -> Row {
    Row { collection, id: id(number), revision: Revision::new(1), name: None, sealed: sealed.to_vec() }
}

/// A record id that ends in `number`.
pub fn id(number: u8) -> RecordId {
    let mut bytes = [0; 16];
    bytes[15] = number;
    RecordId::from_bytes(bytes)
}

fn named(collection: u8, number: u8, name: u8) -> Row {
    Row { name: Some(name_index(name)), ..row(collection, number, b"sealed") }
}

const fn name_index(name: u8) -> NameIndex {
    [name; 32]
}

/// What a read transaction computes.
fn read<T>(store: &dyn Store, mut work: impl FnMut(&dyn ReadTx) -> Result<T, StoreError>) -> T {
    let mut result = None;
    store
        .read(&mut |tx| {
            result = Some(work(tx)?);
            Ok(())
        })
        .unwrap();
    result.unwrap()
}

/// What a write transaction computes.
fn write<T>(
    store: &dyn Store,
    mut work: impl FnMut(&mut dyn WriteTx) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut result = None;
    store.write(&mut |tx| {
        result = Some(work(tx)?);
        Ok(())
    })?;
    Ok(result.unwrap())
}

/// Writes rows in one transaction.
fn put_all(store: &dyn Store, rows: &[Row]) {
    write(store, |tx| rows.iter().try_for_each(|row| tx.put(row))).unwrap();
}

/// What a scan visits.
fn scanned(tx: &dyn ReadTx, scan: Scan) -> Vec<Row> {
    let mut rows = Vec::new();
    tx.scan(scan, &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

/// Everything in a store, in order.
fn everything(store: &dyn Store) -> Vec<Row> {
    let mut rows = read(store, |tx| Ok(scanned(tx, Scan::everything())));
    rows.sort_by_key(|row| (row.collection, row.id));
    rows
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn byte(&mut self, bound: u8) -> u8 {
        self.below(usize::from(bound)) as u8
    }
}
