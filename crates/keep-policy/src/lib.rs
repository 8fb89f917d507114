//! Policy: a [`Request`] in, a [`Verdict`] out.
//!
//! [`judge`] is a pure function of the request, what stands about its asker ([`Standing`]), and the time. It is the
//! only maker of a [`Permit`], and a `Permit` is the only thing for which the vault uses a secret.
//!
//! Rules are tried in order and the first that matches decides. What no rule matches is asked of a person, and
//! refused where nobody can be asked.
//!
//! [`Request`]: keep_types::Request
#![forbid(unsafe_code)]

mod grant;
mod judge;
mod permit;
mod policy;
mod rule;
mod session;
mod spend;
mod usage;

pub use grant::{Grant, Limits};
pub use judge::{Basis, Denied, Prompt, Purse, Question, Reason, Standing, Verdict, judge, judge_within};
pub use permit::Permit;
pub use policy::{Builtin, Policy, PolicyError};
pub use rule::{Effect, Kinds, Rule};
pub use session::{Asks, Outlook, Scope, Session, judge_session, judge_session_within, remaining};
pub use spend::{Budget, Overspend, SpendLimits, Spent};
pub use usage::{Exceeded, Usage};
