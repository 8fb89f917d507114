//! The pipeline.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use keep_audit::{Action, Draft, Outcome};
use keep_policy::{Permit, Question};
use keep_store::Scan;
use keep_types::{Answer, ErrorCode, Fault, Operation, Origin, PublicKey, Request, RequestId, Timestamp};
use keep_vault::{Pending, Recording, Tx, Vault, VaultError};

use crate::approver::{Approver, Decision, Reply};
use crate::ruling::{Coming, Ruling, rule};
use crate::{RequestRow, RequestState, SignerError};

/// What makes a client's request repeatable, after a restart or in a new event.
#[derive(Clone, PartialEq, Eq)]
pub struct Repeatable {
    /// The decrypted request as received.
    pub received: Vec<u8>,
    /// A hash over client, id, method and parameters in hexadecimal; `None` if the client gave no id.
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

/// A request that was accepted before a restart and not answered.
#[derive(Debug)]
pub struct Unfinished {
    /// Its row, with what was received.
    pub row: RequestRow,
}

/// An answer that has left, or an allowed request that failed: written with the next commit that happens anyway.
#[derive(Debug)]
struct Ending {
    id: RequestId,
    failed: Option<(Origin, Operation, String)>,
}

/// Takes requests through the pipeline: judge, ask, record, sign, release.
pub struct Signer {
    vault: Arc<Vault>,
    approver: Arc<dyn Approver>,
    endings: Arc<Mutex<Vec<Ending>>>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

/// How many endings one commit carries along.
const ENDINGS_PER_COMMIT: usize = 256;

impl Signer {
    /// A signer for the keys of `vault`, which asks `approver` where policy says so.
    pub fn new(vault: Arc<Vault>, approver: Arc<dyn Approver>) -> Self {
        Self { vault, approver, endings: Arc::default() }
    }

    /// The vault.
    pub const fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Takes a request through the pipeline. `repeat` makes it repeatable; without it, each call is a request of its own.
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
        let (ruling, recording) = self.judge(request, repeat, coming).decided().await?;
        match ruling {
            Ruling::Allowed(permit) => self.sign(permit, recording).await,
            Ruling::Asks(question, repeat) => {
                recording.committed().await?;
                let may_ask = before_asking().is_ok();
                self.ask(question, repeat, may_ask).await
            }
            Ruling::Refused(fault) => {
                recording.committed().await?;
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
        self.check_intact(&request)?;
        let (ruling, recording) = self.judge(request, None, Coming::First).wait_decided()?;
        match ruling {
            Ruling::Allowed(permit) if permit.record_first() => {
                let record = recording.wait()?;
                Ok(self.vault.execute_recorded(permit, &record)?.release(&record)?)
            }
            Ruling::Allowed(permit) => {
                let held = self.vault.execute(permit);
                let record = recording.wait()?;
                Ok(held?.release(&record)?)
            }
            Ruling::Asks(..) | Ruling::InProgress => Err(SignerError::InProgress),
            Ruling::Refused(fault) => {
                recording.wait()?;
                Err(SignerError::Refused(fault))
            }
        }
    }

    /// A damaged vault still gives its keys up to the owner, and signs nothing: what is missing may be a refusal.
    fn check_intact(&self, request: &Request) -> Result<(), SignerError> {
        let report = self.vault.integrity();
        if report.is_intact() || request.intent.operation() == Operation::Export {
            return Ok(());
        }
        Err(VaultError::Tampered(report.problems.join("; ")).into())
    }

    fn judge(&self, request: Request, repeat: Option<Repeatable>, coming: Coming) -> Pending<Ruling> {
        let can_ask = self.approver.available();
        let endings = Arc::clone(&self.endings);
        self.vault.submit(move |tx| {
            let ruling = rule(tx, request, repeat, coming, can_ask)?;
            write_endings(tx, &endings)?;
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
        let coming = match decision.await.unwrap_or(Decision::Unavailable) {
            Decision::Approve => Coming::Approved,
            Decision::Decline => Coming::Declined,
            Decision::Unavailable => Coming::Unanswered,
        };
        let (ruling, recording) = self.judge(question.request, repeat, coming).decided().await?;
        match ruling {
            Ruling::Allowed(permit) => self.sign(permit, recording).await,
            Ruling::Refused(fault) => {
                recording.committed().await?;
                Err(SignerError::Refused(fault))
            }
            Ruling::Asks(..) | Ruling::InProgress => Err(SignerError::InProgress),
        }
    }

    /// Signs while the commit runs, or after it where the record must come first; releases against the record.
    async fn sign(&self, permit: Permit, recording: Recording) -> Result<Answer, SignerError> {
        let (id, origin, operation) = (*permit.request_id(), *permit.origin(), permit.intent().operation());
        let outcome = if permit.record_first() {
            let record = recording.committed().await?;
            self.vault.execute_recorded(permit, &record).and_then(|held| held.release(&record))
        } else {
            let held = self.vault.execute(permit);
            let record = recording.committed().await?;
            held.and_then(|held| held.release(&record))
        };
        outcome.map_err(|error| {
            self.end(Ending { id, failed: Some((origin, operation, error.to_string())) });
            error.into()
        })
    }

    /// Says that the answer to a request has left. Written with the next commit that happens anyway.
    pub fn answered(&self, id: RequestId) {
        self.end(Ending { id, failed: None });
    }

    fn end(&self, ending: Ending) {
        self.endings.lock().unwrap_or_else(PoisonError::into_inner).push(ending);
    }

    /// Writes what is still to be written about answered requests, and forgets requests whose repeats can no longer come:
    /// those asked before `forget_before`. For idle times and before the end.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn tidy(&self, forget_before: Timestamp) -> Result<(), VaultError> {
        loop {
            let more = {
                let endings = Arc::clone(&self.endings);
                let pending = self.vault.submit(move |tx| {
                    write_endings(tx, &endings)?;
                    Ok(!endings.lock().unwrap_or_else(PoisonError::into_inner).is_empty())
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
        let mut old = Vec::new();
        self.vault.scan::<RequestRow>(Scan::default(), &mut |place, row| {
            if matches!(row.state, RequestState::Done | RequestState::Refused) && row.asked_at < before {
                old.push(place);
            }
            if old.len() >= ENDINGS_PER_COMMIT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if old.is_empty() {
            return Ok(());
        }
        let pending = self
            .vault
            .submit(move |tx| old.iter().try_for_each(|place| tx.delete::<RequestRow>(place).map(|_| ())));
        pending.decided().await?.1.committed().await?;
        Ok(())
    }

    /// Requests that were accepted and not answered when the process ended, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, VaultError> {
        let mut found = Vec::new();
        self.vault.scan::<RequestRow>(Scan::default(), &mut |_, row| {
            // A refusal whose answer has left has given up what was received.
            let open = match row.state {
                RequestState::Asking | RequestState::Granted => true,
                RequestState::Refused => !row.received.is_empty(),
                RequestState::Done => false,
            };
            if open {
                found.push(Unfinished { row });
            }
            ControlFlow::Continue(())
        })?;
        found.sort_by_key(|unfinished| unfinished.row.asked_at);
        Ok(found)
    }

    /// Gives up a request of an earlier process that can no longer be read or answered.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn abandon(&self, id: RequestId, why: &str) -> Result<(), VaultError> {
        let why = why.to_owned();
        let pending = self.vault.submit(move |tx| {
            let place = tx.locate::<RequestRow>(id.as_bytes());
            let Some(mut row) = tx.get::<RequestRow>(&place)? else { return Ok(()) };
            let fault = Fault::new(ErrorCode::InvalidInput, why);
            let origin = origin_of(&row);
            row.audit_seq =
                tx.audit(Draft::new(Action::SignEvent, Outcome::Abandoned, &origin).reason(fault.message()));
            row.refuse(&fault);
            row.received = Vec::new();
            tx.put(place, &row)
        });
        pending.decided().await?.1.committed().await?;
        Ok(())
    }
}

fn origin_of(row: &RequestRow) -> Origin {
    Origin::Nip46 { client: PublicKey::from_byte_array(row.client), endpoint: row.endpoint }
}

/// Marks answered requests, and logs those that were allowed and failed.
fn write_endings(tx: &mut Tx<'_, '_>, endings: &Mutex<Vec<Ending>>) -> Result<(), VaultError> {
    let batch: Vec<Ending> = {
        let mut endings = endings.lock().unwrap_or_else(PoisonError::into_inner);
        let count = endings.len().min(ENDINGS_PER_COMMIT);
        endings.drain(..count).collect()
    };
    for ending in batch {
        let place = tx.locate::<RequestRow>(ending.id.as_bytes());
        let row = tx.get::<RequestRow>(&place)?;
        if let Some((origin, operation, why)) = ending.failed {
            tx.audit(Draft::new(crate::ruling::action(operation), Outcome::Failed, &origin).reason(why));
        }
        if let Some(mut row) =
            row.filter(|row| !row.received.is_empty() || row.state == RequestState::Granted)
        {
            if row.state == RequestState::Granted {
                row.state = RequestState::Done;
            }
            row.received = Vec::new();
            tx.put(place, &row)?;
        }
    }
    Ok(())
}
