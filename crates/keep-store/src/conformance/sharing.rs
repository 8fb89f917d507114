//! Several handles, several threads.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::{Place, everything, id, put_all, read, row, write};
use crate::{ReadTx, Store, StoreError, WriteTx};

/// A reader sees the same rows from beginning to end, whatever is committed meanwhile.
pub fn readers_keep_their_view(place: &dyn Place) {
    let (store, other) = (place.handle(), place.handle());
    put_all(&*store, &[row(1, 1, b"before")]);
    read(&*store, |tx| {
        let before = tx.get(1, &id(1))?;
        for writer in [&store, &other] {
            put_all(&**writer, &[row(1, 1, b"after"), row(1, 2, b"after")]);
            write(&**writer, |tx| tx.set_head(b"after")).unwrap();
        }
        assert_eq!(tx.get(1, &id(1))?, before);
        assert_eq!(tx.get(1, &id(2))?, None);
        assert_eq!(tx.head()?, None);
        Ok(())
    });
    assert_eq!(everything(&*store), [row(1, 1, b"after"), row(1, 2, b"after")]);
}

/// Readers read while a transaction is open, through the same handle and through another.
pub fn readers_do_not_wait_for_a_writer(place: &dyn Place) {
    let (store, other) = (place.handle(), place.handle());
    put_all(&*store, &[row(1, 1, b"before")]);
    write(&*store, |tx| {
        tx.put(&row(1, 1, b"after"))?;
        std::thread::scope(|scope| {
            for reader in [&store, &other] {
                let (sender, receiver) = channel();
                scope.spawn(move || sender.send(everything(&**reader)));
                let seen =
                    receiver.recv_timeout(Duration::from_secs(5)).expect("a reader waits for a writer");
                assert_eq!(seen, [row(1, 1, b"before")]);
            }
        });
        Ok(())
    })
    .unwrap();
}

fn changed(store: &dyn Store) -> bool {
    write(store, |tx| tx.changed_by_others()).unwrap()
}

/// A handle learns of the commits of others, once, and not of its own.
pub fn changes_of_others_are_told(place: &dyn Place) {
    let (store, other) = (place.handle(), place.handle());
    assert!(changed(&*store), "at first everything is news");
    assert!(!changed(&*store));
    put_all(&*store, &[row(1, 1, b"own")]);
    assert!(!changed(&*store), "own commits are no news");
    put_all(&*other, &[row(1, 2, b"other")]);
    put_all(&*store, &[row(1, 3, b"own, without asking")]);
    assert!(changed(&*store));
    assert!(!changed(&*store));
    write(&*store, |tx| {
        assert!(!tx.changed_by_others()?);
        tx.put(&row(1, 4, b"own"))?;
        assert!(!tx.changed_by_others()?, "the answer stays while the lock is held");
        Ok(())
    })
    .unwrap();
    assert!(!changed(&*store));
    assert!(changed(&*other));
    write(&*other, |tx| tx.put(&row(1, 5, b"x")).and(Err::<(), _>(StoreError::Full))).unwrap_err();
    assert!(!changed(&*store), "what was not committed is no news");
}

/// What a transaction learnt is told again if it failed.
pub fn a_failed_transaction_forgets_what_it_asked(place: &dyn Place) {
    let (store, other) = (place.handle(), place.handle());
    assert!(changed(&*store));
    put_all(&*other, &[row(1, 1, b"other")]);
    let failed = write(&*store, |tx| {
        assert!(tx.changed_by_others()?);
        Err::<(), _>(StoreError::Full)
    });
    assert_eq!(failed, Err(StoreError::Full));
    assert!(changed(&*store));
    assert!(!changed(&*store));
}

fn counter(tx: &dyn ReadTx, number: u8) -> Result<u64, StoreError> {
    let bytes = tx.get(1, &id(number))?.map(|row| row.sealed);
    Ok(bytes.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap())))
}

fn increment(tx: &mut dyn WriteTx, number: u8) -> Result<(), StoreError> {
    let next = counter(tx, number)? + 1;
    tx.put(&row(1, number, &next.to_be_bytes()))
}

/// Threads that count through several handles, two threads to each, count right.
pub fn no_increment_is_lost(place: &dyn Place) {
    const EACH: u64 = 40;
    let handles = [place.handle(), place.handle(), place.handle()];
    std::thread::scope(|scope| {
        for handle in handles.iter().chain(&handles) {
            scope.spawn(|| (0..EACH).for_each(|_| write(&**handle, |tx| increment(tx, 1)).unwrap()));
        }
    });
    assert_eq!(read(&*handles[0], |tx| counter(tx, 1)), 6 * EACH);
}

/// Readers never see half of a transaction.
pub fn readers_see_whole_transactions(place: &dyn Place) {
    let (store, reader) = (place.handle(), place.handle());
    let (done, seen) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for reader in [&store, &reader] {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let (a, b) = read(&**reader, |tx| Ok((counter(tx, 1)?, counter(tx, 2)?)));
                    assert_eq!(a, b);
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..150 {
            write(&*store, |tx| increment(tx, 1).and_then(|()| increment(tx, 2))).unwrap();
        }
        while seen.load(Ordering::Relaxed) < 20 {
            std::thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Of three handles that write without a pause nobody starves.
pub fn writers_take_turns(place: &dyn Place) {
    let handles = [place.handle(), place.handle(), place.handle()];
    let end = Instant::now() + Duration::from_millis(400);
    std::thread::scope(|scope| {
        for (n, handle) in (1..).zip(&handles) {
            scope.spawn(move || {
                while Instant::now() < end {
                    write(&**handle, |tx| increment(tx, n)).unwrap();
                }
            });
        }
    });
    let counts = [1, 2, 3].map(|n| read(&*handles[0], |tx| counter(tx, n)));
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(*least > 0 && *most <= 10 * least + 20, "unfair: {counts:?} commits");
}
