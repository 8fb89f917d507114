//! The verdict.

use keep_types::{ErrorCode, Fault, JobId, Kind, Operation, Origin, PublicKey, Request, Timestamp};

use crate::{
    Effect, Exceeded, Facts, Grant, Overspend, Permit, Policy, Prompt, Source, SpendLimits, Spent, Usage,
};

/// What stands about the asker, as the store has it inside the write lock.
#[derive(Debug)]
pub enum Standing<'a> {
    /// The owner of an unlocked vault.
    Owner,
    /// The owner, who put the own command line under a policy.
    Ruled {
        /// That policy.
        policy: &'a Policy,
        /// Since when it stands: its lifetime counts from then.
        since: Timestamp,
        /// How often the owner used the key. Counted here when the verdict is `Allow`.
        usage: &'a mut Usage,
        /// The identity that is asked for.
        identity: &'a PublicKey,
    },
    /// A client that was granted something.
    Client {
        /// What it was granted.
        grant: &'a Grant,
        /// The policy of the vault that it follows, if it follows one that is still there.
        followed: Option<&'a Policy>,
        /// How often it used it. Counted here when the verdict is `Allow`.
        usage: &'a mut Usage,
        /// The relays that the bunker uses for this client.
        relays: &'a [String],
        /// The identity that is asked for.
        identity: &'a PublicKey,
    },
    /// Somebody who was granted nothing.
    Stranger,
}

/// The limits on spending that the owner set on a key. They hold for everybody who uses it.
#[derive(Debug)]
pub struct Purse<'a> {
    /// The limits.
    pub limits: &'a SpendLimits,
    /// What was spent with the key. Counted here when the verdict is `Allow`.
    pub spent: &'a mut Spent,
}

/// On what ground a request is judged this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// For the first time.
    Fresh,
    /// Again, after so many different persons approved it: limits and revocation still hold.
    Approved {
        /// How many.
        persons: u8,
    },
    /// Again, after it was allowed and counted before a restart or in an earlier copy: only revocation still holds.
    Recorded,
}

/// The answer of policy.
#[derive(Debug)]
#[must_use]
#[allow(clippy::large_enum_variant, reason = "it lives for one step, and boxing each permit would cost more")]
pub enum Verdict {
    /// Allowed: the permit for this one use.
    Allow(Permit),
    /// A person must decide.
    Ask(Question),
    /// Refused.
    Deny(Denied),
}

/// A request that waits for a person.
#[derive(Debug)]
pub struct Question {
    /// The request itself, for when it is judged again.
    pub request: Request,
    /// What the person is shown.
    pub prompt: Prompt,
}

/// A refused request.
#[derive(Debug)]
pub struct Denied {
    /// The request.
    pub request: Request,
    /// Why.
    pub reason: Reason,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The client has no grant.
    #[error("this client is not connected")]
    NotConnected,
    /// A rule denies it.
    #[error("{operation}{} is denied by {}", of_kind(*.kind), by(*.rule))]
    Rule {
        /// Which rule.
        rule: Source,
        /// What was asked.
        operation: Operation,
        /// The event's kind.
        kind: Option<Kind>,
    },
    /// A rule of the policy for the owner's own command line denies it.
    #[error("{operation}{} is denied by {}", of_kind(*.kind), by_own(*.rule))]
    OwnRule {
        /// Which rule.
        rule: Source,
        /// What was asked.
        operation: Operation,
        /// The event's kind.
        kind: Option<Kind>,
    },
    /// It is not allowed over this path whatever the rules say.
    #[error("{0} is never allowed to a client")]
    Never(Operation),
    /// A limit is reached.
    #[error("{0}")]
    Limit(#[from] Exceeded),
    /// A limit of one rule is reached.
    #[error("{limit}, by rule {rule} of the policy")]
    RuleLimit {
        /// Which rule, from 1.
        rule: usize,
        /// Which limit.
        limit: Exceeded,
    },
    /// The owner stopped it.
    #[error("the owner has suspended this client")]
    Suspended,
    /// A limit on spending is reached.
    #[error("{0}")]
    Spend(#[from] Overspend),
    /// The policy that the client follows is gone.
    #[error("the policy of this client no longer exists")]
    NoPolicy,
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        let code = match reason {
            Reason::NotConnected => ErrorCode::NotConnected,
            Reason::Limit(limit) | Reason::RuleLimit { limit, .. } if limit.is_rate() => {
                ErrorCode::RateLimited
            }
            Reason::Rule { .. }
            | Reason::OwnRule { .. }
            | Reason::Never(_)
            | Reason::Limit(_)
            | Reason::RuleLimit { .. }
            | Reason::Suspended
            | Reason::NoPolicy
            | Reason::Spend(_) => ErrorCode::RefusedByPolicy,
        };
        let fault = Self::new(code, reason.to_string());
        match reason {
            Reason::Limit(limit) | Reason::RuleLimit { limit, .. } => match limit.hint() {
                Some(hint) => fault.with_hint(hint),
                None => fault,
            },
            Reason::NotConnected
            | Reason::Rule { .. }
            | Reason::OwnRule { .. }
            | Reason::Never(_)
            | Reason::Suspended
            | Reason::NoPolicy
            | Reason::Spend(_) => fault,
        }
    }
}

/// Judges a request about a key on which the owner set no limits. Counts the use in `standing` when it is allowed afresh.
pub fn judge(request: Request, job: JobId, standing: Standing<'_>, basis: Basis, now: Timestamp) -> Verdict {
    judge_within(request, job, standing, None, basis, now)
}

/// Judges a request. Counts the use in `standing` and `purse` when it is allowed afresh.
pub fn judge_within(
    request: Request,
    job: JobId,
    standing: Standing<'_>,
    purse: Option<Purse<'_>>,
    basis: Basis,
    now: Timestamp,
) -> Verdict {
    within(request, purse, basis, now, |request, large| {
        judge_standing(request, job, standing, large, basis, now)
    })
}

/// Judges a request within the owner's limits on its key. `judge` judges everything else; it is told whether the amount is
/// one that the owner wants to be asked about.
pub(crate) fn within(
    request: Request,
    purse: Option<Purse<'_>>,
    basis: Basis,
    now: Timestamp,
    judge: impl FnOnce(Request, bool) -> Verdict,
) -> Verdict {
    let Some(purse) = purse.filter(|_| basis != Basis::Recorded) else { return judge(request, false) };
    let Some(facts) = request.intent.spend().cloned() else {
        // Where there are limits, nothing is signed that may be a transaction which nobody has seen.
        let unseen = request.intent.may_spend_unseen() && !purse.limits.is_empty();
        return if unseen { deny(request, Overspend::Unseen.into()) } else { judge(request, false) };
    };
    if let Err(overspend) = purse.limits.check(&facts, purse.spent, now) {
        return deny(request, overspend.into());
    }
    let verdict = judge(request, purse.limits.asks(&facts));
    if matches!(verdict, Verdict::Allow(_)) {
        purse.spent.count(purse.limits, &facts, now);
    }
    verdict
}

/// `large`: the amount is one that the owner wants to be asked about.
fn judge_standing(
    request: Request,
    job: JobId,
    standing: Standing<'_>,
    large: bool,
    basis: Basis,
    now: Timestamp,
) -> Verdict {
    match standing {
        Standing::Owner if request.origin == Origin::Cli => Verdict::Allow(Permit::new(request, job, false)),
        Standing::Client { grant, followed, usage, relays, identity } if is_of(grant, &request.origin) => {
            let client = Client { grant, followed, usage, relays, identity, large };
            judge_client(request, job, client, basis, now)
        }
        Standing::Ruled { policy, since, usage, identity } if request.origin == Origin::Cli => {
            judge_ruled(request, job, (policy, since, identity), usage, basis, now)
        }
        Standing::Owner | Standing::Ruled { .. } | Standing::Client { .. } | Standing::Stranger => {
            deny(request, Reason::NotConnected)
        }
    }
}

/// The owner's own use under the policy that the owner set for it. Rules, limits and approvals hold as for a client.
fn judge_ruled(
    request: Request,
    job: JobId,
    (policy, since, identity): (&Policy, Timestamp, &PublicKey),
    usage: &mut Usage,
    basis: Basis,
    now: Timestamp,
) -> Verdict {
    let (operation, kind) = (request.intent.operation(), request.intent.kind());
    let facts = Facts::of(&request.intent, identity, &[], now);
    let (decided, rules) = (policy.decide(&facts), policy.deciding(&facts));
    if decided.effect == Effect::Deny {
        return deny(request, Reason::OwnRule { rule: decided.source, operation, kind });
    }
    if let Err(exceeded) = usage.check(&policy.bounds(since).unwrap_or_default(), now) {
        return deny(request, exceeded.into());
    }
    if let Err((rule, limit)) = usage.check_rules(policy, &rules, now) {
        return deny(request, Reason::RuleLimit { rule, limit });
    }
    let approved = match basis {
        Basis::Approved { persons } => persons >= decided.approval.persons(),
        Basis::Fresh | Basis::Recorded => false,
    };
    if decided.effect == Effect::Ask && !approved {
        let prompt = Prompt::of_ruled(&request, in_policy(decided.source, policy), decided.approval);
        return Verdict::Ask(Question { request, prompt });
    }
    usage.count(now);
    usage.count_rules(policy, &rules, now);
    Verdict::Allow(Permit::new(request, job, false).releasing(decided.releases))
}

/// A client with what stands about it.
struct Client<'a> {
    grant: &'a Grant,
    followed: Option<&'a Policy>,
    usage: &'a mut Usage,
    relays: &'a [String],
    identity: &'a PublicKey,
    large: bool,
}

fn judge_client(request: Request, job: JobId, client: Client<'_>, basis: Basis, now: Timestamp) -> Verdict {
    let Client { grant, followed, usage, relays, identity, large } = client;
    let operation = request.intent.operation();
    if request.key != grant.key {
        return deny(request, Reason::NotConnected);
    }
    if operation.hands_out() {
        return deny(request, Reason::Never(operation));
    }
    if grant.suspended {
        return deny(request, Reason::Suspended);
    }
    let policy = match (grant.follows, followed) {
        (false, _) => &grant.policy,
        (true, Some(policy)) => policy,
        (true, None) => return deny(request, Reason::NoPolicy),
    };
    let facts = Facts::of(&request.intent, identity, relays, now);
    let (decided, rules) = (grant.decide(policy, &facts), policy.deciding(&facts));
    let kind = request.intent.kind();
    let refusal = Reason::Rule { rule: decided.source, operation, kind };
    if basis == Basis::Recorded {
        // Which plaintexts may leave is no matter of counting: it holds as it stands now.
        if decided.effect == Effect::Deny && operation.is_decrypting() {
            return deny(request, refusal);
        }
        return Verdict::Allow(Permit::new(request, job, true).releasing(decided.releases));
    }
    if decided.effect == Effect::Deny {
        return deny(request, refusal);
    }
    let bounds = policy.bounds(grant.connected_at).unwrap_or_default();
    if let Err(exceeded) = usage.check(&grant.limits, now).and_then(|()| usage.check(&bounds, now)) {
        return deny(request, exceeded.into());
    }
    if let Err((rule, limit)) = usage.check_rules(policy, &rules, now) {
        return deny(request, Reason::RuleLimit { rule, limit });
    }
    let facts = request.intent.spend().cloned();
    if let Some(facts) = &facts
        && let Err(overspend) = policy.spend.check(facts, &usage.spent, now)
    {
        return deny(request, overspend.into());
    }
    let large = large || facts.as_ref().is_some_and(|facts| policy.spend.asks(facts));
    let approved = match basis {
        Basis::Approved { persons } => persons >= decided.approval.persons(),
        Basis::Fresh | Basis::Recorded => false,
    };
    if !approved && (large || decided.effect == Effect::Ask) {
        let because = match decided.effect {
            Effect::Allow => "the amount is one that is always asked about".to_owned(),
            Effect::Ask | Effect::Deny => in_policy(decided.source, policy),
        };
        let prompt = Prompt::new(&request, grant, because, decided.approval);
        return Verdict::Ask(Question { request, prompt });
    }
    usage.count(now);
    usage.count_rules(policy, &rules, now);
    if let Some(facts) = &facts {
        usage.spent.count(&policy.spend, facts, now);
    }
    Verdict::Allow(Permit::new(request, job, false).releasing(decided.releases))
}

/// Whether the grant is that of the asker.
fn is_of(grant: &Grant, origin: &Origin) -> bool {
    match origin {
        Origin::Cli | Origin::Agent { .. } => false,
        Origin::Nip46 { client, endpoint } => {
            grant.client == client.to_bytes() && grant.endpoint == *endpoint
        }
    }
}

pub(crate) fn deny(request: Request, reason: Reason) -> Verdict {
    Verdict::Deny(Denied { request, reason })
}

fn of_kind(kind: Option<Kind>) -> String {
    kind.map(|kind| format!(" of kind {}", kind.as_u16())).unwrap_or_default()
}

fn by(source: Source) -> String {
    match source {
        Source::Rule(rule) => format!("rule {rule} of the client's policy"),
        Source::Remembered(_) => "an earlier decision of the owner".to_owned(),
        Source::Otherwise => "the client's policy, which has no rule for it".to_owned(),
    }
}

fn by_own(source: Source) -> String {
    match source {
        Source::Rule(rule) => format!("rule {rule} of your policy {}", Policy::CLI),
        Source::Remembered(_) | Source::Otherwise => {
            format!("your policy {}, which has no rule for it", Policy::CLI)
        }
    }
}

/// Why a policy asks.
pub(crate) fn in_policy(source: Source, policy: &Policy) -> String {
    match source {
        Source::Rule(rule) => format!("rule {rule} of policy {} asks", policy.name),
        Source::Remembered(_) => "an earlier decision asks".to_owned(),
        Source::Otherwise => format!("no rule of policy {} covers it", policy.name),
    }
}
