//! The verdict about a request of a session.

use keep_types::{JobId, Origin, PublicKey, Request, Timestamp};

use super::Session;
use crate::judge::{deny, in_policy, within};
use crate::{
    Approval, Basis, Effect, Facts, Limits, Permit, PlaintextClasses, Policy, Prompt, Purse, Question,
    Reason, Usage, Verdict,
};

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

/// Who asks: a session, and the identity that it uses.
#[derive(Debug, Clone, Copy)]
pub struct Acting<'a> {
    /// The session.
    pub session: &'a Session,
    /// The identity of its key: whom `self` means in a rule.
    pub identity: &'a PublicKey,
}

/// Judges a request of a session. Every scope must allow it; if one asks, a person decides. Counts in all of them when it
/// is allowed.
pub fn judge_session(
    request: Request,
    job: JobId,
    acting: Acting<'_>,
    scopes: &mut [Scope<'_>],
    basis: Basis,
    now: Timestamp,
) -> Verdict {
    judge_session_within(request, job, acting, scopes, None, basis, now)
}

/// As [`judge_session`], within the limits that the owner set on the key.
pub fn judge_session_within(
    request: Request,
    job: JobId,
    acting: Acting<'_>,
    scopes: &mut [Scope<'_>],
    purse: Option<Purse<'_>>,
    basis: Basis,
    now: Timestamp,
) -> Verdict {
    // What the scopes do not cover hears nothing of what the owner spent.
    let decided = match decide(&request, acting, scopes, now) {
        Ok(decided) => decided,
        Err(reason) => return deny(request, reason),
    };
    within(request, purse, basis, now, |request, large| {
        let asked = if large { decided.asking(LARGE) } else { decided };
        judge_scopes(request, job, acting, scopes, asked, basis, now)
    })
}

/// Why a person is asked, where an amount is the reason.
const LARGE: &str = "the amount is one that is always asked about";

/// What the policies of all scopes say together, none of which denies it.
struct Decided {
    /// Why a person is asked, if one is.
    because: Option<String>,
    approval: Approval,
    releases: PlaintextClasses,
}

impl Decided {
    fn asking(mut self, because: &str) -> Self {
        self.because.get_or_insert_with(|| because.to_owned());
        self
    }
}

fn decide(
    request: &Request,
    Acting { session, identity }: Acting<'_>,
    scopes: &[Scope<'_>],
    now: Timestamp,
) -> Result<Decided, Reason> {
    let is_its_own = matches!(request.origin, Origin::Agent { session: id } if id == session.id);
    if !is_its_own || request.key != session.key {
        return Err(Reason::NotConnected);
    }
    let operation = request.intent.operation();
    if operation.hands_out() {
        return Err(Reason::Never(operation));
    }
    if session.suspended {
        return Err(Reason::Suspended);
    }
    let facts = Facts::of(&request.intent, identity, &[], now);
    let (mut because, mut approval, mut releases) = (None, Approval::Owner, PlaintextClasses::ALL);
    for scope in scopes {
        let decided = scope.policy.decide(&facts);
        releases = releases.and(decided.releases);
        match decided.effect {
            Effect::Allow => {}
            Effect::Deny => {
                let kind = request.intent.kind();
                return Err(Reason::Rule { rule: decided.source, operation, kind });
            }
            Effect::Ask => {
                approval = approval.max(decided.approval);
                because.get_or_insert(in_policy(decided.source, scope.policy));
            }
        }
    }
    Ok(Decided { because, approval, releases })
}

fn judge_scopes(
    request: Request,
    job: JobId,
    Acting { session, identity }: Acting<'_>,
    scopes: &mut [Scope<'_>],
    decided: Decided,
    basis: Basis,
    now: Timestamp,
) -> Verdict {
    let exceeded = |scope: &Scope<'_>| {
        let bounds = scope.policy.bounds(session.created_at).unwrap_or_default();
        scope.usage.check(scope.limits, now).and_then(|()| scope.usage.check(&bounds, now)).err()
    };
    if let Some(exceeded) = scopes.iter().find_map(exceeded) {
        return deny(request, exceeded.into());
    }
    let deciding = |policy: &Policy| policy.deciding(&Facts::of(&request.intent, identity, &[], now));
    let rules: Vec<Vec<usize>> = scopes.iter().map(|scope| deciding(scope.policy)).collect();
    let reached = scopes.iter().zip(&rules);
    let reached = reached.map(|(scope, rules)| scope.usage.check_rules(scope.policy, rules, now));
    if let Some((rule, limit)) = reached.filter_map(Result::err).next() {
        return deny(request, Reason::RuleLimit { rule, limit });
    }
    let spends = request.intent.spend().cloned();
    if let Some(spends) = &spends {
        let check = |scope: &Scope<'_>| scope.policy.spend.check(spends, &scope.usage.spent, now).err();
        if let Some(overspend) = scopes.iter().find_map(check) {
            return deny(request, overspend.into());
        }
    }
    let asks = |spends| scopes.iter().any(|scope| scope.policy.spend.asks(spends));
    let decided = if spends.as_ref().is_some_and(asks) { decided.asking(LARGE) } else { decided };
    let Decided { because, approval, releases } = decided;
    let approved = match basis {
        Basis::Approved { persons } => persons >= approval.persons(),
        Basis::Fresh | Basis::Recorded => false,
    };
    if let Some(because) = because.filter(|_| !approved) {
        let prompt = Prompt::of_session(&request, &session.name, because, approval);
        return Verdict::Ask(Question { request, prompt });
    }
    for (scope, rules) in scopes.iter_mut().zip(&rules) {
        scope.usage.count(now);
        scope.usage.count_rules(scope.policy, rules, now);
        if let Some(spends) = &spends {
            scope.usage.spent.count(&scope.policy.spend, spends, now);
        }
    }
    Verdict::Allow(Permit::new(request, job, false).releasing(releases))
}
