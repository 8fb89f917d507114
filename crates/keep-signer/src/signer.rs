//! The pipeline.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keep_audit::{Action, Draft, Outcome};
use keep_policy::{Permit, Prompt, Question};
use keep_store::Scan;
use keep_types::{
    Answer, Blame, ErrorCode, Fault, Intent, KeyId, Operation, Origin, PublicKey, RecordId, Request,
    RequestId, Revision, Timestamp, event_id,
};
use keep_vault::{KeyRecord, Pending, Recording, TakeArchive, Tx, Unanswered, Vault, VaultError};

use crate::approver::{Approver, Decision, Reply, Settled};
use crate::endings::{Ending, Endings, Failure};
use crate::ruling::{Coming, Ruling, rule};
use crate::unanswered::{Answered, Waiting};
use crate::{Endpoint, RequestRow, RequestState, SignerError};

/// What makes a client's request repeatable, after a restart or in a new event.
#[derive(Clone, PartialEq, Eq)]
pub struct Repeatable {
    /// The decrypted request as received.
    pub received: Vec<u8>,
    /// A hash over client, endpoint, id, method and parameters in hexadecimal; `None` if the client gave no id.
    pub fingerprint: Option<String>,
}

impl std::fmt::Debug for Repeatable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Repeatable(…)")
    }
}

/// Whether a request comes for the first time in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// From the outside, just now.
    New,
    /// From the vault, where an earlier process left it unanswered.
    Resumed,
}

/// Why a request that was accepted is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// What is kept of it cannot be read.
    Unreadable,
    /// The endpoint that it was sent to, or its key, is in the vault no more.
    Gone,
}

impl GivenUp {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "the stored request cannot be read",
            Self::Gone => "the address or the key that it was for is gone",
        }
    }
}

/// A request that was accepted before a restart and not answered.
#[derive(Debug)]
pub struct Unfinished {
    /// Its row, with what was received.
    pub row: RequestRow,
}

/// Takes requests through the pipeline: judge, ask, record, sign, release.
pub struct Signer {
    vault: Arc<Vault>,
    approver: Arc<dyn Approver>,
    endings: Arc<Endings>,
    waiting: Mutex<Waiting>,
}

impl From<Decision> for Coming {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Approve => Self::Approved(nameless(true)),
            Decision::Decline => Self::Declined(nameless(false)),
            Decision::Settled(settled) if settled.approved => Self::Approved(settled),
            Decision::Settled(settled) => Self::Declined(settled),
            Decision::Unavailable => Self::Unanswered,
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

/// The decision of one person, of whom no more is known.
const fn nameless(approved: bool) -> Settled {
    Settled { approved, persons: 1, remember: None, by: Vec::new(), seats: Vec::new() }
}

/// How many old requests one commit forgets.
const FORGOTTEN_PER_COMMIT: usize = 4096;

impl Signer {
    /// A signer for the keys of `vault`, which asks `approver` where policy says so.
    pub fn new(vault: Arc<Vault>, approver: Arc<dyn Approver>) -> Self {
        Self { vault, approver, endings: Arc::default(), waiting: Mutex::default() }
    }

    /// The vault.
    pub const fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Takes a request through the pipeline. A client's request is known by its id, and with `repeat` also after a restart
    /// and in a new event; each call of the owner is a request of its own.
    ///
    /// # Errors
    /// [`SignerError::Refused`] with the reason; [`SignerError::InProgress`] for a copy of a request that is being decided;
    /// otherwise when the vault failed. Nothing leaves without a durable record.
    pub async fn handle(&self, request: Request, repeat: Option<Repeatable>) -> Result<Answer, SignerError> {
        self.handle_with(request, repeat, Arrival::New, || Ok(())).await
    }

    /// As [`handle`](Self::handle). `before_asking` is called when a person is about to be asked, and may say that no more
    /// can be asked now.
    ///
    /// # Errors
    /// As [`handle`](Self::handle).
    pub async fn handle_with(
        &self,
        request: Request,
        repeat: Option<Repeatable>,
        arrival: Arrival,
        before_asking: impl FnOnce() -> Result<(), Fault> + Send,
    ) -> Result<Answer, SignerError> {
        self.check_intact(&request)?;
        let coming = match arrival {
            Arrival::New => Coming::First,
            Arrival::Resumed => Coming::Again,
        };
        let id = request.id;
        let (ruling, recording) = self.judge(request, repeat, coming).decided().await?;
        match ruling {
            Ruling::Allowed(permit) => self.sign(permit, recording).await,
            Ruling::Asks(question, repeat) => {
                recording.committed().await?;
                let may_ask = before_asking().is_ok();
                // Rare, and large: apart, so that other requests need no room for it.
                Box::pin(self.ask(question, repeat, may_ask)).await
            }
            Ruling::Refused(fault) => {
                let record = recording.committed().await?;
                self.waiting().keep(id, &record);
                Err(SignerError::Refused(fault))
            }
            Ruling::InProgress => Err(SignerError::InProgress),
        }
    }

    /// As [`handle`](Self::handle) for callers without an asynchronous runtime, and for the owner, who is never asked.
    ///
    /// # Errors
    /// As [`handle`](Self::handle).
    pub fn handle_blocking(&self, request: Request) -> Result<Answer, SignerError> {
        if request.origin != Origin::Cli {
            let fault =
                Fault::new(ErrorCode::Bug, "only the owner's requests can be handled without waiting");
            return Err(SignerError::Refused(fault));
        }
        self.handle_asking(request, |_| None)
    }

    /// As [`handle`](Self::handle) for callers without an asynchronous runtime. Where policy asks, `decide` is asked, and
    /// may take its time; if it has no decision, the request ends here and leaves no trace.
    ///
    /// # Errors
    /// As [`handle`](Self::handle); [`SignerError::InProgress`] when there was no decision.
    pub fn handle_asking(
        &self,
        request: Request,
        decide: impl FnOnce(&Prompt) -> Option<Decision>,
    ) -> Result<Answer, SignerError> {
        self.check_intact(&request)?;
        let (mut ruling, mut recording) = self.judge(request, None, Coming::First).wait_decided()?;
        if let Ruling::Asks(question, repeat) = ruling {
            recording.wait()?;
            let Some(decision) = decide(&question.prompt) else { return Err(SignerError::InProgress) };
            (ruling, recording) = self.judge(question.request, repeat, decision.into()).wait_decided()?;
        }
        match ruling {
            Ruling::Allowed(permit) => self.sign_blocking(permit, recording),
            Ruling::Asks(..) | Ruling::InProgress => Err(SignerError::InProgress),
            Ruling::Refused(fault) => {
                recording.wait()?;
                Err(SignerError::Refused(fault))
            }
        }
    }

    /// Everything in the vault, for a backup: judged and recorded as any use of a secret, then given to `into`.
    ///
    /// # Errors
    /// As [`handle_blocking`](Self::handle_blocking); when the vault was tampered with.
    pub fn archive(&self, request: Request, into: &mut dyn TakeArchive) -> Result<(), SignerError> {
        self.check_intact(&request)?;
        let (ruling, recording) = self.judge(request, None, Coming::First).wait_decided()?;
        match ruling {
            Ruling::Allowed(permit) => {
                let record = recording.wait()?;
                Ok(self.vault.archive(permit, &record, into)?)
            }
            Ruling::Asks(..) | Ruling::InProgress => Err(SignerError::InProgress),
            Ruling::Refused(fault) => {
                recording.wait()?;
                Err(SignerError::Refused(fault))
            }
        }
    }

    /// As [`sign`](Self::sign), blocking.
    fn sign_blocking(&self, permit: Permit, recording: Recording) -> Result<Answer, SignerError> {
        let about = About::of(&permit);
        let outcome = if permit.record_first() {
            let record = recording.wait()?;
            self.vault.execute_recorded(permit, &record).and_then(|held| held.release(&record))
        } else {
            let held = self.vault.execute(permit);
            let record = recording.wait()?;
            held.and_then(|held| held.release(&record))
        };
        outcome.map_err(|error| {
            self.failed(about, &error);
            let endings = Arc::clone(&self.endings);
            // The failure itself is what the caller must hear of.
            let _ = self.vault.submit(move |tx| endings.write(tx)).wait();
            error.into()
        })
    }

    /// As [`handle_blocking`](Self::handle_blocking), once a person has said yes: `decide` asks one, whatever policy says, and
    /// may take its time.
    ///
    /// # Errors
    /// [`ErrorCode::RefusedByPerson`], [`ErrorCode::ApprovalUnavailable`]; else as [`handle_blocking`](Self::handle_blocking).
    pub fn handle_confirmed(
        &self,
        request: Request,
        decide: impl FnOnce(&Prompt) -> Decision,
    ) -> Result<Answer, SignerError> {
        self.check_intact(&request)?;
        let (request, prompt) = self.question(request, None)?;
        let decision = decide(&prompt);
        self.handle_owner(request, decision.into())
    }

    fn handle_owner(&self, request: Request, coming: Coming) -> Result<Answer, SignerError> {
        let (ruling, recording) = self.judge(request, None, coming).wait_decided()?;
        match ruling {
            Ruling::Allowed(permit) => self.sign_blocking(permit, recording),
            Ruling::Asks(..) | Ruling::InProgress => Err(SignerError::InProgress),
            Ruling::Refused(fault) => {
                recording.wait()?;
                Err(SignerError::Refused(fault))
            }
        }
    }

    /// A damaged vault still gives its keys up to the owner, and signs nothing: what is missing may be a refusal.
    pub(crate) fn check_intact(&self, request: &Request) -> Result<(), SignerError> {
        let report = self.vault.integrity();
        if report.is_intact() || gives_keys(request.intent.operation()) {
            return Ok(());
        }
        Err(VaultError::Tampered(report.problems.join("; ")).into())
    }

    fn judge(&self, request: Request, repeat: Option<Repeatable>, coming: Coming) -> Pending<Ruling> {
        let can_ask = self.approver.available();
        let request = with_own_id(request);
        let endings = Arc::clone(&self.endings);
        self.vault.submit(move |tx| {
            let ruling = rule(tx, request, repeat, coming, can_ask)?;
            endings.write(tx)?;
            Ok(ruling)
        })
    }

    async fn ask(
        &self,
        question: Question,
        repeat: Option<Repeatable>,
        may_ask: bool,
    ) -> Result<Answer, SignerError> {
        let (reply, decision) = Reply::new();
        if may_ask {
            self.approver.ask(question.prompt, reply);
        } else {
            drop(reply);
        }
        let coming = decision.await.unwrap_or(Decision::Unavailable).into();
        let id = question.request.id;
        let (ruling, recording) = self.judge(question.request, repeat, coming).decided().await?;
        match ruling {
            Ruling::Allowed(permit) => self.sign(permit, recording).await,
            Ruling::Refused(fault) => {
                let record = recording.committed().await?;
                self.waiting().keep(id, &record);
                Err(SignerError::Refused(fault))
            }
            Ruling::Asks(..) | Ruling::InProgress => Err(SignerError::InProgress),
        }
    }

    /// Signs while the commit runs, or after it where the record must come first; releases against the record.
    async fn sign(&self, permit: Permit, recording: Recording) -> Result<Answer, SignerError> {
        let about = About::of(&permit);
        let outcome = if permit.record_first() {
            let record = recording.committed().await?;
            self.waiting().keep(about.id, &record);
            self.vault.execute_recorded(permit, &record).and_then(|held| held.release(&record))
        } else {
            let held = self.vault.execute(permit);
            let record = recording.committed().await?;
            self.waiting().keep(about.id, &record);
            held.and_then(|held| held.release(&record))
        };
        outcome.map_err(|error| {
            self.failed(about, &error);
            error.into()
        })
    }

    /// Notes a failure that every repeat of the request would meet again. One of the disk or the machine is none: there a
    /// repeat may succeed.
    fn failed(&self, about: About, error: &VaultError) {
        let fault = Fault::from(error.clone());
        if matches!(fault.code().blame(), Blame::Storage | Blame::Bug) {
            return;
        }
        let About { id, origin, key, operation } = about;
        self.endings.add(Ending::Failed(Failure { id, origin, key, operation, fault }));
    }

    /// Says that the answer to a request has left. Written with the next commit that happens anyway, once all answers of
    /// one commit have left.
    pub fn answered(&self, id: RequestId) {
        let answered = self.waiting().end(id);
        if let Some(answered) = answered {
            self.endings.add(Ending::Answered(answered));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is still to be written about answered requests, and forgets requests whose repeats can no longer come:
    /// those asked before `forget_before`. For idle times and before the end.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn tidy(&self, forget_before: Timestamp) -> Result<(), VaultError> {
        let parts = self.waiting().part_answered();
        parts.into_iter().for_each(|part| self.endings.add(Ending::Answered(part)));
        loop {
            let more = {
                let endings = Arc::clone(&self.endings);
                let pending = self.vault.submit(move |tx| {
                    endings.write(tx)?;
                    Ok(!endings.is_empty())
                });
                let (more, recording) = pending.decided().await?;
                recording.committed().await?;
                more
            };
            if !more {
                break;
            }
        }
        self.forget(forget_before).await
    }

    async fn forget(&self, before: Timestamp) -> Result<(), VaultError> {
        while self.forget_some(before).await? {}
        Ok(())
    }

    /// Forgets some old requests; says whether there may be more.
    async fn forget_some(&self, before: Timestamp) -> Result<bool, VaultError> {
        let mut unanswered = HashSet::new();
        self.vault.scan::<Unanswered>(Scan::default(), &mut |_, kept| {
            unanswered.extend(kept.0.iter().map(|received| received.place));
            ControlFlow::Continue(())
        })?;
        let mut old = Vec::new();
        self.vault.scan::<RequestRow>(Scan::default(), &mut |place, row| {
            // A row of an older version, whose rows keep what was received themselves, waits for its answer so.
            let is_open = match row.state {
                RequestState::Asking => true,
                RequestState::Granted => !row.received.is_empty(),
                RequestState::Refused | RequestState::Done => false,
            };
            let is_old = row.asked_at.max(row.decided_at) < before;
            if is_old && !is_open && !unanswered.contains(&place) {
                old.push(place);
            }
            if old.len() >= FORGOTTEN_PER_COMMIT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let more = old.len() >= FORGOTTEN_PER_COMMIT;
        if old.is_empty() {
            return Ok(false);
        }
        let pending = self
            .vault
            .submit(move |tx| old.iter().try_for_each(|place| tx.delete::<RequestRow>(place).map(|_| ())));
        pending.decided().await?.1.committed().await?;
        Ok(more)
    }

    /// Requests that were accepted and not answered when the process ended, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, VaultError> {
        let mut received = HashMap::new();
        let mut kept = BTreeMap::<Revision, Vec<RequestId>>::new();
        self.vault.scan::<Unanswered>(Scan::default(), &mut |place, unanswered| {
            let revision = Unanswered::revision_at(&place);
            kept.insert(revision, Vec::new());
            received.extend(unanswered.0.into_iter().map(|one| (one.place, (revision, one.content))));
            ControlFlow::Continue(())
        })?;
        let mut found = Vec::new();
        self.vault.scan::<RequestRow>(Scan::default(), &mut |place, mut row| {
            if row.state == RequestState::Done {
                return ControlFlow::Continue(());
            }
            if let Some((revision, content)) = received.remove(&place) {
                kept.entry(revision).or_default().push(row.id);
                row.received = content;
            } else if !row.received.is_empty() && row.state != RequestState::Asking {
                // Of an older version, whose rows keep what was received themselves.
                self.waiting().adopt_row(row.id);
            }
            if !row.received.is_empty() || row.state == RequestState::Asking {
                found.push(Unfinished { row });
            }
            ControlFlow::Continue(())
        })?;
        for (revision, ids) in kept {
            if ids.is_empty() {
                self.endings.add(Ending::Answered(Answered::Together(revision, ids)));
            } else {
                self.waiting().adopt(revision, &ids);
            }
        }
        found.sort_by_key(|unfinished| unfinished.row.asked_at);
        Ok(found)
    }

    /// Gives up a request of an earlier process, if it is as `why` says and nobody did so before.
    ///
    /// # Errors
    /// When the store cannot be read or written; it is not given up then.
    pub async fn give_up(&self, id: RequestId, why: GivenUp) -> Result<(), VaultError> {
        let pending = self.vault.submit(move |tx| {
            let place = tx.locate::<RequestRow>(id.as_bytes());
            let Some(mut row) = tx.get::<RequestRow>(&place)? else { return Ok(true) };
            let fault = Fault::new(ErrorCode::InvalidInput, why.as_str());
            let is_done = row.refusal().is_some_and(|refusal| refusal.message() == fault.message());
            if is_done {
                return Ok(true);
            }
            if why == GivenUp::Gone && is_answerable(tx, &row)? {
                return Ok(false);
            }
            let origin = origin_of(&row);
            row.audit_seq =
                tx.audit(Draft::new(Action::SignEvent, Outcome::Abandoned, &origin).reason(fault.message()));
            row.refuse(&fault);
            row.received = Vec::new();
            tx.put(place, &row)?;
            Ok(true)
        });
        let (is_over, recording) = pending.decided().await?;
        recording.committed().await?;
        if is_over {
            self.answered(id);
        }
        Ok(())
    }
}

/// Gives an event to be signed the id of its own fields, whatever id the caller wrote beside them: here, so that it need
/// not be done inside the write lock.
fn with_own_id(mut request: Request) -> Request {
    if let Intent::SignEvent(event) = &mut request.intent {
        event.id = Some(event_id(event));
    }
    request
}

/// What a damaged vault still does: give a key up. A backup is none of it, for it would look like one of a whole vault.
fn gives_keys(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Export
            | Operation::ExportMnemonic
            | Operation::RevealSecret
            | Operation::ShareExport
            | Operation::GroupRecover
    )
}

/// Whether the endpoint that it was sent to and its key are there.
fn is_answerable(tx: &mut Tx<'_, '_>, row: &RequestRow) -> Result<bool, VaultError> {
    let Some(endpoint) = tx.get::<Endpoint>(&Endpoint::place(row.endpoint))? else { return Ok(false) };
    Ok(tx.get::<KeyRecord>(&RecordId::from_bytes(*endpoint.key.as_bytes()))?.is_some())
}

fn origin_of(row: &RequestRow) -> Origin {
    Origin::Nip46 { client: PublicKey::from_byte_array(row.client), endpoint: row.endpoint }
}

/// What a failure report needs of a permit that is gone by then.
struct About {
    id: RequestId,
    origin: Origin,
    key: KeyId,
    operation: Operation,
}

impl About {
    fn of(permit: &Permit) -> Self {
        Self {
            id: *permit.request_id(),
            origin: *permit.origin(),
            key: permit.key(),
            operation: permit.intent().operation(),
        }
    }
}
