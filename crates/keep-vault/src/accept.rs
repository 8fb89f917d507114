//! Going on with a vault that something else than Keep changed, with what is left of it.
//!
//! The one place where sums are made anew over rows that do not fit the old ones. It is the owner's decision, it is in the log,
//! and whatever a missing row may have forbidden is suspended in the same commit.

use std::collections::HashMap;
use std::ops::ControlFlow;

use keep_audit::{
    Action, Batch as AuditBatch, Checkpoint, Counts, Draft, Entry, Fingerprint, Outcome, Purpose, RawEntries,
};
use keep_store::{Row, Scan, WriteTx};
use keep_types::{Collection, DisplayText, ErrorCode, Fault, Origin, RecordId, Timestamp};

use crate::accept_doubles::Doubles;
use crate::accept_halves::Halves;
use crate::accept_toll::{self, KindDamage};
use crate::addition::Additions;
use crate::batch::{Batch, Change, Changes};
use crate::cache::Cache;
use crate::head::{Head, LogMark};
use crate::log::{LogView, PRUNED};
use crate::records::{SecretKind, SecretRecord};
use crate::reserve::Rekey;
use crate::restore::{Revive, revived};
use crate::seal::{RowPlace, leaf, open_row, row_aad, seal};
use crate::secrets::{AUDIT_KEY, new_audit_key, public_of, sign_with};
use crate::segments::{COUNTS, written};
use crate::subkeys::{Nonces, Subkeys};
use crate::verify::{Depth, problems_of, verify_view};
use crate::{Vault, VaultError};

/// How much of the problems stands in the log, in characters.
const REASON: usize = 1000;

const AUDIT: u8 = Collection::Audit as u8;

/// What was gone on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamageAccepted {
    /// What was wrong, one sentence each.
    pub problems: Vec<String>,
    /// How many records were taken out because they do not open, or speak of a secret that is gone.
    pub removed: u64,
    /// How many entries of the log went because the chain does not lead to them any more.
    pub log_removed: u64,
    /// How much was wrong, for each kind of records that was not as it was written.
    pub kinds: Vec<KindDamage>,
    /// The log's signer from now on, if it is another one than before: the key that signed it is lost.
    pub signer: Option<Fingerprint>,
}

impl Vault {
    /// Goes on with what is left of a vault that something else than Keep changed: takes out the records that do not open and the
    /// part of the log that is not continued, changes the others as `revive` says, puts `additions` beside them, makes the sums anew
    /// and records it. One transaction; afterwards the vault is intact.
    ///
    /// # Errors
    /// [`VaultError::Rejected`] when nothing is wrong with the vault; [`VaultError::Tampered`] when the database itself is damaged,
    /// so that no sums could hold; when the head does not open, or the store cannot be written. Nothing was changed then.
    pub fn accept_damage(
        &self,
        revive: Revive<'_>,
        additions: Additions<'_>,
    ) -> Result<DamageAccepted, VaultError> {
        let known = match self.read_secret(&AUDIT_KEY, SecretKind::Audit) {
            Err(VaultError::Store(error)) => return Err(error.into()),
            // What does not open is taken out, and another vault's fingerprint is better than none.
            Ok(None) | Err(_) => None,
            Ok(known) => known,
        };
        let is_new = known.is_none();
        let signer = known.map_or_else(new_audit_key, Ok)?;
        let mut outcome = None;
        self.write_whole(&mut |tx| {
            let acceptance = Acceptance { vault: self, signer: &signer, is_new, revive, additions };
            outcome = Some(acceptance.run(tx)?);
            self.give_up_lost(true);
            Ok(())
        })
        .inspect_err(|_| self.give_up_lost(false))?;
        self.shared.forget_problems();
        self.verify()?;
        outcome.ok_or(VaultError::Closed)
    }

    /// Lets the next commit be written over what is left of a damaged later state, or no more.
    fn give_up_lost(&self, given_up: bool) {
        if let Some(reserve) = &self.reserve {
            reserve.accept_lost(given_up);
        }
    }
}

struct Acceptance<'a> {
    vault: &'a Vault,
    signer: &'a SecretRecord,
    /// Whether the signer was made just now, because there is none any more.
    is_new: bool,
    revive: Revive<'a>,
    additions: Additions<'a>,
}

/// What is found before anything is changed.
struct Findings {
    head: Head,
    problems: Vec<String>,
    /// Where the log begins from now on, if that is elsewhere than before.
    cut: Option<LogMark>,
    /// Whether the checkpoint that stands for removed entries is to be made anew.
    unsigned: bool,
}

impl Acceptance<'_> {
    fn run(&self, tx: &mut dyn WriteTx) -> Result<DamageAccepted, VaultError> {
        let shared = &self.vault.shared;
        let (keys, identity) = (shared.keys()?, shared.identity);
        let Findings { head: old, mut problems, cut, unsigned } = self.look(tx, &keys)?;
        if problems.is_empty() {
            let fault = Fault::new(ErrorCode::InvalidInput, "every record is as it was written")
                .with_hint("there is nothing to accept");
            return Err(VaultError::Rejected(fault));
        }
        let now = shared.time().max(old.max_time);
        let begin = old.log_begin();
        let mut head = Head { tallies: Vec::new(), ..old.clone() };
        if let Some(mark) = cut {
            // The log begins where the mark says that its segments end: there are none before it.
            (head.audit.first_seq, head.log) = (mark.next, Some(mark));
        }
        let rows = all_rows(tx)?;
        let kinds = accept_toll::count(&rows, &keys, identity, &old);
        let halves = Halves::of(&rows, &keys, identity);
        problems.extend(halves.losses());
        let (removed, counts) = self.keep_rows(tx, (&keys, &halves), rows, (&mut head, &old), now)?;
        let log_removed = head.audit.first_seq - begin.next_seq;
        let mut changes = Changes { goes_on: Some(head.revision), ..Changes::default() };
        halves.name_again(&keys, now, &mut changes)?;
        self.add(tx, &keys, now, &mut changes)?;
        changes.records.extend([written(&COUNTS, &counts)?]);
        if cut.is_some() || unsigned {
            let checkpoint = Checkpoint {
                purpose: Purpose::Pruned,
                first: begin.next_seq,
                next: head.audit.first_seq,
                base: begin.hash,
                hash: head.log_begin().hash,
                revision: head.revision.get(),
                time: now,
            };
            changes.records.extend([written(&PRUNED, &sign_with(self.signer, checkpoint)?)?]);
        }
        let mut signer = None;
        if self.is_new {
            changes.records.extend([written(&AUDIT_KEY, self.signer)?]);
            changes.drafts.push(Draft::new(Action::AuditKeyMade, Outcome::Allowed, &Origin::Cli));
            signer = Some(Fingerprint::of(&public_of(self.signer)?));
        }
        let summary = accept_toll::summary(&kinds, removed, log_removed, signer.as_ref());
        let said = std::iter::once(&summary).filter(|summary| !summary.is_empty()).chain(&problems);
        let reason = said.map(String::as_str).collect::<Vec<_>>().join("; ");
        let reason = DisplayText::truncated(&reason, REASON).as_str().to_owned();
        changes
            .drafts
            .push(Draft::new(Action::DamageAccepted, Outcome::Allowed, &Origin::Cli).reason(reason));
        let batch = Batch {
            raw: &mut *tx,
            keys: &keys,
            identity,
            head,
            now,
            cache: &mut Cache::default(),
            before: HashMap::new(),
            names_before: HashMap::new(),
            changes,
        };
        let (head, _) = batch.flush()?;
        // An index that leads astray is not mended by writing rows; then nothing is changed at all.
        let left = problems_of(tx, &keys, identity, &head)?;
        if !left.is_empty() {
            return Err(VaultError::Tampered(format!("the database is damaged: {}", left.join("; "))));
        }
        Ok(DamageAccepted { problems, removed, log_removed, kinds, signer })
    }

    /// What goes in beside what is left.
    fn add(
        &self,
        tx: &mut dyn WriteTx,
        keys: &Subkeys,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Result<(), VaultError> {
        for addition in (self.additions)(now)? {
            let (number, (place, only_if_vacant)) = (addition.collection.number(), addition.place(keys));
            if !only_if_vacant || tx.get(number, &place)?.is_none() {
                changes.records.insert((number, place), Change::Put { plain: addition.plain, name: None });
            }
        }
        Ok(())
    }

    fn look(&self, tx: &mut dyn WriteTx, keys: &Subkeys) -> Result<Findings, VaultError> {
        let shared = &self.vault.shared;
        let seen = shared.seen();
        let mut problems = verify_view(tx, shared, keys, seen, Depth::Everything)?.problems;
        let head =
            shared.open_head(&tx.header()?.unwrap_or_default(), &tx.head()?.unwrap_or_default(), seen)?;
        if let Some(lost) = self.vault.reserve.as_ref().and_then(Rekey::lost) {
            problems.push(lost.as_str().to_owned());
        }
        let log = LogView { tx, keys, shared, head };
        let public = public_of(self.signer)?;
        let unsigned = log.check_pruned(Some(&public)).map(drop);
        let whole = log.verify_chain(&[]).map(drop);
        for outcome in [&unsigned, &whole] {
            match outcome {
                Ok(()) => {}
                Err(VaultError::Store(error)) => return Err(error.clone().into()),
                Err(error) => problems.push(error.to_string()),
            }
        }
        let cut = match whole {
            Ok(()) => None,
            Err(_) if log.verify_tail()?.is_ok() => {
                let mark = log.head.log_mark();
                Some(LogMark { base: mark.hash, ..mark })
            }
            // Nothing of it is proved any more but its end, which the head has.
            Err(_) => {
                let end = log.head.audit;
                Some(LogMark { base: end.hash, next: end.next_seq, hash: end.hash })
            }
        };
        Ok(Findings { head: log.head, problems, cut, unsigned: unsigned.is_err() })
    }

    /// Takes out what does not open or is not in the log any more, changes what is to be changed, and adds up the rest. Gives how
    /// many records do not open, and the counts of the log's segments.
    fn keep_rows(
        &self,
        tx: &mut dyn WriteTx,
        (keys, halves): (&Subkeys, &Halves),
        rows: Vec<Row>,
        (head, old): (&mut Head, &Head),
        now: Timestamp,
    ) -> Result<(u64, Counts), VaultError> {
        let identity = self.vault.shared.identity;
        // Rows that open may be of a later state than the head.
        let newest = rows.iter().filter(|row| open_row(keys, identity.vault, identity.epoch, row).is_ok());
        let newest = newest.map(|row| row.revision).max();
        head.revision = newest.map_or(head.revision, |newest| newest.max(head.revision));
        let mut doubles = Doubles::of(&rows, keys, identity)?;
        let (mut removed, mut counts, mut nonces) = (doubles.removed, Counts::default(), Nonces::new(1024)?);
        for mut row in rows {
            let known = Collection::from_number(row.collection);
            let opened = open_row(keys, identity.vault, identity.epoch, &row).ok();
            let opened = opened.filter(|_| !halves.is_hollow(&row));
            // What a later version keeps beside this one's is not looked into.
            let is_later =
                known.is_none() && old.tallies.iter().any(|tally| tally.collection == row.collection);
            if opened.is_none() && !is_later {
                removed += 1;
            }
            if !(opened.is_some() || is_later) || is_out_of_log(head, row.collection, &row.id) {
                tx.delete(row.collection, &row.id)?;
                continue;
            }
            if row.collection == AUDIT
                && AuditBatch::seq_at(&row.id) < head.log_mark().next
                && let Some(plain) = &opened
            {
                count(plain, &mut counts);
            }
            let fewer = match known {
                Some(Collection::Bundles) => doubles.kept.remove(&row.id),
                _ => None,
            };
            let revived = match (known, fewer.as_ref().or(opened.as_ref())) {
                (Some(known), Some(plain)) => revived(self.revive, known, plain, now)?.or(fewer),
                _ => None,
            };
            if let Some(plain) = revived {
                let key = keys.records(row.collection).ok_or(VaultError::NoSuchKey)?;
                row.revision = head.revision.next();
                let aad = row_aad(identity.vault, identity.epoch, RowPlace::from(&row));
                row.sealed = seal(key, nonces.next()?, &aad, &plain);
                tx.put(&row)?;
            }
            let aad = row_aad(identity.vault, identity.epoch, RowPlace::from(&row));
            let number = head.tally_number(row.collection, &row.id);
            let tally = head.tally(number);
            tally.sum.add(&leaf(keys.leaf(), &aad, &row.sealed));
            tally.count += 1;
        }
        Ok((removed, counts))
    }
}

fn all_rows(tx: &dyn WriteTx) -> Result<Vec<Row>, VaultError> {
    let mut rows = Vec::new();
    tx.scan(Scan::everything(), &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

/// Whether a row of the log lies before its beginning or behind its end.
fn is_out_of_log(head: &Head, collection: u8, id: &RecordId) -> bool {
    collection == AUDIT && !(head.audit.first_seq..head.audit.next_seq).contains(&AuditBatch::seq_at(id))
}

fn count(plain: &[u8], counts: &mut Counts) {
    let Ok(entries) = RawEntries::new(plain) else { return };
    for entry in entries.flatten() {
        if let Ok(read) = minicbor::decode::<Entry>(entry.bytes) {
            counts.add(&read);
        }
    }
}
