//! What becomes of the records of clients and agents when a vault is made from a backup, or is older than it was.

use std::cell::{Cell, RefCell};

use keep_audit::{Action, Draft, Outcome};
use keep_policy::{Grant, Session, Usage};
use keep_types::{Collection, Origin, Record, RecordId, Revision, Timestamp, VaultId};
use keep_vault::{Addition, DamageAccepted, GroupRecord, Tx, Unanswered, Vault, VaultError, WalletRow};
use zeroize::Zeroizing;

use crate::admitted::{Admitted, spent};
use crate::{Endpoint, PolicyRow, RequestRow, RequestState};

/// A record as it comes back from a backup: connect secrets are used up, rates of the current minute, hour and day and budgets are
/// spent, requests that waited are over; and unless the old device is gone, clients, endpoints and agents' sessions are
/// suspended until the owner lets them go on, co-signers' grants are dropped, groups are to be confirmed, and the codes of the
/// persons who approved are worthless. `None` leaves a record as it is.
///
/// # Errors
/// When a record does not have the form of its collection.
pub fn revive(
    collection: Collection,
    cbor: &[u8],
    now: Timestamp,
    take_over: bool,
) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    match collection {
        Collection::Grants if !take_over => {
            let mut grant = Grant::from_cbor(cbor)?;
            grant.suspended = true;
            Ok(Some(grant.to_cbor()?))
        }
        Collection::Endpoints => {
            let mut endpoint = Endpoint::from_cbor(cbor)?;
            endpoint.burn();
            endpoint.stopped |= !take_over;
            Ok(Some(endpoint.to_cbor()?))
        }
        Collection::Usage => {
            let mut usage = Usage::from_cbor(cbor)?;
            usage.exhaust(now);
            Ok(Some(usage.to_cbor()?))
        }
        Collection::Wallets => match WalletRow::from_cbor(cbor)? {
            WalletRow::Spending(mut spending) => {
                spending.spent.exhaust(now);
                Ok(Some(WalletRow::Spending(spending).to_cbor()?))
            }
            WalletRow::Account(_) | WalletRow::Trail(_) => Ok(None),
        },
        Collection::Requests => {
            let mut row = RequestRow::from_cbor(cbor)?;
            if matches!(row.state, RequestState::Asking | RequestState::Granted) {
                row.state = RequestState::Done;
            }
            row.received = Vec::new();
            Ok(Some(row.to_cbor()?))
        }
        // Nobody waits for these answers any more.
        Collection::Unanswered => Ok(Some(Unanswered::default().to_cbor()?)),
        Collection::Sessions if !take_over => {
            let mut session = Session::from_cbor(cbor)?;
            session.suspended = true;
            Ok(Some(session.to_cbor()?))
        }
        Collection::Groups if !take_over => {
            let mut group = GroupRecord::from_cbor(cbor)?;
            group.grants.clear();
            // Of no vault: the owner says again that its epoch is the present one.
            group.confirmed_in = VaultId::from_bytes([0; 16]);
            Ok(Some(group.to_cbor()?))
        }
        Collection::Policies if !take_over => match PolicyRow::from_cbor(cbor)? {
            PolicyRow::Policy(..) => Ok(None),
            PolicyRow::Person(mut person) => {
                person.retire();
                Ok(Some(PolicyRow::Person(person).to_cbor()?))
            }
        },
        _ => Ok(None),
    }
}

/// Goes on with a vault that is older than it was, in one commit: what [`revive`] does to a restored vault is done to this one, with
/// an entry in the log. An older copy brings back clients that were removed since, secrets that were used and rates that were
/// spent. `with` is part of the commit, whose revision is above `seen`, the highest that was known before. Says how many clients,
/// endpoints and sessions are suspended.
///
/// # Errors
/// When the vault cannot be read or written; nothing was changed then.
pub fn accept_rollback(
    vault: &Vault,
    seen: Revision,
    reason: String,
    with: impl Fn(&mut Tx<'_, '_>) -> Result<(), VaultError> + Send + 'static,
) -> Result<u64, VaultError> {
    let grants = vault.all::<Grant>()?;
    let endpoints = vault.all::<Endpoint>()?;
    let sessions = vault.all::<Session>()?;
    let suspended = grants.len() + endpoints.len() + sessions.len();
    let (usage, requests) = (vault.all::<Usage>()?, vault.all::<RequestRow>()?);
    let (groups, policies) = (vault.all::<GroupRecord>()?, vault.all::<PolicyRow>()?);
    let (wallets, unanswered) = (vault.all::<WalletRow>()?, vault.all::<Unanswered>()?);
    let admitted = Admitted::of(vault)?;
    vault
        .submit(move |tx| {
            tx.go_on_above(seen);
            rewrite(tx, &grants)?;
            rewrite(tx, &endpoints)?;
            rewrite(tx, &sessions)?;
            rewrite(tx, &usage)?;
            rewrite(tx, &requests)?;
            rewrite(tx, &unanswered)?;
            rewrite(tx, &groups)?;
            rewrite(tx, &policies)?;
            rewrite(tx, &wallets)?;
            admitted.spend(tx)?;
            with(tx)?;
            tx.audit(Draft::new(Action::RollbackAccepted, Outcome::Allowed, &Origin::Cli).reason(reason));
            Ok(())
        })
        .wait()?;
    Ok(suspended as u64)
}

/// Goes on with what is left of a vault that something else than Keep changed, in one commit: a record that is missing may have
/// been a refusal or a revocation, so that what [`revive`] does to a restored vault is done to this one. What is in `with` is
/// written in the same commit. Says what was wrong, and how many clients, endpoints and sessions are suspended.
///
/// # Errors
/// As [`Vault::accept_damage`].
pub fn accept_damage(vault: &Vault, with: &[Addition]) -> Result<(DamageAccepted, u64), VaultError> {
    let (suspended, admitted) = (Cell::new(0), RefCell::new(Admitted::default()));
    let as_revived = |collection, cbor: &[u8], now| {
        admitted.borrow_mut().note(collection, cbor)?;
        if matches!(collection, Collection::Grants | Collection::Endpoints | Collection::Sessions) {
            suspended.set(suspended.get() + 1);
        }
        revive(collection, cbor, now, false)
    };
    let additions = |now| {
        let spent = spent(now);
        let admitted = admitted.borrow();
        let spent = admitted.naturals().map(|natural| Addition::unless_there(natural, &spent));
        Ok([with, &spent.collect::<Result<Vec<_>, _>>()?].concat())
    };
    let accepted = vault.accept_damage(&as_revived, &additions)?;
    Ok((accepted, suspended.get()))
}

/// The records of one collection, as they come back.
fn rewrite<R: Record>(tx: &mut Tx<'_, '_>, records: &[(RecordId, R)]) -> Result<(), VaultError> {
    let now = tx.now();
    for (id, _) in records {
        // As it is now: another process may have changed or removed it since it was listed.
        let Some(record) = tx.get::<R>(id)? else { continue };
        if let Some(revived) = revive(R::COLLECTION, &record.to_cbor()?, now, false)? {
            tx.put(*id, &R::from_cbor(&revived)?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_persons_are_worthless_afterwards() {
        let code = "ab".repeat(32);
        let person = crate::Person::of("bob", &code);
        assert!(person.has_code(&code) && !person.is_retired());
        let cbor = PolicyRow::Person(person).to_cbor().unwrap();
        let revive =
            |take_over| revive(Collection::Policies, &cbor, Timestamp::from_secs(9), take_over).unwrap();
        assert!(revive(true).is_none());
        let row = PolicyRow::from_cbor(&revive(false).unwrap()).unwrap();
        assert!(row.policy().is_none());
        let PolicyRow::Person(retired) = row else { return };
        assert!(retired.is_retired() && !retired.has_code(&code) && retired.name == "bob");
    }
}
