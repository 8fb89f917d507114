//! Reading the audit log: its end, its pages, and the whole of it for a check.

use std::ops::ControlFlow;

use keep_audit::{
    Batch, Broken, Chain, ChainHash, Counts, Entry, Filter, RawEntries, RawEntry, SignedCheckpoint,
};
use keep_store::{ReadTx, Row, Scan};
use keep_types::{Collection, Record, RecordId, Revision, Timestamp};
use zeroize::Zeroizing;

use crate::bundles::Anchor;
use crate::head::{Head, SEGMENTS};
use crate::seal::open_row;
use crate::segments::COUNTS;
use crate::subkeys::Subkeys;
use crate::vault::Shared;
use crate::{Vault, VaultError};

/// Where the signed checkpoint lies that stands for removed entries.
pub(crate) const PRUNED: RecordId = RecordId::from_bytes(*b"keep log pruned ");

/// How many entries are read to see where a log has come from.
const FAR: u64 = 1 << 14;

/// What a check of the audit log found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditSummary {
    /// The number of the first entry.
    pub first: u64,
    /// How many entries the log has.
    pub entries: u64,
    /// The hash of the last one.
    pub head: [u8; 32],
    /// The time of the last one.
    pub last: Option<Timestamp>,
}

/// How large the log is, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditStats {
    /// The number of the first entry.
    pub first: u64,
    /// How many entries the log has.
    pub entries: u64,
    /// How many segments of up to 1,024 entries.
    pub segments: u64,
    /// How many rows hold what came since.
    pub batches: u64,
    /// How many entries there are of what.
    pub counts: Counts,
    /// The time of the first entry.
    pub oldest: Option<Timestamp>,
    /// The time of the last one.
    pub latest: Option<Timestamp>,
    /// What stands for entries that were removed.
    pub pruned: Option<SignedCheckpoint>,
}

/// One view of the log: one transaction, its head, the keys.
pub(crate) struct LogView<'a> {
    pub tx: &'a dyn ReadTx,
    pub keys: &'a Subkeys,
    pub shared: &'a Shared,
    pub head: Head,
}

impl LogView<'_> {
    /// The entries of a row, as stored.
    fn open(&self, row: &Row) -> Result<Zeroizing<Vec<u8>>, Broken> {
        let identity = self.shared.identity;
        open_row(self.keys, identity.vault, identity.epoch, row)
            .map_err(|_| Broken::Unreadable(Batch::seq_at(&row.id)))
    }

    fn entries(&self, row: &Row) -> Result<Vec<Entry>, Broken> {
        let plain = self.open(row)?;
        let batch = Batch::from_cbor(&plain).map_err(|_| Broken::Unreadable(Batch::seq_at(&row.id)))?;
        Ok(batch.into_entries())
    }

    /// The readable entries from `from` on (with `backwards`: up to it), until `visit` breaks. A row that does not open ends
    /// it with what is wrong.
    pub fn walk(
        &self,
        from: Option<u64>,
        backwards: bool,
        visit: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<Result<(), Broken>, VaultError> {
        let start = match from {
            None => None,
            Some(seq) if backwards => Some(seq),
            Some(seq) => Some(self.row_of(seq)?.map_or(seq, |(first, _)| first)),
        };
        let mut scan = Scan::collection(Collection::Audit);
        scan.from = start.map(Batch::place);
        scan.backwards = backwards;
        let mut outcome = Ok(());
        self.tx.scan(scan, &mut |row| {
            let mut entries = match self.entries(&row) {
                Ok(entries) => entries,
                Err(broken) => {
                    outcome = Err(broken);
                    return ControlFlow::Break(());
                }
            };
            if backwards {
                entries.reverse();
            }
            let wanted = |entry: &Entry| {
                from.is_none_or(|seq| if backwards { entry.seq <= seq } else { entry.seq >= seq })
            };
            entries.into_iter().filter(wanted).try_for_each(&mut *visit)
        })?;
        Ok(outcome)
    }

    /// The number of the first entry in the row that holds entry `seq`, and which commit wrote it last.
    fn row_of(&self, seq: u64) -> Result<Option<(u64, Revision)>, VaultError> {
        let mut found = None;
        self.tx.scan(
            Scan::collection(Collection::Audit).from(Batch::place(seq)).backwards(),
            &mut |row| {
                found = Some((Batch::seq_at(&row.id), row.revision));
                ControlFlow::Break(())
            },
        )?;
        Ok(found)
    }

    /// The number of the first entry that is later than `time`, by halving: times never go back in a log.
    pub fn first_after(&self, time: Timestamp) -> Result<u64, VaultError> {
        let (mut low, mut high) = (self.head.audit.first_seq, self.head.audit.next_seq);
        while low < high {
            let middle = low + (high - low) / 2;
            let (mut first, mut last) = (None, None);
            self.tx.scan(
                Scan::collection(Collection::Audit).from(Batch::place(middle)).backwards(),
                &mut |row| {
                    if let Ok(entries) = self.entries(&row) {
                        let later = entries.iter().find(|entry| entry.time > time).map(|entry| entry.seq);
                        first = entries.first().map(|entry| entry.seq);
                        last = Some(later.ok_or_else(|| entries.last().map_or(middle, |entry| entry.seq)));
                    }
                    ControlFlow::Break(())
                },
            )?;
            match (first, last) {
                (Some(first), Some(Ok(later))) if later > first => return Ok(later),
                (Some(first), Some(Ok(_))) => high = first.max(low),
                (Some(_), Some(Err(last))) => low = last + 1,
                _ => return Err(tampered(&Broken::Unreadable(middle))),
            }
        }
        Ok(low)
    }

    /// Links every entry to the chain, and compares its end with the head. `points` are entry numbers in rising order; gives
    /// the hash before each of them, and the time of the last entry.
    pub fn verify_chain(&self, points: &[u64]) -> Result<(Vec<ChainHash>, Option<Timestamp>), VaultError> {
        let mut chain = self.head.log_begin();
        let (mut broken, mut last, mut hashes) = (Ok(()), None, Vec::new());
        self.tx.scan(Scan::collection(Collection::Audit), &mut |row| {
            let linked = self.open(&row).and_then(|plain| link(&plain, &mut chain, points, &mut hashes));
            match linked {
                Ok(time) => last = time.or(last),
                Err(error) => broken = Err(error),
            }
            if broken.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        broken.and_then(|()| chain.compare(&self.head.audit)).map_err(|broken| tampered(&broken))?;
        Ok((hashes, last))
    }

    /// Links the entries behind the segments to the last of those, and compares the end with the head.
    pub fn verify_tail(&self) -> Result<Result<(), Broken>, VaultError> {
        let mark = self.head.log_mark();
        let mut chain = Chain { first_seq: mark.next, next_seq: mark.next, hash: mark.hash };
        let mut broken = Ok(());
        self.tx.scan(Scan::collection(Collection::Audit).from(Batch::place(mark.next)), &mut |row| {
            let linked = self.open(&row).and_then(|plain| link(&plain, &mut chain, &[], &mut Vec::new()));
            broken = linked.map(drop);
            if broken.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(broken.and_then(|()| chain.compare(&self.head.audit)))
    }

    /// Whether the log once ended so, as far as can be told with a commit of the same revision. Where that is far back, or cannot
    /// be read, it does not say so.
    pub fn has_come_from(&self, anchor: &Anchor) -> bool {
        let (now, known) = (self.head.audit, anchor.log);
        let is_there = (now.first_seq..=now.next_seq).contains(&known.next_seq);
        if !is_there || now.next_seq - known.next_seq > FAR || !self.may_be_of(anchor) {
            return false;
        }
        let mut chain = known;
        let linked = self.walk_raw(known.next_seq, &mut |entry| {
            if entry.seq < known.next_seq { Ok(()) } else { entry.link(&mut chain) }
        });
        matches!(linked, Ok(Ok(()))) && (chain.next_seq, chain.hash) == (now.next_seq, now.hash)
    }

    /// Whether the commit that ended the log so may have had the anchor's revision. A segment does not say, nor does what was
    /// left of the row behind it.
    fn may_be_of(&self, anchor: &Anchor) -> bool {
        match self.row_of(anchor.log.next_seq.saturating_sub(1)) {
            Ok(Some((first, revision))) => first <= self.head.log_mark().next || revision == anchor.revision,
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// The state of the vault, if its last commit wrote the end of the log.
    pub fn anchor(&self) -> Option<Anchor> {
        let mut last = None;
        let scan = Scan::collection(Collection::Audit).backwards();
        let scanned = self.tx.scan(scan, &mut |row| {
            last = Some((row.revision, Batch::seq_at(&row.id)));
            ControlFlow::Break(())
        });
        let (revision, first) = last.filter(|_| scanned.is_ok())?;
        // The first row behind the segments may be what was left of one that was older.
        let is_written = revision == self.head.revision && first > self.head.log_mark().next;
        is_written.then_some(Anchor { revision, log: self.head.audit })
    }

    /// Every entry of the rows from the one that holds entry `seq` on.
    fn walk_raw(
        &self,
        seq: u64,
        visit: &mut dyn FnMut(RawEntry<'_>) -> Result<(), Broken>,
    ) -> Result<Result<(), Broken>, VaultError> {
        let start = self.row_of(seq)?.map_or(seq, |(first, _)| first);
        let mut outcome = Ok(());
        self.tx.scan(Scan::collection(Collection::Audit).from(Batch::place(start)), &mut |row| {
            let unreadable = Broken::Unreadable(Batch::seq_at(&row.id));
            outcome = self.open(&row).and_then(|plain| {
                let entries = RawEntries::new(&plain).map_err(|_| unreadable.clone())?;
                entries.into_iter().try_for_each(|entry| visit(entry.map_err(|_| unreadable.clone())?))
            });
            if outcome.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(outcome)
    }

    /// The signed checkpoint that stands for removed entries, if any were; it must fit the log and be this vault's own.
    pub fn check_pruned(
        &self,
        public_key: Option<&[u8; 32]>,
    ) -> Result<Option<SignedCheckpoint>, VaultError> {
        let pruned = self.pruned()?;
        check_pruned(pruned.as_ref(), self.head.log_begin(), public_key)?;
        Ok(pruned)
    }

    fn pruned(&self) -> Result<Option<SignedCheckpoint>, VaultError> {
        self.record(&PRUNED)
    }

    fn record<R: Record>(&self, place: &RecordId) -> Result<Option<R>, VaultError> {
        let Some(row) = self.tx.get(R::COLLECTION.number(), place)? else { return Ok(None) };
        let identity = self.shared.identity;
        let plain =
            open_row(self.keys, identity.vault, identity.epoch, &row).map_err(|_| VaultError::Record {
                collection: R::COLLECTION.as_str(),
                reason: "it was changed or is damaged".into(),
            })?;
        Ok(Some(R::from_cbor(&plain)?))
    }
}

/// Whether the signed checkpoint that stands for removed entries fits a log that begins so, and is signed with `public_key`.
pub(crate) fn check_pruned(
    pruned: Option<&SignedCheckpoint>,
    begin: Chain,
    public_key: Option<&[u8; 32]>,
) -> Result<(), VaultError> {
    let says = |what: &str| Err(VaultError::Tampered(format!("the audit log: {what}")));
    match pruned {
        None if begin.next_seq == Chain::start().next_seq => Ok(()),
        None => says("the checkpoint that stands for removed entries is missing"),
        Some(signed) if (signed.checkpoint.next, signed.checkpoint.hash) != (begin.next_seq, begin.hash) => {
            says("the checkpoint that stands for removed entries is another one")
        }
        Some(signed) if signed.verify().is_err() || Some(&signed.public_key) != public_key => {
            says("the checkpoint that stands for removed entries is not signed by this vault")
        }
        Some(_) => Ok(()),
    }
}

/// Links a stored batch, noting the hashes before `points`; gives the time of its last entry.
pub(crate) fn link(
    plain: &[u8],
    chain: &mut Chain,
    points: &[u64],
    hashes: &mut Vec<ChainHash>,
) -> Result<Option<Timestamp>, Broken> {
    let mut last = None;
    for entry in RawEntries::new(plain).map_err(|_| Broken::Unreadable(chain.next_seq))? {
        let entry = entry.map_err(|_| Broken::Unreadable(chain.next_seq))?;
        if points.get(hashes.len()) == Some(&chain.next_seq) {
            hashes.push(chain.hash);
        }
        entry.link(chain)?;
        last = Some(entry.bytes);
    }
    Ok(last.and_then(|bytes| minicbor::decode::<Entry>(bytes).ok()).map(|entry| entry.time))
}

pub(crate) fn tampered(broken: &Broken) -> VaultError {
    VaultError::Tampered(format!("the audit log: {broken}"))
}

impl Vault {
    /// Runs `work` on one consistent view of the log.
    pub(crate) fn view_log<T>(
        &self,
        work: impl FnOnce(&LogView<'_>) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let keys = self.shared.keys()?;
        let seen = self.shared.seen();
        let (mut work, mut outcome) = (Some(work), None);
        self.store.read(&mut |tx| {
            let Some(work) = work.take() else { return Ok(()) };
            outcome = Some((|| {
                let header = tx.header()?.ok_or_else(|| VaultError::Header("it is missing".into()))?;
                let sealed = tx.head()?.ok_or_else(|| VaultError::Head("it is missing".into()))?;
                let head = self.shared.open_head(&header, &sealed, seen)?;
                work(&LogView { tx, keys: &keys, shared: &self.shared, head })
            })());
            Ok(())
        })?;
        outcome.unwrap_or_else(|| Err(VaultError::Head("it could not be read".into())))
    }

    /// Checks the whole audit chain against the sealed head, and what stands for removed entries.
    ///
    /// # Errors
    /// [`VaultError::Tampered`] with what is wrong with the chain; otherwise when the store cannot be read.
    pub fn verify_audit(&self) -> Result<AuditSummary, VaultError> {
        let public_key = self.audit_public_key()?;
        self.view_log(|log| {
            log.check_pruned(public_key.as_ref())?;
            let (_, last) = log.verify_chain(&[])?;
            let Chain { first_seq: first, hash: head, .. } = log.head.audit;
            Ok(AuditSummary { first, entries: log.head.audit.len(), head, last })
        })
    }

    /// The hash that the chain had before entry `seq`; `None` where that is not in the log any more, or not yet.
    ///
    /// # Errors
    /// As [`verify_audit`](Self::verify_audit).
    pub fn audit_hash_before(&self, seq: u64) -> Result<Option<ChainHash>, VaultError> {
        self.view_log(|log| {
            if seq == log.head.audit.next_seq {
                return Ok(Some(log.head.audit.hash));
            }
            Ok(log.verify_chain(&[seq])?.0.first().copied())
        })
    }

    /// The last `limit` entries of the audit log, the latest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn audit_tail(&self, limit: usize) -> Result<Vec<Entry>, VaultError> {
        self.audit_page(&Filter::default(), None, limit)
    }

    /// Up to `limit` entries that match `filter`, the latest first, from entry `before - 1` backwards. What lies after the
    /// filter's time is skipped without being read.
    ///
    /// # Errors
    /// When the store or a part of the log on the way cannot be read.
    pub fn audit_page(
        &self,
        filter: &Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Entry>, VaultError> {
        let mut page = Vec::new();
        if limit == 0 {
            return Ok(page);
        }
        self.view_log(|log| {
            let ends = [before, filter.until.map(|until| log.first_after(until)).transpose()?];
            let from = match ends.into_iter().flatten().min() {
                Some(end) if end <= log.head.audit.first_seq => return Ok(page),
                Some(end) => Some(end - 1),
                None => None,
            };
            log.walk(from, true, &mut |entry| {
                if filter.is_past(&entry) {
                    return ControlFlow::Break(());
                }
                if filter.matches(&entry) {
                    page.push(entry);
                }
                if page.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?
            .map_err(|broken| tampered(&broken))?;
            Ok(page)
        })
    }

    /// Entries from number `from` on, the oldest first, at most `limit` of them.
    ///
    /// # Errors
    /// When the store or a part of the log on the way cannot be read.
    pub fn audit_entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, VaultError> {
        let mut page = Vec::new();
        self.view_log(|log| {
            log.walk(Some(from), false, &mut |entry| {
                page.push(entry);
                if page.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?
            .map_err(|broken| tampered(&broken))
        })?;
        Ok(page)
    }

    /// How large the log is, and what it is made of. Reads its ends only.
    ///
    /// # Errors
    /// When the store or an end of the log cannot be read.
    pub fn audit_stats(&self) -> Result<AuditStats, VaultError> {
        self.view_log(|log| {
            let mut head = log.head.clone();
            let chain = head.audit;
            let mut counts: Counts = log.record(&COUNTS)?.unwrap_or_default();
            let (mut oldest, mut latest) = (None, None);
            log.walk(None, false, &mut |entry| {
                oldest = Some(entry.time);
                ControlFlow::Break(())
            })?
            .map_err(|broken| tampered(&broken))?;
            log.walk(Some(head.log_mark().next), false, &mut |entry| {
                counts.add(&entry);
                ControlFlow::Continue(())
            })?
            .map_err(|broken| tampered(&broken))?;
            log.walk(None, true, &mut |entry| {
                latest = Some(entry.time);
                ControlFlow::Break(())
            })?
            .map_err(|broken| tampered(&broken))?;
            Ok(AuditStats {
                first: chain.first_seq,
                entries: chain.len(),
                segments: head.tally(SEGMENTS).count,
                batches: head.tally(Collection::Audit.number()).count,
                counts,
                oldest,
                latest,
                pruned: log.pruned()?,
            })
        })
    }
}
