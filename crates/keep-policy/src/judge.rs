//! The verdict.

use keep_types::{
    DisplayText, ErrorCode, Fault, JobId, Kind, MessageFacts, Operation, Origin, PublicKey, Request,
    SpendFacts, Timestamp,
};

use crate::{Effect, Exceeded, Grant, Overspend, Permit, SpendLimits, Spent, Usage};

/// What stands about the asker, as the store has it inside the write lock.
#[derive(Debug)]
pub enum Standing<'a> {
    /// The owner of an unlocked vault.
    Owner,
    /// A client that was granted something.
    Client {
        /// What it was granted.
        grant: &'a Grant,
        /// How often it used it. Counted here when the verdict is `Allow`.
        usage: &'a mut Usage,
        /// The relays that the bunker uses for this client.
        relays: &'a [String],
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
    /// Again, after a person approved it: limits and revocation still hold.
    Approved,
    /// Again, after it was allowed and counted before a restart or in an earlier copy: only revocation still holds.
    Recorded,
}

/// The answer of policy.
#[derive(Debug)]
#[must_use]
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
    #[error("{operation}{} is denied by rule {rule} of the client's policy", of_kind(*.kind))]
    Rule {
        /// The rule's number, from 1.
        rule: usize,
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
    /// The owner stopped it.
    #[error("the owner has suspended this client")]
    Suspended,
    /// A limit on spending is reached.
    #[error("{0}")]
    Spend(#[from] Overspend),
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        let code = match reason {
            Reason::NotConnected => ErrorCode::NotConnected,
            Reason::Limit(Exceeded::Rate(_)) => ErrorCode::RateLimited,
            Reason::Rule { .. }
            | Reason::Never(_)
            | Reason::Limit(_)
            | Reason::Suspended
            | Reason::Spend(_) => ErrorCode::RefusedByPolicy,
        };
        Self::new(code, reason.to_string())
    }
}

/// What a person is shown before deciding. Decoded from the very bytes that would be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Who asks.
    pub origin: Origin,
    /// What the asker calls itself. Unauthenticated.
    pub claims: DisplayText,
    /// What it asks for.
    pub operation: Operation,
    /// The kind of the event.
    pub kind: Option<Kind>,
    /// The time that the event claims.
    pub created_at: Option<Timestamp>,
    /// The tags of the event.
    pub tags: Vec<Vec<DisplayText>>,
    /// The content of the event (not the plaintext of an encryption).
    pub content: DisplayText,
    /// The other side of an encryption or decryption.
    pub peer: Option<PublicKey>,
    /// What a transaction does.
    pub spend: Option<SpendFacts>,
    /// What a message in the name of a Bitcoin address says.
    pub message: Option<MessageFacts>,
    /// Why it is asked: the rule that says so, or that none covers it.
    pub because: String,
}

impl Prompt {
    /// What a person is shown who wants to confirm what a program of the owner asks for.
    pub fn of_owner(request: &Request) -> Self {
        prompt(request, "", "uses over the socket are to be confirmed".to_owned())
    }
}

/// The longest text that a person is shown of one field, in characters; the rest is cut with `…`.
const MAX_SHOWN: usize = 10_000;

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
    let repeat = basis == Basis::Recorded;
    let Some((facts, purse)) = request.intent.spend().cloned().zip(purse).filter(|_| !repeat) else {
        return judge(request, false);
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
        Standing::Client { grant, usage, relays } if is_of(grant, &request.origin) => {
            judge_client(request, job, Client { grant, usage, relays, large }, basis, now)
        }
        Standing::Owner | Standing::Client { .. } | Standing::Stranger => deny(request, Reason::NotConnected),
    }
}

/// A client with what stands about it.
struct Client<'a> {
    grant: &'a Grant,
    usage: &'a mut Usage,
    relays: &'a [String],
    large: bool,
}

fn judge_client(request: Request, job: JobId, client: Client<'_>, basis: Basis, now: Timestamp) -> Verdict {
    let Client { grant, usage, relays, large } = client;
    let operation = request.intent.operation();
    if request.key != grant.key {
        return deny(request, Reason::NotConnected);
    }
    if operation.hands_out() {
        return deny(request, Reason::Never(operation));
    }
    if basis == Basis::Recorded {
        return Verdict::Allow(Permit::new(request, job, true));
    }
    let decided = grant.policy.decide(&request.intent, relays);
    if let Some((rule, Effect::Deny)) = decided {
        let kind = request.intent.kind();
        return deny(request, Reason::Rule { rule, operation, kind });
    }
    if let Err(exceeded) = usage.check(&grant.limits, now) {
        return deny(request, exceeded.into());
    }
    let limits = &grant.policy.spend;
    let facts = request.intent.spend().cloned();
    if let Some(facts) = &facts
        && let Err(overspend) = limits.check(facts, &usage.spent, now)
    {
        return deny(request, overspend.into());
    }
    let large = large || facts.as_ref().is_some_and(|facts| limits.asks(facts));
    let allowed = basis == Basis::Approved || (!large && matches!(decided, Some((_, Effect::Allow))));
    if !allowed {
        let because = match decided {
            Some((_, Effect::Allow)) => "the amount is one that is always asked about".to_owned(),
            Some((rule, _)) => format!("rule {rule} of policy {} asks", grant.policy.name),
            None => format!("no rule of policy {} covers it", grant.policy.name),
        };
        let prompt = prompt(&request, grant.claims.as_deref().unwrap_or_default(), because);
        return Verdict::Ask(Question { request, prompt });
    }
    usage.count(now);
    if let Some(facts) = &facts {
        usage.spent.count(limits, facts, now);
    }
    Verdict::Allow(Permit::new(request, job, false))
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

pub(crate) fn prompt(request: &Request, claims: &str, because: String) -> Prompt {
    let event = request.intent.event();
    let text = |tag: &keep_types::Tag| {
        tag.as_slice().iter().map(|part| DisplayText::truncated(part, MAX_SHOWN)).collect()
    };
    Prompt {
        origin: request.origin,
        claims: claims.into(),
        operation: request.intent.operation(),
        kind: request.intent.kind(),
        created_at: event.map(|e| Timestamp::from_secs(e.created_at.as_secs())),
        tags: event.map(|e| e.tags.iter().map(text).collect()).unwrap_or_default(),
        content: DisplayText::truncated(event.map(|e| e.content.as_str()).unwrap_or_default(), MAX_SHOWN),
        peer: request.intent.peer().copied(),
        spend: request.intent.spend().cloned(),
        message: request.intent.message().cloned(),
        because,
    }
}

fn of_kind(kind: Option<Kind>) -> String {
    kind.map(|kind| format!(" of kind {}", kind.as_u16())).unwrap_or_default()
}
