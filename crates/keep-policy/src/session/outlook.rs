//! What would be said to a request, without making it.

use keep_types::{Operation, Timestamp};
use serde::{Deserialize, Serialize};

use super::Scope;
use crate::{Effect, Exceeded, Kinds, Policy};

/// What a session can expect of an operation. The request itself may still be judged otherwise: by its content, by its
/// amount, and because others use the same session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// What the policies say.
    pub effect: Effect,
    /// The limit that is reached already.
    #[serde(skip)]
    pub exceeded: Option<Exceeded>,
}

impl Outlook {
    /// What `scopes` say to `operation`; without a kind, to the most that any kind is allowed.
    pub fn of(scopes: &[Scope<'_>], operation: Operation, kind: Option<u16>, now: Timestamp) -> Self {
        let effects = scopes.iter().map(|scope| best(scope.policy, operation, kind));
        let effect = effects.fold(Effect::Allow, stricter);
        let exceeded = scopes.iter().find_map(|scope| scope.usage.check(scope.limits, now).err());
        Self { effect, exceeded }
    }
}

fn best(policy: &Policy, operation: Operation, kind: Option<u16>) -> Effect {
    if operation.hands_out() {
        return Effect::Deny;
    }
    let mut about = policy.rules.iter().filter(|rule| rule.operations.contains(&operation));
    let decided = match kind {
        None if operation == Operation::SignEvent => {
            about.map(|rule| rule.effect).min_by_key(|effect| severity(*effect))
        }
        kind => about.find(|rule| has_kind(&rule.kinds, kind)).map(|rule| rule.effect),
    };
    decided.or(policy.otherwise).unwrap_or(Effect::Ask)
}

fn has_kind(kinds: &Kinds, kind: Option<u16>) -> bool {
    match kinds {
        Kinds::Any => true,
        Kinds::Only(kinds) => kind.is_some_and(|kind| kinds.contains(&kind)),
        Kinds::Ranges(ranges) => {
            kind.is_some_and(|kind| ranges.iter().any(|(from, to)| (*from..=*to).contains(&kind)))
        }
    }
}

fn stricter(a: Effect, b: Effect) -> Effect {
    if severity(a) >= severity(b) { a } else { b }
}

const fn severity(effect: Effect) -> u8 {
    match effect {
        Effect::Allow => 0,
        Effect::Ask => 1,
        Effect::Deny => 2,
    }
}
