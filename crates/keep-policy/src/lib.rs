//! Policy: a [`Request`] in, a [`Verdict`] out.
//!
//! [`judge`] is a pure function of the request, what stands about its asker ([`Standing`]), and the time. It is the
//! only maker of a [`Permit`], and a `Permit` is the only thing for which the vault uses a secret.
//!
//! Rules are tried in order and the first that matches decides. What no rule matches is asked of a person (unless the
//! policy says otherwise), and refused where nobody can be asked. What a person decides for longer than once is
//! remembered as a rule of the client; what a policy denies stays denied.
//!
//! [`PolicyDocument`] is the form in which people write policies (TOML), [`explain`] says which rule decides and why the
//! others do not.
//!
//! [`Request`]: keep_types::Request
#![forbid(unsafe_code)]

mod builtin;
mod condition;
mod cosigner;
mod document;
mod duration;
mod explain;
mod facts;
mod grant;
mod judge;
mod kind_name;
mod limits;
mod permit;
mod policy;
mod prompt;
mod remember;
mod rule;
mod rule_usage;
mod session;
mod spend;

pub use session::{Acting, Asks, Outlook, Scope, Session, judge_session, judge_session_within, remaining};
pub use spend::{Budget, Overspend, SpendLimits, Spent};
mod schedule;
mod usage;
mod wording;

pub use builtin::{Builtin, PolicyError};
pub use condition::{ContentRule, Peers, PlaintextClass, PlaintextClasses, TagRules, TagValues};
pub use cosigner::{CosignerGrant, Proposed, Ungranted};
pub use document::{DocumentError, LimitsDocument, PolicyDocument, RuleDocument};
pub use duration::{DurationError, parse_duration, write_duration};
pub use explain::{Explanation, RuleFit, explain, unreachable_rules};
pub use facts::{Facts, Fit};
pub use grant::Grant;
pub use judge::{Basis, Denied, Purse, Question, Reason, Standing, Verdict, judge, judge_within};
pub use kind_name::kind_name;
pub use limits::{Exceeded, Limits};
pub use permit::Permit;
pub use policy::{Decided, Policy, Source};
pub use prompt::Prompt;
pub use remember::{Breadth, Remember};
pub use rule::{Approval, Effect, Kinds, Rule};
pub use rule_usage::{RuleLeft, RuleLimits, RuleUsage};
pub use schedule::{Days, Hours, Schedule, ScheduleError, Zone};
pub use usage::Usage;
pub use wording::{cut, meaning, named, short};
