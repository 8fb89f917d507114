//! Asking a person.

use keep_audit::Decider;
use keep_policy::{Prompt, Remember};
use keep_types::Timestamp;
use keep_vault::{Tx, VaultError};
use tokio::sync::oneshot;

use crate::policies::Seat;

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, this once.
    Approve,
    /// No.
    Decline,
    /// Nobody could be asked.
    Unavailable,
    /// Decided, with who did so: perhaps by several persons, or for longer than this once.
    Settled(Settled),
}

/// A decision with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Yes or no.
    pub approved: bool,
    /// How many different persons said yes.
    pub persons: u8,
    /// For what else it holds, and until when.
    pub remember: Option<Remember>,
    /// Who decided: for a yes all of those persons, for a no the one who said it. For the audit log.
    pub by: Vec<Decider>,
    /// Those of them who approve beside the owner: each counts if it may still do so when the decision is recorded.
    pub seats: Vec<Seat>,
}

impl Settled {
    /// A decision of one, for this once.
    pub fn once(approved: bool, by: Decider) -> Self {
        Self { approved, persons: u8::from(approved), remember: None, by: vec![by], seats: Vec::new() }
    }

    /// The decision without those who may not decide any more what was asked at `asked`.
    pub(crate) fn standing(mut self, tx: &mut Tx<'_, '_>, asked: Timestamp) -> Result<Self, VaultError> {
        for seat in &self.seats {
            if !seat.stands(tx, asked)? {
                self.persons = self.persons.saturating_sub(1);
                self.by.retain(|by| !matches!(by, Decider::Person(name) if name == seat.name()));
            }
        }
        Ok(self)
    }
}

/// Where the decision goes. Dropping it means that nobody could be asked.
#[derive(Debug)]
#[must_use = "the request waits until this is answered or dropped"]
pub struct Reply(oneshot::Sender<Decision>);

impl Reply {
    pub(crate) fn new() -> (Self, oneshot::Receiver<Decision>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// A reply, and where its decision arrives: for approvers' own tests.
    pub fn pair() -> (Self, oneshot::Receiver<Decision>) {
        Self::new()
    }

    /// Gives the decision.
    pub fn decide(self, decision: Decision) {
        // If the request has gone meanwhile, the decision has nothing to decide.
        let _ = self.0.send(decision);
    }

    /// Whether the request has gone meanwhile.
    pub fn is_moot(&self) -> bool {
        self.0.is_closed()
    }
}

/// Somebody who can be asked: a terminal, a screen, a phone, a web page.
pub trait Approver: Send + Sync + 'static {
    /// Whether somebody can be asked at all. If not, what needs asking is refused at once.
    fn available(&self) -> bool;

    /// Asks. Must return at once; the decision comes through `reply`, and other requests go on meanwhile.
    fn ask(&self, prompt: Prompt, reply: Reply);
}

/// Nobody: never approves anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headless;

impl Approver for Headless {
    fn available(&self) -> bool {
        false
    }

    fn ask(&self, _prompt: Prompt, reply: Reply) {
        reply.decide(Decision::Unavailable);
    }
}
