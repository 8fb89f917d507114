//! The verdict about a request of a session.

use keep_types::{JobId, Operation, Origin, Request, Timestamp};

use super::Session;
use crate::judge::{deny, prompt};
use crate::{Basis, Effect, Limits, Permit, Policy, Question, Reason, Usage, Verdict};

/// What bounds a session: its own policy and limits, those of the session that it narrows, the owner's for all agents.
#[derive(Debug)]
pub struct Scope<'a> {
    /// What may be done.
    pub policy: &'a Policy,
    /// Within which bounds.
    pub limits: &'a Limits,
    /// How often it was done. Counted when the verdict is `Allow`.
    pub usage: &'a mut Usage,
}

/// Judges a request of `session`. Every scope must allow it; if one asks, a person decides. Counts in all of them when it
/// is allowed.
pub fn judge_session(
    request: Request,
    job: JobId,
    session: &Session,
    scopes: &mut [Scope<'_>],
    basis: Basis,
    now: Timestamp,
) -> Verdict {
    let is_its_own = matches!(request.origin, Origin::Agent { session: id } if id == session.id);
    if !is_its_own || request.key != session.key {
        return deny(request, Reason::NotConnected);
    }
    let operation = request.intent.operation();
    if operation == Operation::Export {
        return deny(request, Reason::Never(operation));
    }
    if session.suspended {
        return deny(request, Reason::Suspended);
    }
    let mut because = None;
    for scope in scopes.iter() {
        match scope.policy.decide(&request.intent, &[]) {
            Some((_, Effect::Allow)) => {}
            Some((rule, Effect::Deny)) => {
                let kind = request.intent.kind();
                return deny(request, Reason::Rule { rule, operation, kind });
            }
            Some((rule, Effect::Ask)) => {
                because.get_or_insert(format!("rule {rule} of policy {} asks", scope.policy.name));
            }
            None => {
                because.get_or_insert(format!("no rule of policy {} covers it", scope.policy.name));
            }
        }
    }
    if let Some(exceeded) = scopes.iter().find_map(|scope| scope.usage.check(scope.limits, now).err()) {
        return deny(request, exceeded.into());
    }
    if let Some(because) = because.filter(|_| basis != Basis::Approved) {
        let prompt = prompt(&request, &session.name, because);
        return Verdict::Ask(Question { request, prompt });
    }
    for scope in scopes {
        scope.usage.count(now);
    }
    Verdict::Allow(Permit::new(request, job, false))
}
