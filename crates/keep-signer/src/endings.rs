//! What is written of requests with the next commit that happens anyway: which answers have left, and which uses failed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keep_audit::{Draft, Outcome};
use keep_policy::Session;
use keep_types::{Fault, KeyId, Operation, Origin, RecordId, RequestId};
use keep_vault::{Tx, Unanswered, VaultError};

use crate::unanswered::Answered;
use crate::{RequestRow, RequestState};

/// How many endings one commit carries along.
const PER_COMMIT: usize = 256;
/// How many commits that failed carry the entry of a failed use: where there is no room for it, others must still have some.
const MOST_ATTEMPTS: u8 = 3;

/// How a request ended.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    /// Answers have left.
    Answered(Answered),
    /// An allowed request failed.
    Failed(Failure),
}

/// A use that was allowed and cannot succeed, such as decrypting a damaged payload.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub id: RequestId,
    pub origin: Origin,
    pub key: KeyId,
    pub operation: Operation,
    pub fault: Fault,
}

/// What is still to be written, each with the number of commits that carried it and failed.
#[derive(Debug, Default)]
pub(crate) struct Endings(Mutex<Vec<(Ending, u8)>>);

impl Endings {
    fn waiting(&self) -> MutexGuard<'_, Vec<(Ending, u8)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, ending: Ending) {
        self.waiting().push((ending, 0));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Marks answered requests, and logs those that were allowed and failed. What a commit took and did not write comes back.
    pub(crate) fn write(self: &Arc<Self>, tx: &mut Tx<'_, '_>) -> Result<(), VaultError> {
        let batch: Vec<(Ending, u8)> = {
            let mut waiting = self.waiting();
            let count = waiting.len().min(PER_COMMIT);
            waiting.drain(..count).collect()
        };
        if batch.is_empty() {
            return Ok(());
        }
        let (again, endings) = (batch.clone(), Arc::clone(self));
        tx.unless_committed(move || {
            let again = again.into_iter().map(|(ending, attempts)| (ending, attempts.saturating_add(1)));
            let again = again.filter(|(ending, attempts)| match ending {
                Ending::Answered(_) => true,
                Ending::Failed(_) => *attempts < MOST_ATTEMPTS,
            });
            endings.waiting().splice(..0, again);
        });
        for (ending, _) in batch {
            match ending {
                Ending::Answered(answered) => end_answered(tx, &answered)?,
                Ending::Failed(failure) => end_failed(tx, &failure)?,
            }
        }
        Ok(())
    }
}

/// Nothing is kept any more of what is answered, or of what there is no request.
fn end_answered(tx: &mut Tx<'_, '_>, answered: &Answered) -> Result<(), VaultError> {
    match answered {
        Answered::Together(revision, ids) => {
            let at = Unanswered::place(*revision);
            // A row that cannot be read is the integrity check's to report, not this request's to fail for.
            let Some(mut kept) = tx.get::<Unanswered>(&at).ok().flatten() else { return Ok(()) };
            let gone: HashSet<RecordId> =
                ids.iter().map(|id| tx.locate::<RequestRow>(id.as_bytes())).collect();
            kept.0.retain(|one| !gone.contains(&one.place) && !ids.is_empty());
            if kept.0.is_empty() { tx.delete::<Unanswered>(&at).map(drop) } else { tx.put(at, &kept) }
        }
        Answered::InRow(id) => {
            let place = tx.locate::<RequestRow>(id.as_bytes());
            let Some(mut row) = tx.get::<RequestRow>(&place).ok().flatten() else { return Ok(()) };
            row.received = Vec::new();
            tx.put(place, &row)
        }
    }
}

fn end_failed(tx: &mut Tx<'_, '_>, failure: &Failure) -> Result<(), VaultError> {
    let place = tx.locate::<RequestRow>(failure.id.as_bytes());
    match tx.get::<RequestRow>(&place).ok().flatten() {
        Some(row) if row.state == RequestState::Granted => fail(tx, place, row, failure)?,
        Some(_) => {}
        None => {
            let entry = failed_draft(failure);
            let entry = match session_of(tx, &failure.origin) {
                Some(session) => entry.session(&session.name),
                None => entry,
            };
            tx.audit(entry);
        }
    }
    Ok(())
}

/// The session that asked, if it is still there.
fn session_of(tx: &mut Tx<'_, '_>, origin: &Origin) -> Option<Arc<Session>> {
    let Origin::Agent { session } = origin else { return None };
    tx.get_shared::<Session>(&RecordId::from_bytes(*session.as_bytes())).ok().flatten()
}

/// The failure becomes the result of the request: its repeats get the same, and are not tried or logged again.
fn fail(
    tx: &mut Tx<'_, '_>,
    place: RecordId,
    mut row: RequestRow,
    failure: &Failure,
) -> Result<(), VaultError> {
    row.refuse(&failure.fault);
    row.audit_seq = tx.audit(failed_draft(failure));
    tx.put(place, &row)
}

fn failed_draft(failure: &Failure) -> Draft {
    let action = crate::entry::action(failure.operation);
    Draft::new(action, Outcome::Failed, &failure.origin).key(failure.key).reason(failure.fault.message())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use keep_audit::Action;
    use keep_store::{ChangeLog, MemoryStore, StoreError};
    use keep_testing::clock::FakeClock;
    use keep_types::{ErrorCode, SecretText, Timestamp};
    use keep_vault::{Environment, KdfCost, Vault};

    use super::*;

    /// A log that has no room a number of times.
    struct Full(Arc<AtomicU32>);

    impl ChangeLog for Full {
        fn commit(&mut self, _: &[u8], _: &dyn Fn() -> Vec<u8>) -> Result<(), StoreError> {
            let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            left.map_or(Ok(()), |_| Err(StoreError::Io("no room".into())))
        }

        fn close(&mut self, _: &dyn Fn() -> Vec<u8>) {}

        fn wipe(&mut self, _: &dyn Fn() -> Vec<u8>) -> Result<(), StoreError> {
            Ok(())
        }

        fn capacity(&self) -> usize {
            1 << 20
        }
    }

    /// How many entries of a failed use are in the log after so many commits without room and one with it.
    fn logged(without_room: u32) -> usize {
        let left = Arc::new(AtomicU32::new(0));
        let none: [Vec<u8>; 0] = [];
        let store = MemoryStore::with_log(none, Full(Arc::clone(&left))).unwrap();
        let environment =
            Environment::new(FakeClock::at(Timestamp::from_secs(1_800_000_000))).allow_weak_kdf();
        let cost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
        let passphrase = SecretText::from("words".to_owned());
        let vault = Vault::create(Arc::new(store), &passphrase, [1; 32], cost, &environment).unwrap();
        let endings = Arc::new(Endings::default());
        endings.add(Ending::Failed(Failure {
            id: RequestId::from_bytes([1; 32]),
            origin: Origin::Cli,
            key: KeyId::from_bytes([1; 16]),
            operation: Operation::Nip44Decrypt,
            fault: Fault::new(ErrorCode::InvalidInput, "it does not open"),
        }));
        left.store(without_room, Ordering::SeqCst);
        for attempt in 0..=without_room {
            let endings = Arc::clone(&endings);
            let outcome = vault.submit(move |tx| {
                tx.audit(Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli));
                endings.write(tx)
            });
            assert_eq!(outcome.wait().is_ok(), attempt == without_room);
        }
        assert!(endings.is_empty());
        let entries = vault.audit_tail(10).unwrap();
        entries.iter().filter(|entry| entry.outcome == Outcome::Failed).count()
    }

    #[test]
    fn the_entry_of_a_failed_use_comes_back_and_not_for_ever() {
        assert_eq!(logged(0), 1);
        assert_eq!(logged(2), 1, "it comes back");
        assert_eq!(logged(3), 0, "others need the room");
    }
}
