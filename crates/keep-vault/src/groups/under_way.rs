//! Renewals among vaults that are under way: what members here have of them, and what may not be done meanwhile.
//!
//! With a member's certificate the others may go over to the end of a renewal. Whoever forgets it then, or takes another
//! sharing, keeps shares that sign with nobody's. Several processes may have the vault open, so all of this is looked at in
//! the very job that writes.

use std::collections::BTreeMap;

use keep_audit::Action;
use keep_frost::ceremony::{Ceremony, Peeked};
use keep_frost::{FrostError, Group, Index, SessionId};
use keep_types::{ErrorCode, Fault, RecordId};
use sha2::{Digest as _, Sha256};

use super::change::{entry, list};
use super::keyring::{REFRESH, secret_place};
use super::{GroupRecord, changed_meanwhile};
use crate::records::SecretRecord;
use crate::{Tx, VaultError};

/// What a member here has of a renewal of the present sharing.
pub(super) struct Begun {
    pub index: Index,
    /// None where it cannot be read. Then it may be of any renewal, and certified.
    peeked: Option<Peeked>,
}

impl Begun {
    fn session(&self) -> Option<SessionId> {
        self.peeked.as_ref().map(|peeked| peeked.plan().session())
    }

    fn is_certified(&self) -> bool {
        self.peeked.as_ref().is_none_or(Peeked::is_certified)
    }

    fn fits(&self, roster: &Group) -> bool {
        self.peeked.as_ref().is_some_and(|peeked| peeked.plan().fits(roster).is_ok())
    }

    fn is_one_of(&self, sessions: &[SessionId]) -> bool {
        self.session().is_some_and(|session| sessions.contains(&session))
    }
}

/// What our members have begun. What is of an older sharing is of no use to anybody, and left out.
fn begun(
    record: &GroupRecord,
    mut read: impl FnMut(Index) -> Result<Option<SecretRecord>, VaultError>,
) -> Result<Vec<Begun>, VaultError> {
    let mut begun = Vec::new();
    for index in record.shares.iter().copied() {
        let Some(snapshot) = read(index)? else { continue };
        let peeked = Ceremony::peek(snapshot.secret.expose()).ok();
        let renews = peeked.as_ref().map(|peeked| peeked.plan().renews(&record.group));
        if !matches!(renews, Some(Err(FrostError::WrongEpoch { .. } | FrostError::WrongSharing))) {
            begun.push(Begun { index, peeked });
        }
    }
    Ok(begun)
}

fn begun_in(tx: &mut Tx<'_, '_>, record: &GroupRecord) -> Result<Vec<Begun>, VaultError> {
    begun(record, |index| tx.get_any(&secret_place(record.id, REFRESH, index)))
}

fn refuse(begun: &[Begun], but: &[SessionId]) -> Result<(), VaultError> {
    match begun.iter().find(|begun| begun.is_certified() && !begun.is_one_of(but)) {
        Some(certified) => Err(under_way(certified.session())),
        None => Ok(()),
    }
}

/// Refuses while a member here has certified a renewal that is not done.
pub(super) fn expect_none_certified(tx: &mut Tx<'_, '_>, record: &GroupRecord) -> Result<(), VaultError> {
    refuse(&begun_in(tx, record)?, &[])
}

/// Makes way for a roster in which members, here or elsewhere, have other device keys: refuses it while there is a renewal that
/// a member here has begun, certified or not, and that could not be gone on with, or gives it up.
pub(super) fn make_way(
    tx: &mut Tx<'_, '_>,
    record: &mut GroupRecord,
    roster: &Group,
    abandon: bool,
) -> Result<(), VaultError> {
    let now = record.group.clone();
    if *roster == now {
        return Ok(());
    }
    let hindered = |begun: &Begun| !begun.fits(roster) && (begun.is_certified() || begun.fits(&now));
    if abandon {
        return give_up(tx, record, hindered);
    }
    let mut begun = begun_in(tx, record)?;
    begun.retain(hindered);
    // Whoever gives up what is certified has to know that.
    let worst = begun.iter().find(|begun| begun.is_certified()).or_else(|| begun.first());
    match worst.map(|begun| (begun.is_certified(), begun.session())) {
        None => Ok(()),
        Some((false, Some(session))) => Err(begun_with_device(session)),
        Some((_, session)) => Err(under_way(session)),
    }
}

/// Takes away what members here have begun, as far as `which` says so, and notes that they do not go on with it.
pub(super) fn give_up(
    tx: &mut Tx<'_, '_>,
    record: &mut GroupRecord,
    which: impl Fn(&Begun) -> bool,
) -> Result<(), VaultError> {
    let mut begun = begun_in(tx, record)?;
    begun.retain(which);
    if begun.is_empty() {
        return Ok(());
    }
    let members: Vec<Index> = begun.iter().map(|begun| begun.index).collect();
    for index in &members {
        tx.delete_any::<SecretRecord>(&secret_place(record.id, REFRESH, *index))?;
    }
    record.give_up(begun.iter().filter_map(Begun::session));
    tx.put(GroupRecord::place(record.id), &*record)?;
    let reason = format!("{}: gave up a renewal for members {}", record.name, list(&members));
    tx.audit(entry(Action::GroupChanged, record, reason));
    Ok(())
}

/// What lies in a member's place, told by its hash. None if nothing does.
pub(super) type Lying = Option<[u8; 32]>;

/// What a step has found in places of its members, and has gone on from.
pub(super) type Found = BTreeMap<RecordId, Lying>;

/// What lies there.
pub(super) fn lying(snapshot: Option<&SecretRecord>) -> Lying {
    snapshot.map(|snapshot| Sha256::digest(snapshot.secret.expose()).into())
}

/// Whether in these places there is still what a step has gone on from.
///
/// # Errors
/// When another process has changed it meanwhile.
pub(super) fn expect_lying(tx: &mut Tx<'_, '_>, found: &Found) -> Result<(), VaultError> {
    for (place, found) in found {
        let lies = tx.get_any::<SecretRecord>(place)?;
        if lying(lies.as_ref()) != *found {
            return Err(changed_meanwhile());
        }
    }
    Ok(())
}

/// On what terms something takes the place of renewals that are under way.
#[derive(Debug, Default)]
pub(super) struct RightOfWay {
    /// The renewals that it is the end of, or a step of.
    pub of: Vec<SessionId>,
    /// All others are given up; else those that were certified stand in the way, and only those in whose place a step puts
    /// something are given up.
    pub abandon: bool,
    /// Of a step: what it has gone on from.
    pub found: Found,
}

impl RightOfWay {
    /// Whether it will be given as things stand, before anything is made for it.
    ///
    /// # Errors
    /// While another renewal is under way that was certified here.
    pub(super) fn expect(
        &self,
        record: &GroupRecord,
        read: impl FnMut(Index) -> Result<Option<SecretRecord>, VaultError>,
    ) -> Result<(), VaultError> {
        if self.abandon { Ok(()) } else { refuse(&begun(record, read)?, &self.of) }
    }

    /// Takes it, in the job that writes.
    ///
    /// # Errors
    /// As [`expect`](Self::expect); when another process has changed meanwhile what the step has gone on from.
    pub(super) fn take(&self, tx: &mut Tx<'_, '_>, record: &mut GroupRecord) -> Result<(), VaultError> {
        if !self.abandon {
            refuse(&begun_in(tx, record)?, &self.of)?;
        }
        expect_lying(tx, &self.found)?;
        let id = record.id;
        let is_replaced = |begun: &Begun| self.found.contains_key(&secret_place(id, REFRESH, begun.index));
        give_up(tx, record, |begun| !begun.is_one_of(&self.of) && (self.abandon || is_replaced(begun)))
    }
}

/// As the files of a renewal begin.
fn named(session: SessionId) -> String {
    format!("the renewal {}", session.to_string().chars().take(8).collect::<String>())
}

/// A renewal in which a member here has spoken, and what it said is not known any more. If it has `certified` it, and another
/// one here has as well, that one can come to its end, and is not to give it up.
///
/// # Errors
/// When what the others have cannot be read.
pub(super) fn spoken_before(
    record: &GroupRecord,
    (index, session): (Index, SessionId),
    certified: bool,
    read: impl FnMut(Index) -> Result<Option<SecretRecord>, VaultError>,
) -> Result<VaultError, VaultError> {
    let message = format!(
        "member {index} of this vault has taken part in {} before, and has nothing of it any more: it would say something else \
         now, and the others would take it for a cheat",
        named(session)
    );
    let begun = begun(record, read)?;
    let mut others = begun.iter().filter(|begun| begun.session() == Some(session) && begun.is_certified());
    // An end takes the certificates of all its members.
    let goes_on = if certified { others.next() } else { None };
    let hint = match goes_on {
        Some(other) => format!(
            "member {} can finish it: take the share of member {index} away until then (`keep frost delete-share --share {index} \
             --abandon`: it has nothing left to give up), run this step again with all files of the renewal, and have the share \
             made again when it is done (`keep frost repair --share {index}`)",
            other.index
        ),
        None => "go on with the renewal that took its place, or begin a new one: run `keep frost refresh` with an empty \
                 directory in every vault, and delete the files of this one everywhere. Ask the others first for the epoch that \
                 their `keep frost show` shows: if one is through, have your share made again with their help (`keep frost \
                 repair`)"
            .to_owned(),
    };
    Ok(Fault::new(ErrorCode::InvalidInput, message).with_hint(hint).into())
}

/// A renewal that a member here could not go on with where another device key is taken.
fn begun_with_device(session: SessionId) -> VaultError {
    let message = format!(
        "{} is under way: this vault has begun it, and could not go on with another device key",
        named(session)
    );
    let hint = "finish it first: run `keep frost refresh` with its directory, whose files begin with that number. Or give it up \
                with --abandon, as you have to where the member has its old device key no more: nobody can finish it without \
                this vault, so all others have to begin anew, too";
    Fault::new(ErrorCode::InvalidInput, message).with_hint(hint).into()
}

/// A renewal that is not the one that is asked for, and that others may finish.
fn under_way(session: Option<SessionId>) -> VaultError {
    let named = session.map_or_else(|| "another renewal that cannot be read".to_owned(), named);
    let message =
        format!("{named} is under way: others may go over to its end, with what this vault has sent for it");
    let hint = "finish it: run `keep frost refresh` with its directory, whose files begin with that number. Give it up, with \
                --abandon, only when every member that can be reached says that its `keep frost show` shows the old epoch, and \
                that it gives it up too: else some end with shares that do not sign with the others'";
    Fault::new(ErrorCode::InvalidInput, message).with_hint(hint).into()
}
