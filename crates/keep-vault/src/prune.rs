//! Removing the oldest entries of the log.
//!
//! What is removed is replaced by a signed checkpoint: the hash with which the rest goes on. It happens in pieces, each a
//! commit of its own that leaves a log that verifies, so that other processes are not kept waiting and a crash loses nothing
//! but the rest of the work.

use keep_audit::{Action, Batch as AuditBatch, ChainHash, Checkpoint, Draft, Entry, Outcome, Purpose};
use keep_audit::{RawEntries, SEGMENT_LEN, SignedCheckpoint, join, segment_end};
use keep_types::{Collection, ErrorCode, Fault, Origin, Timestamp};
use zeroize::Zeroizing;

use crate::batch::Change;
use crate::head::LogMark;
use crate::log::PRUNED;
use crate::seal::open_row;
use crate::segments::{COUNTS, counts, read_rows, written};
use crate::{Tx, Vault, VaultError};

/// How many entries one commit removes at most.
const PER_COMMIT: u64 = 32 * SEGMENT_LEN;

const AUDIT: u8 = Collection::Audit as u8;

/// What a prune removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrunePlan {
    /// Entries before this time go.
    pub cutoff: Timestamp,
    /// The first entry of the log.
    pub first: u64,
    /// The first entry that stays.
    pub keep_from: u64,
    /// How many entries stay.
    pub kept: u64,
}

impl PrunePlan {
    /// How many entries go.
    pub const fn removed(&self) -> u64 {
        self.keep_from.saturating_sub(self.first)
    }
}

/// One commit's share: the entries from `from` up to `to - 1`, and the hash before `to`.
#[derive(Clone, Copy)]
struct Piece {
    from: u64,
    to: u64,
    hash: ChainHash,
}

impl Vault {
    /// What [`prune`](Self::prune) would remove. Reads only where the cut is.
    ///
    /// # Errors
    /// When the store or the log cannot be read.
    pub fn plan_prune(&self, cutoff: Timestamp) -> Result<PrunePlan, VaultError> {
        self.view_log(|log| {
            let first = log.head.audit.first_seq;
            // Entries of the cut-off second stay.
            let keep_from = match cutoff.as_secs() {
                0 => first,
                secs => log.first_after(Timestamp::from_secs(secs - 1))?,
            };
            Ok(PrunePlan { cutoff, first, keep_from, kept: log.head.audit.next_seq - keep_from })
        })
    }

    /// Removes the entries before `cutoff`, and leaves a signed checkpoint in their place. Before anything is removed, every
    /// row and the whole chain are checked. `progress` is told how many entries are gone.
    ///
    /// # Errors
    /// [`VaultError::Tampered`] when the vault is not as it was recorded; nothing is removed then. When the store fails
    /// midway, what was removed until then stays removed, and the log verifies.
    pub fn prune(
        &self,
        cutoff: Timestamp,
        origin: Origin,
        progress: &mut dyn FnMut(u64),
    ) -> Result<PrunePlan, VaultError> {
        let report = self.verify()?;
        if !report.is_intact() {
            return Err(VaultError::Tampered(report.problems.join("; ")));
        }
        self.ensure_audit_key()?;
        self.verify_audit()?;
        let plan = self.plan_prune(cutoff)?;
        for piece in self.pieces(&plan)? {
            self.remove(piece, origin)?;
            progress(piece.to - plan.first);
        }
        Ok(plan)
    }

    /// The commits that a plan takes. Their hashes come from a chain that was checked up to the sealed head.
    fn pieces(&self, plan: &PrunePlan) -> Result<Vec<Piece>, VaultError> {
        let mut ends = Vec::new();
        let mut from = plan.first;
        while from < plan.keep_from {
            from = segment_end(from + PER_COMMIT - SEGMENT_LEN).min(plan.keep_from);
            ends.push(from);
        }
        self.view_log(|log| {
            let (mut hashes, _) = log.verify_chain(&ends)?;
            if ends.last() == Some(&log.head.audit.next_seq) {
                hashes.push(log.head.audit.hash);
            }
            if hashes.len() != ends.len() {
                return Err(VaultError::Head("the log changed meanwhile".into()));
            }
            let mut from = plan.first;
            let pieces = ends.iter().zip(hashes).map(|(&to, hash)| {
                let piece = Piece { from, to, hash };
                from = to;
                piece
            });
            Ok(pieces.collect())
        })
    }

    fn remove(&self, piece: Piece, origin: Origin) -> Result<(), VaultError> {
        let checkpoint = self.view_log(|log| {
            Ok(Checkpoint {
                purpose: Purpose::Pruned,
                first: piece.from,
                next: piece.to,
                base: log.head.log_begin().hash,
                hash: piece.hash,
                revision: log.head.revision.get(),
                time: log.head.max_time,
            })
        })?;
        // Signed before the lock is taken; whether it still fits is checked inside.
        let signed = self.sign_checkpoint(checkpoint)?;
        self.submit(move |tx| {
            stage(tx, piece, &signed)?;
            let reason = format!("entries {} to {}", piece.from, piece.to - 1);
            tx.audit(Draft::new(Action::LogPruned, Outcome::Allowed, &origin).reason(reason));
            Ok(())
        })
        .wait()
        .map(drop)
    }
}

fn stage(tx: &mut Tx<'_, '_>, piece: Piece, signed: &SignedCheckpoint) -> Result<(), VaultError> {
    let batch = &mut *tx.batch;
    let begin = batch.head.log_begin();
    if (begin.next_seq, begin.hash) != (piece.from, signed.checkpoint.base) || batch.changes.log.is_some() {
        let message = "another process is removing entries of the log";
        return Err(VaultError::Rejected(Fault::new(ErrorCode::StorageBusy, message)));
    }
    let old = batch.head.log_mark();
    let rows = read_rows(batch, piece.from, piece.to)?;
    let mut counts = counts(batch)?;
    let mut rest = Zeroizing::new(Vec::new());
    for row in rows {
        let number = AuditBatch::seq_at(&row.id);
        let identity = batch.identity;
        let damaged = || crate::log::tampered(&keep_audit::Broken::Unreadable(number));
        let plain = open_row(batch.keys, identity.vault, identity.epoch, &row).map_err(|_| damaged())?;
        let mut staying = Vec::new();
        for entry in RawEntries::new(&plain).map_err(|_| damaged())? {
            let entry = entry.map_err(|_| damaged())?;
            if entry.seq >= piece.to {
                staying.push(entry.bytes);
            } else if number < old.next
                && let Ok(read) = minicbor::decode::<Entry>(entry.bytes)
            {
                counts.remove(&read);
            }
        }
        if !staying.is_empty() {
            *rest = join(staying.into_iter());
        }
        let place = (AUDIT, row.id);
        tx.staged.records.insert(place, Change::Delete);
        batch.before.insert(place, Some(row));
    }
    if !rest.is_empty() {
        let change = Change::Put { plain: rest, name: None };
        tx.staged.records.insert((AUDIT, AuditBatch::place(piece.to)), change);
    }
    tx.staged.records.extend([written(&PRUNED, signed)?, written(&COUNTS, &counts)?]);
    let mark = if old.next <= piece.to {
        LogMark { base: piece.hash, next: piece.to, hash: piece.hash }
    } else {
        LogMark { base: piece.hash, ..old }
    };
    tx.staged.log = Some((piece.to, mark));
    Ok(())
}
