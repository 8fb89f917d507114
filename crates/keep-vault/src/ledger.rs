//! The vault's meaning of the write path: jobs are judged inside the lock and answered after the commit.

use std::collections::HashMap;
use std::sync::Arc;

use keep_audit::SEGMENT_LEN;
use keep_store::{Ledger, ReadTx, StoreError, WriteTx};
use keep_types::{Fault, JobId, Revision};

use crate::batch::{Batch, Changes};
use crate::bundles::Anchor;
use crate::cache::Cache;
use crate::head::Head;
use crate::header::Header;
use crate::held::RecordedBy;
use crate::log::LogView;
use crate::segments::{compact, is_due};
use crate::shield::Lifted;
use crate::tx::Undo;
use crate::vault::Shared;
use crate::verify::{Depth, verify_view};
use crate::{Committed, Tx, VaultError};

/// A job: what it does inside the lock (and whether its changes count), and whom to tell after the commit.
pub(crate) struct Job {
    pub id: JobId,
    pub run: Box<dyn FnOnce(&mut Tx<'_, '_>) -> bool + Send>,
    pub done: Box<dyn FnOnce(Result<Committed, VaultError>) + Send>,
}

/// A job that waits for the commit.
struct Waiting {
    id: JobId,
    entry: RecordedBy,
    /// Whether something that it received is kept.
    keeps: bool,
    undo: Vec<Undo>,
    done: Box<dyn FnOnce(Result<Committed, VaultError>) + Send>,
}

pub(crate) struct VaultLedger {
    shared: Arc<Shared>,
    cache: Cache,
    /// The head that was compared with the stored one last, and of which the cache is; as stored, and open.
    head: Option<(Vec<u8>, Head)>,
    /// Whether the store said to the running batch that others have changed it.
    is_foreign: bool,
    /// The head that the running batch would leave behind.
    next: Option<(Vec<u8>, Head)>,
    waiting: Vec<Waiting>,
    /// The revision after the running batch.
    revision: Revision,
    /// The log is written together again once it has this many entries.
    compact_at: u64,
    /// Whether the running batch does so.
    compacted: bool,
    /// Lifted until the running batch is durable: its jobs' secrets are used in this time.
    lifted: Option<Arc<Lifted>>,
}

impl VaultLedger {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            cache: Cache::default(),
            head: None,
            is_foreign: false,
            next: None,
            waiting: Vec::new(),
            revision: Revision::ZERO,
            compact_at: 0,
            compacted: false,
            lifted: None,
        }
    }

    /// The head as stored; opened only when somebody else has written since.
    fn current_head(&mut self, tx: &mut dyn WriteTx, shared: &Shared) -> Result<Head, VaultError> {
        // Known again only once it was compared.
        let known = self.head.take();
        self.is_foreign = tx.changed_by_others()?;
        if self.is_foreign {
            self.cache.clear();
        }
        let seen = shared.seen();
        let sealed = tx.head()?.ok_or_else(|| VaultError::Head("it is missing".into()))?;
        if let Some((known, head)) = known
            && known == sealed
            && head.revision.get() >= seen
        {
            if self.is_foreign {
                // Every commit of Keep leaves a new head, so this one was not Keep's, or was none: SQLite also says so after
                // a commit of another process that failed. A look at every row tells which.
                check_rows(tx, shared, seen)?;
            }
            self.head = Some((known, head.clone()));
            return Ok(head);
        }
        self.cache.clear();
        let header = tx.header()?.ok_or_else(|| VaultError::Header("it is missing".into()))?;
        let head = shared.open_head(&header, &sealed, seen)?;
        let log = LogView { tx, keys: &shared.keys()?, shared, head };
        self.cache.bundles.follow(&log.head, log.anchor(), |known| log.has_come_from(known));
        let head = log.head;
        self.head = Some((sealed, head.clone()));
        Ok(head)
    }

    /// The state that the running batch would leave, if it writes the end of the log.
    fn anchor(&self, next: Option<&(Vec<u8>, Head)>) -> Option<Anchor> {
        let ((_, before), (_, after)) = (self.head.as_ref()?, next?);
        let is_longer = after.audit.next_seq > before.audit.next_seq;
        is_longer.then_some(Anchor { revision: after.revision, log: after.audit })
    }

    fn run(&mut self, tx: &mut dyn WriteTx, jobs: Vec<Job>) -> Result<(), VaultError> {
        let shared = Arc::clone(&self.shared);
        self.lifted = Some(shared.shield.lift());
        let begun = self.current_head(tx, &shared).and_then(|head| Ok((head, shared.keys()?)));
        let (head, keys) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                let error = into_store_error(error);
                self.refuse(jobs, &error);
                return Err(error.into());
            }
        };
        let now = shared.time().max(head.max_time);
        self.revision = head.revision;
        let identity = shared.identity;
        let mut batch = Batch {
            raw: tx,
            keys: &keys,
            identity,
            head,
            now,
            cache: &mut self.cache,
            before: HashMap::new(),
            names_before: HashMap::new(),
            changes: Changes::default(),
        };
        for job in jobs {
            let mut view = Tx::new(&mut batch, job.id);
            let keep = (job.run)(&mut view);
            let (staged, cited, undo) = view.into_changes();
            if !keep {
                undo.into_iter().for_each(|undo| undo());
                continue;
            }
            let next_seq = batch.head.audit.next_seq + batch.changes.drafts.len() as u64;
            let entry = match cited {
                Some(earlier) => RecordedBy::Earlier(earlier),
                None if staged.drafts.is_empty() => RecordedBy::Nothing,
                None => RecordedBy::Own(next_seq),
            };
            let keeps = !staged.received.is_empty();
            batch.changes.absorb(staged);
            self.waiting.push(Waiting { id: job.id, entry, keeps, undo, done: job.done });
        }
        if let Some(error) = batch.cache.bundles.unreadable(batch.head.revision) {
            shared.alarm(error.to_string());
        }
        if batch.changes.is_empty() {
            return Ok(());
        }
        if batch.head.audit.next_seq >= self.compact_at && is_due(&batch.head) {
            // If this commit fails, or the log is damaged, the next attempt comes a segment later.
            self.compact_at = batch.head.audit.next_seq + SEGMENT_LEN;
            match compact(&mut batch)? {
                Ok(()) => self.compacted = true,
                Err(broken) => shared.alarm(format!("the audit log: {broken}")),
            }
        }
        let (head, sealed) = batch.flush()?;
        self.revision = head.revision;
        self.next = Some((sealed, head));
        Ok(())
    }
}

impl Ledger for VaultLedger {
    type Job = Job;

    fn apply(&mut self, tx: &mut dyn WriteTx, jobs: Vec<Job>) -> Result<(), StoreError> {
        self.run(tx, jobs).map_err(into_store_error)
    }

    fn refuse(&mut self, jobs: Vec<Job>, error: &StoreError) {
        for job in jobs {
            (job.done)(Err(error.clone().into()));
        }
    }

    fn settle(&mut self, outcome: Result<(), StoreError>) {
        self.lifted = None;
        let next = self.next.take();
        self.cache.bundles.settle(outcome.is_ok(), self.anchor(next.as_ref()).filter(|_| outcome.is_ok()));
        match &outcome {
            Ok(()) => {
                if std::mem::take(&mut self.compacted) {
                    self.compact_at = 0;
                }
                if next.is_some() {
                    self.head = next;
                }
                if let Some((_, head)) = &self.head {
                    self.shared.saw(head.revision, head.max_time);
                }
            }
            Err(_) => {
                // The cache may hold what was never committed. The head stays, and with it what is known of bundles: both are
                // of before, and where the commit is durable after all the stored head is another one.
                self.cache.clear();
                self.compacted = false;
                if self.is_foreign {
                    // The store says so again, and nothing tells that from what others change now.
                    self.head = None;
                }
            }
        }
        let keeping = self.waiting.iter().filter(|waiting| waiting.keeps).count();
        for waiting in self.waiting.drain(..) {
            let kept = if waiting.keeps { keeping } else { 0 };
            if outcome.is_err() {
                waiting.undo.into_iter().for_each(|undo| undo());
            }
            (waiting.done)(match &outcome {
                Ok(()) => Ok(Committed::new(waiting.id, self.revision, waiting.entry).keeping(kept)),
                Err(error) => Err(error.clone().into()),
            });
        }
    }
}

/// What gives a transaction up, in the store's words.
pub(crate) fn into_store_error(error: VaultError) -> StoreError {
    match error {
        VaultError::Store(store) => store,
        other => StoreError::Aborted(Fault::from(other)),
    }
}

impl Drop for VaultLedger {
    fn drop(&mut self) {
        self.cache.clear();
    }
}

/// Checks every row inside the lock, and refuses to go on with rows that were changed.
fn check_rows(tx: &dyn ReadTx, shared: &Shared, seen: u64) -> Result<(), VaultError> {
    let report = verify_view(tx, shared, &shared.keys()?, seen, Depth::Deciding)?;
    shared.keep_report(&report);
    if report.is_intact() { Ok(()) } else { Err(VaultError::Tampered(report.problems.join("; "))) }
}

/// The header's part in opening the head: the same vault, the same generation of the data key, the very same bytes.
pub(crate) fn check_header(shared: &Shared, header: &[u8]) -> Result<Header, VaultError> {
    let parsed = Header::from_bytes(header)?;
    if parsed.vault != shared.identity.vault {
        return Err(VaultError::Header("it belongs to another vault".into()));
    }
    if parsed.epoch != shared.identity.epoch {
        return Err(VaultError::Rekeyed);
    }
    Ok(parsed)
}
