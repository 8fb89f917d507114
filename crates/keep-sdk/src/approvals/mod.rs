//! Requests that wait for a person, of every origin.

mod calls;
mod queue;
mod view;

use keep_audit::Surface;
use keep_policy::Breadth;
use keep_types::{Fault, SecretText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use queue::{Approvals, Attendance};
pub use view::{PendingView, VoteView};

pub(crate) use calls::{Decide, MAX_SHOWN, Pending, ShowPending, Vote};

use crate::Keep;

/// For how long, and for what else, a decision holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lasting {
    /// For requests of the same kind, or for everything of this client.
    #[schemars(with = "String")]
    pub breadth: Breadth,
    /// For how many seconds; without a number, for always.
    pub seconds: Option<u64>,
}

/// Looks at what waits for a person, and decides it: here or in the process that serves.
#[derive(Debug, Clone)]
pub struct Inbox {
    keep: Keep,
}

impl Inbox {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// What waits, the oldest first. Long texts are cut, and each says how much of it is not shown.
    ///
    /// # Errors
    /// When the process that holds the vault does not answer.
    pub fn pending(&self) -> Result<Vec<PendingView>, Fault> {
        self.pending_within(MAX_SHOWN)
    }

    /// As [`pending`](Self::pending), with at most `most` characters of each text.
    ///
    /// # Errors
    /// As [`pending`](Self::pending).
    pub fn pending_within(&self, most: usize) -> Result<Vec<PendingView>, Fault> {
        self.keep.call(Pending { most })
    }

    /// All that the request asks whose id begins with `id`: nothing is cut.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound) when no request, or more than one, is meant.
    pub fn show(&self, id: &str) -> Result<PendingView, Fault> {
        self.keep.call(ShowPending { id: id.to_owned() })
    }

    /// The owner's decision, made with a command, about the request whose id begins with `id`.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound) when no request, or more than one, is meant.
    pub fn decide(&self, id: &str, approve: bool, lasting: Option<Lasting>) -> Result<VoteView, Fault> {
        self.decide_at(Surface::Command, id, approve, lasting)
    }

    /// As [`decide`](Self::decide), where `surface` says: for the audit log.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub fn decide_at(
        &self,
        surface: Surface,
        id: &str,
        approve: bool,
        lasting: Option<Lasting>,
    ) -> Result<VoteView, Fault> {
        self.keep.call(Decide { id: id.to_owned(), approve, lasting, surface })
    }

    /// The decision of another person, who shows a code.
    ///
    /// # Errors
    /// As [`decide`](Self::decide); when the code is not this person's.
    pub fn vote(&self, id: &str, approve: bool, person: &str, code: SecretText) -> Result<VoteView, Fault> {
        self.keep.call(Vote { id: id.to_owned(), approve, person: person.to_owned(), code })
    }
}
