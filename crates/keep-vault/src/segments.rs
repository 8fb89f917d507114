//! The log's batches, written together in segments: 1,024 entries in one row instead of up to 1,024 rows.
//!
//! It happens inside a commit that happens anyway, once a segment's entries are there; a crash leaves the state before it or
//! after it. The entries stay the same bytes, so the chain does not change. Batches are opened and linked first: what was
//! changed or put back is found here, and is not written anew. The sums are continued, not computed afresh, so nothing that
//! was tampered with becomes right by it.

use std::ops::ControlFlow;

use keep_audit::{Batch as AuditBatch, Broken, Chain, Counts, Entry, RawEntries, join, segment_end};
use keep_store::{Row, Scan};
use keep_types::{Collection, Record, RecordId};
use zeroize::Zeroizing;

use crate::VaultError;
use crate::batch::{Batch, Change};
use crate::head::{Head, LogMark};
use crate::seal::open_row;

/// How many segments one commit writes: what a long log of an older version lacks is caught up with bit by bit.
const SEGMENTS_PER_COMMIT: usize = 4;

/// Where the counts of all segments lie.
pub(crate) const COUNTS: RecordId = RecordId::from_bytes(*b"keep log counts ");

const AUDIT: u8 = Collection::Audit as u8;

/// Whether the entries of a whole segment are there.
pub(crate) fn is_due(head: &Head) -> bool {
    head.audit.next_seq >= segment_end(head.log_mark().next)
}

/// Adds to the batch what writes due segments. The inner error says that the log is damaged, and then nothing was added.
pub(crate) fn compact(batch: &mut Batch<'_>) -> Result<Result<(), Broken>, VaultError> {
    // A prune in the same commit has other plans with the same rows.
    if batch.changes.log.is_some() {
        return Ok(Ok(()));
    }
    let mut mark = batch.head.log_mark();
    let mut counts = counts(batch)?;
    let mut segments: Vec<Segment> = Vec::new();
    while segments.len() < SEGMENTS_PER_COMMIT && batch.head.audit.next_seq >= segment_end(mark.next) {
        // What is left of the last batch is where the next segment begins.
        let carried = segments.last_mut().map(|last| std::mem::take(&mut last.rest));
        match gather(batch, mark, carried.unwrap_or_default(), &mut counts)? {
            Ok(segment) => {
                mark = segment.mark;
                segments.push(segment);
            }
            Err(broken) => return Ok(Err(broken)),
        }
    }
    for segment in segments {
        segment.stage(batch);
    }
    let (place, change) = written(&COUNTS, &counts)?;
    batch.changes.records.insert(place, change);
    batch.changes.log = Some((batch.head.audit.first_seq, mark));
    Ok(Ok(()))
}

/// The counts of all segments.
pub(crate) fn counts(batch: &mut Batch<'_>) -> Result<Counts, VaultError> {
    let plain = batch.get(Collection::Checkpoints, &COUNTS)?;
    Ok(plain.map(|plain| Counts::from_cbor(&plain)).transpose()?.unwrap_or_default())
}

/// A record of the log's own, as a change.
pub(crate) fn written<R: Record>(
    place: &RecordId,
    record: &R,
) -> Result<((u8, RecordId), Change), VaultError> {
    Ok(((R::COLLECTION.number(), *place), Change::Put { plain: record.to_cbor()?, name: None }))
}

/// The rows of a segment to be, and what they become.
struct Segment {
    rows: Vec<Row>,
    place: RecordId,
    plain: Zeroizing<Vec<u8>>,
    /// What of the last batch lies beyond the segment, and where.
    rest: Zeroizing<Vec<u8>>,
    rest_place: RecordId,
    /// The mark behind the segment.
    mark: LogMark,
}

impl Segment {
    fn stage(self, batch: &mut Batch<'_>) {
        for row in self.rows {
            let place = (row.collection, row.id);
            batch.changes.records.insert(place, Change::Delete);
            batch.before.insert(place, Some(row));
        }
        let put = |plain| Change::Put { plain, name: None };
        batch.changes.records.insert((AUDIT, self.place), put(self.plain));
        if !self.rest.is_empty() {
            batch.changes.records.insert((AUDIT, self.rest_place), put(self.rest));
        }
    }
}

/// Reads the batches from the mark to the end of its segment, and checks that they continue the chain.
fn gather(
    batch: &Batch<'_>,
    mark: LogMark,
    carried: Zeroizing<Vec<u8>>,
    counts: &mut Counts,
) -> Result<Result<Segment, Broken>, VaultError> {
    let end = segment_end(mark.next);
    let rows = read_rows(batch, mark.next, end)?;
    let mut chain = Chain { first_seq: mark.next, next_seq: mark.next, hash: mark.hash };
    let mut plains = Vec::with_capacity(rows.len() + 1);
    if !carried.is_empty() {
        plains.push(carried);
    }
    for row in &rows {
        match open_row(batch.keys, batch.identity.vault, batch.identity.epoch, row) {
            Ok(plain) => plains.push(plain),
            Err(_) => return Ok(Err(Broken::Unreadable(AuditBatch::seq_at(&row.id)))),
        }
    }
    let (mut inside, mut beyond) = (Vec::new(), Vec::new());
    for plain in &plains {
        let Ok(entries) = RawEntries::new(plain) else { return Ok(Err(Broken::Unreadable(chain.next_seq))) };
        for entry in entries {
            let Ok(entry) = entry else { return Ok(Err(Broken::Unreadable(chain.next_seq))) };
            if entry.seq >= end {
                beyond.push(entry.bytes);
                continue;
            }
            if let Err(broken) = entry.link(&mut chain) {
                return Ok(Err(broken));
            }
            // What a later version writes and this one cannot read is kept, and not counted.
            if let Ok(read) = minicbor::decode::<Entry>(entry.bytes) {
                counts.add(&read);
            }
            inside.push(entry.bytes);
        }
    }
    if chain.next_seq != end {
        return Ok(Err(Broken::Cut { expected: end - 1, found: chain.next_seq - 1 }));
    }
    let rest = if beyond.is_empty() { Vec::new() } else { join(beyond.into_iter()) };
    let rest = Zeroizing::new(rest);
    Ok(Ok(Segment {
        place: AuditBatch::place(mark.next),
        plain: Zeroizing::new(join(inside.into_iter())),
        rest,
        rest_place: AuditBatch::place(end),
        mark: LogMark { base: mark.base, next: end, hash: chain.hash },
        rows,
    }))
}

/// The log's rows from entry `from` on that begin before entry `to`.
pub(crate) fn read_rows(batch: &Batch<'_>, from: u64, to: u64) -> Result<Vec<Row>, VaultError> {
    let mut rows = Vec::new();
    batch.raw.scan(Scan::collection(Collection::Audit).from(AuditBatch::place(from)), &mut |row| {
        if AuditBatch::seq_at(&row.id) >= to {
            return ControlFlow::Break(());
        }
        rows.push(row);
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}
