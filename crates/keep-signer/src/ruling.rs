//! What happens to a request inside the write lock.

use std::sync::Arc;

use keep_audit::{Decider, Outcome};
use keep_policy::{
    Basis, Denied, Effect, Grant, Permit, Prompt, Question, Rule, Standing, Usage, Verdict, judge,
    judge_within,
};
use keep_types::{
    EndpointId, ErrorCode, Fault, GroupUse, Intent, KeyId, Origin, PublicKey, RecordId, Request, RequestId,
    Timestamp,
};
use keep_vault::{GroupRecord, KeyRecord, SecretItem, Tx, VaultError, burn};

use crate::approver::Settled;
use crate::cosigner::Cosigner;
use crate::counters;
use crate::entry::draft;
use crate::policies::{PolicyRow, followed};
use crate::purse::Purse;
use crate::ruled::Ruled;
use crate::{Endpoint, Repeatable, RequestRow, RequestState};

/// What the write lock decided about a request.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it lives for one step, and boxing each permit would cost more")]
pub(crate) enum Ruling {
    /// Allowed, counted and recorded with this commit (or with an earlier one).
    Allowed(Permit),
    /// A person must decide; the request waits in its row.
    Asks(Question, Option<Repeatable>),
    /// Refused, and recorded as far as refusals of its asker are.
    Refused(Fault),
    /// An earlier copy waits for a person.
    InProgress,
}

/// A refused request is kept for answering after a crash up to this length, in bytes.
const MAX_REFUSED: usize = 4096;

/// On what ground the request comes this time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Coming {
    /// New, or repeated.
    First,
    /// Waiting since before a restart.
    Again,
    /// Persons approved it, perhaps for longer.
    Approved(Settled),
    /// A person declined it, perhaps for longer.
    Declined(Settled),
    /// Nobody could be asked.
    Unanswered,
}

impl Coming {
    /// Who decided, as far as it is known.
    pub(crate) fn by(&self) -> &[Decider] {
        match self {
            Self::Approved(settled) | Self::Declined(settled) => &settled.by,
            Self::First | Self::Again | Self::Unanswered => &[],
        }
    }

    /// The same, as far as it still holds: of those who approved what was asked at `asked`, whoever may not do so any more
    /// does not count.
    pub(crate) fn standing(self, tx: &mut Tx<'_, '_>, asked: Timestamp) -> Result<Self, VaultError> {
        match self {
            Self::Approved(settled) => Ok(Self::Approved(settled.standing(tx, asked)?)),
            Self::First | Self::Again | Self::Declined(_) | Self::Unanswered => Ok(self),
        }
    }

    /// On what ground a request of the owner is judged, and what the log says when it is allowed; or why it is not, and what
    /// the log says then.
    pub(crate) fn of_owner(&self) -> Result<(Basis, Outcome), (Outcome, Fault)> {
        match self {
            Self::First | Self::Again => Ok((Basis::Fresh, Outcome::Allowed)),
            Self::Approved(settled) if settled.persons == 0 => {
                let message = "whoever approved it may not approve any more";
                Err((Outcome::Unanswered, Fault::new(ErrorCode::ApprovalUnavailable, message)))
            }
            Self::Approved(settled) => Ok((Basis::Approved { persons: settled.persons }, Outcome::Approved)),
            Self::Declined(_) => {
                Err((Outcome::Declined, Fault::new(ErrorCode::RefusedByPerson, "it was declined")))
            }
            Self::Unanswered => {
                let message = "it is to be confirmed, and nobody could be asked";
                Err((Outcome::Unanswered, Fault::new(ErrorCode::ApprovalUnavailable, message)))
            }
        }
    }
}

/// A client's request with everything that stands about it in the vault.
struct Case {
    request: Request,
    repeat: Option<Repeatable>,
    client: PublicKey,
    endpoint: Arc<Endpoint>,
    grant: Arc<Grant>,
    /// The policy that the grant follows, if it follows one.
    followed: Option<Arc<PolicyRow>>,
    identity: PublicKey,
    usage_at: RecordId,
    row_at: RecordId,
    row: Option<RequestRow>,
}

/// Judges `request` and stages everything that the decision brings: counters, audit entry, request row.
pub(crate) fn rule(
    tx: &mut Tx<'_, '_>,
    request: Request,
    repeat: Option<Repeatable>,
    coming: Coming,
    can_ask: bool,
) -> Result<Ruling, VaultError> {
    // A key that another process deleted must not sign from this one's memory.
    if !is_there(tx, &request)? {
        return Err(VaultError::NoSuchKey);
    }
    // A group is the owner's alone: no grant and no session reaches it.
    if request.origin != Origin::Cli && matches!(request.intent, Intent::Group(_)) {
        return Ok(Ruling::Refused(keep_policy::Reason::NotConnected.into()));
    }
    match request.origin {
        Origin::Cli => rule_owner(tx, request, coming),
        Origin::Agent { session } => crate::session_ruling::rule_session(tx, request, session, coming),
        Origin::Nip46 { client, endpoint } => {
            let Some(case) = open_case(tx, request, repeat, client, endpoint)? else {
                return Ok(Ruling::Refused(keep_policy::Reason::NotConnected.into()));
            };
            rule_client(tx, case, coming, can_ask)
        }
    }
}

/// Whether what is to be used is in the vault.
fn is_there(tx: &mut Tx<'_, '_>, request: &Request) -> Result<bool, VaultError> {
    let place = RecordId::from_bytes(*request.key.as_bytes());
    match request.intent {
        Intent::RevealSecret => Ok(tx.get::<SecretItem>(&place)?.is_some()),
        Intent::Backup => Ok(true),
        Intent::Group(ref usage) if !matches!(**usage, GroupUse::Split { .. }) => {
            Ok(tx.get::<GroupRecord>(&GroupRecord::place(request.key))?.is_some())
        }
        Intent::GetPublicKey
        | Intent::SignEvent(_)
        | Intent::Encrypt { .. }
        | Intent::Decrypt { .. }
        | Intent::Nip44V3(_)
        | Intent::Export
        | Intent::ExportMnemonic
        | Intent::BitcoinAccount { .. }
        | Intent::SignPsbt(_)
        | Intent::SignMessage(_)
        | Intent::Group(_) => Ok(tx.get_shared::<KeyRecord>(&place)?.is_some()),
    }
}

/// The nonces of a threshold signature, which are burnt in the commit that permits it.
struct Nonces {
    group: KeyId,
    nonces: Vec<[u8; 32]>,
}

impl Nonces {
    fn of(request: &Request) -> Self {
        let nonces = match &request.intent {
            Intent::Group(usage) => match &**usage {
                GroupUse::Sign(sign) => sign.nonces.clone(),
                GroupUse::Spend(spend) => {
                    spend.parts.iter().flat_map(|part| part.nonces.iter().copied()).collect()
                }
                GroupUse::ExportShare { .. }
                | GroupUse::Recover
                | GroupUse::Refresh { .. }
                | GroupUse::RefreshStep { .. }
                | GroupUse::Repair { .. }
                | GroupUse::RepairStep { .. }
                | GroupUse::Split { .. } => Vec::new(),
            },
            Intent::GetPublicKey
            | Intent::SignEvent(_)
            | Intent::Encrypt { .. }
            | Intent::Decrypt { .. }
            | Intent::Nip44V3(_)
            | Intent::Export
            | Intent::ExportMnemonic
            | Intent::RevealSecret
            | Intent::Backup
            | Intent::BitcoinAccount { .. }
            | Intent::SignPsbt(_)
            | Intent::SignMessage(_) => Vec::new(),
        };
        Self { group: request.key, nonces }
    }

    /// Burns them; one that was burnt before fails the whole job.
    fn burn(&self, tx: &mut Tx<'_, '_>) -> Result<(), VaultError> {
        self.nonces.iter().try_for_each(|nonce| burn(tx, self.group, nonce))
    }
}

fn rule_owner(tx: &mut Tx<'_, '_>, request: Request, coming: Coming) -> Result<Ruling, VaultError> {
    let coming = coming.standing(tx, request.asked_at)?;
    let (basis, outcome) = match coming.of_owner() {
        Ok(grounds) => grounds,
        Err((outcome, fault)) => {
            tx.audit(draft(&request, outcome).by(coming.by()));
            return Ok(Ruling::Refused(fault));
        }
    };
    if let Some(ruled) = Ruled::open(tx, &request)? {
        return ruled.rule(tx, request, &coming, (basis, outcome), draft);
    }
    let entry = draft(&request, outcome).by(coming.by());
    let nonces = Nonces::of(&request);
    let (now, job) = (tx.now(), tx.job());
    let mut purse = Purse::open(tx, &request)?;
    let cosigner = match Cosigner::open(tx, &request, purse.as_ref().and_then(Purse::limits))? {
        Ok(cosigner) => cosigner,
        Err(fault) => {
            tx.audit(draft(&request, Outcome::Refused).reason(fault.message()));
            return Ok(Ruling::Refused(fault));
        }
    };
    let within = purse.as_mut().and_then(Purse::for_judging);
    match judge_within(request, job, Standing::Owner, within, basis, now) {
        Verdict::Allow(permit) => {
            nonces.burn(tx)?;
            cosigner.map_or(Ok(()), |cosigner| cosigner.count(tx))?;
            note_use(tx, &permit)?;
            purse.map_or(Ok(()), |purse| purse.keep(tx))?;
            tx.audit(entry);
            Ok(Ruling::Allowed(permit))
        }
        Verdict::Ask(question) => Ok(Ruling::Asks(question, None)),
        Verdict::Deny(Denied { request, reason }) => {
            let fault = Fault::from(reason);
            tx.audit(draft(&request, Outcome::Refused).reason(fault.message()));
            Ok(Ruling::Refused(fault))
        }
    }
}

/// Remembers when the owner last used a key. Uses of clients are counted with their grants.
fn note_use(tx: &mut Tx<'_, '_>, permit: &Permit) -> Result<(), VaultError> {
    if matches!(permit.intent(), Intent::RevealSecret | Intent::Backup | Intent::Group(_)) {
        return Ok(());
    }
    let natural = Usage::owner_key(permit.key());
    // Counters that cannot be read are the integrity check's to report; a key is still given up then.
    let counted = counters::of_key(tx, &natural, permit.key());
    let (place, mut usage) = counted.unwrap_or_else(|_| (tx.locate::<Usage>(&natural), Usage::default()));
    usage.count(tx.now());
    tx.put(place, &usage)
}

/// Reads what stands about a client's request. `None` for strangers, of whom nothing is recorded.
fn open_case(
    tx: &mut Tx<'_, '_>,
    request: Request,
    repeat: Option<Repeatable>,
    client: PublicKey,
    endpoint: EndpointId,
) -> Result<Option<Case>, VaultError> {
    let place = RecordId::from_bytes(*request.key.as_bytes());
    let Some(identity) = tx.get_shared::<KeyRecord>(&place)?.map(|key| key.nostr_key()) else {
        return Ok(None);
    };
    let natural = Grant::natural_key(&client, endpoint);
    let Some(grant) = tx.get_shared::<Grant>(&tx.locate::<Grant>(&natural))? else { return Ok(None) };
    let Some(endpoint) = tx.get_shared::<Endpoint>(&Endpoint::place(endpoint))? else { return Ok(None) };
    if endpoint.stopped || grant.session.is_some_and(|session| session != crate::current_run()) {
        return Ok(None);
    }
    let followed = if grant.follows { followed(tx, &grant.policy.name)? } else { None };
    let usage_at = tx.locate::<Usage>(&natural);
    let own_place = tx.locate::<RequestRow>(request.id.as_bytes());
    let own_row = tx.get::<RequestRow>(&own_place)?;
    let (row_at, row) = match own_row {
        Some(row) => (own_place, Some(row)),
        None => match earlier_copy(tx, repeat.as_ref())? {
            Some((place, row)) => (place, Some(row)),
            None => (own_place, None),
        },
    };
    if row.as_ref().is_some_and(|row| row.client != client.to_bytes() || row.endpoint != endpoint.id) {
        // Somebody else's request: nothing of it is this client's.
        return Ok(None);
    }
    Ok(Some(Case { request, repeat, client, endpoint, grant, followed, identity, usage_at, row_at, row }))
}

/// The same request in an earlier event, if that was recent. An old one gives its fingerprint up.
fn earlier_copy(
    tx: &mut Tx<'_, '_>,
    repeat: Option<&Repeatable>,
) -> Result<Option<(RecordId, RequestRow)>, VaultError> {
    let Some(fingerprint) = repeat.and_then(|repeat| repeat.fingerprint.as_deref()) else { return Ok(None) };
    let Some((place, mut row)) = tx.find::<RequestRow>(fingerprint)? else { return Ok(None) };
    if tx.now().since(row.decided_at).as_secs() <= RequestRow::REPEAT_SECS {
        return Ok(Some((place, row)));
    }
    row.fingerprint = None;
    tx.put(place, &row)?;
    Ok(None)
}

fn rule_client(
    tx: &mut Tx<'_, '_>,
    mut case: Case,
    coming: Coming,
    can_ask: bool,
) -> Result<Ruling, VaultError> {
    let now = tx.now();
    if let Some(row) = &case.row {
        // The answer is derived from the first copy's identity, so that every copy has the same answer.
        case.request.id = row.id;
        case.request.asked_at = row.asked_at;
    } else if now.since(case.request.asked_at).as_secs() > RequestRow::ACCEPT_SECS {
        let message = "the request is too old";
        return Ok(Ruling::Refused(Fault::new(ErrorCode::InvalidInput, message).with_hint("ask anew")));
    }
    let state = case.row.as_ref().map(|row| row.state);
    let waited = case.row.as_ref().map_or(0, |row| now.since(row.decided_at).as_secs());
    match (state, &coming) {
        (Some(RequestState::Asking), Coming::Approved(..) | Coming::Again)
            if waited > RequestRow::ASK_SECS =>
        {
            return refuse_unasked(tx, case, None);
        }
        (Some(RequestState::Asking), Coming::First) if waited <= RequestRow::ASK_SECS => {
            return Ok(Ruling::InProgress);
        }
        (Some(RequestState::Granted | RequestState::Refused | RequestState::Done), _) => {
            return repeat(tx, case);
        }
        (Some(RequestState::Asking), Coming::Declined(settled)) => {
            if let Some(remember) = settled.remember {
                keep_decision(tx, &case.grant, remember.rule(Effect::Deny, &case.request))?;
            }
            let fault = Fault::new(ErrorCode::RefusedByPerson, "the owner declined this request");
            return refuse_by(tx, case, (Outcome::Declined, coming.by()), fault);
        }
        (Some(RequestState::Asking), Coming::Unanswered) => return refuse_unasked(tx, case, None),
        (Some(RequestState::Asking) | None, _) => {}
    }
    let asked = case.row.as_ref().map_or(now, |row| row.decided_at);
    let coming = coming.standing(tx, asked)?;
    let (basis, remember) = match &coming {
        Coming::Approved(settled) if state == Some(RequestState::Asking) => {
            (Basis::Approved { persons: settled.persons }, settled.remember)
        }
        Coming::Approved(..) | Coming::First | Coming::Again | Coming::Declined(_) | Coming::Unanswered => {
            (Basis::Fresh, None)
        }
    };
    let approved = basis != Basis::Fresh;
    let lasting = remember.map(|remember| remember.rule(Effect::Allow, &case.request));
    let mut usage = tx.get::<Usage>(&case.usage_at)?.unwrap_or_default();
    if let Some(followed) = &case.followed {
        usage.begin_rules_anew(followed.since());
    }
    let standing = Standing::Client {
        grant: &case.grant,
        followed: case.followed.as_deref().and_then(PolicyRow::policy),
        usage: &mut usage,
        relays: &case.endpoint.relays,
        identity: &case.identity,
    };
    let entry = draft(&case.request, if approved { Outcome::Approved } else { Outcome::Allowed });
    let entry = if approved { entry.by(coming.by()) } else { entry };
    let held = Held::of(&case.request);
    let nonces = Nonces::of(&case.request);
    let mut purse = Purse::open(tx, &case.request)?;
    let within = purse.as_mut().and_then(Purse::for_judging);
    match judge_within(case.request, tx.job(), standing, within, basis, now) {
        Verdict::Allow(permit) => {
            nonces.burn(tx)?;
            purse.map_or(Ok(()), |purse| purse.keep(tx))?;
            tx.put(case.usage_at, &usage)?;
            if let Some(rule) = lasting {
                keep_decision(tx, &case.grant, rule)?;
            }
            let seq = tx.audit(entry);
            let mut row = held.row(tx, case.row, &case.client, case.endpoint.id, case.repeat);
            row.state = RequestState::Granted;
            row.audit_seq = seq;
            row.decided_at = tx.now();
            keep_until_answered(tx, case.row_at, &mut row);
            tx.put(case.row_at, &row)?;
            Ok(Ruling::Allowed(permit))
        }
        Verdict::Deny(Denied { request, reason }) => {
            case.request = request;
            refuse(tx, case, Outcome::Refused, reason.into())
        }
        Verdict::Ask(Question { request, mut prompt }) if can_ask && !approved => {
            let mut row = held.row(tx, case.row, &case.client, case.endpoint.id, case.repeat.clone());
            if coming == Coming::First {
                // Also where an earlier wait ran out: it waits from now on.
                row.decided_at = now;
            }
            prompt.asked_at = row.decided_at;
            tx.put(case.row_at, &row)?;
            Ok(Ruling::Asks(Question { request, prompt }, case.repeat))
        }
        Verdict::Ask(Question { request, prompt }) => {
            case.request = request;
            refuse_unasked(tx, case, Some(&prompt))
        }
    }
}

/// Writes into the client's grant what a person decided for longer than once.
fn keep_decision(tx: &mut Tx<'_, '_>, grant: &Grant, rule: Rule) -> Result<(), VaultError> {
    let now = tx.now();
    let place = tx.locate::<Grant>(&Grant::natural_key(&grant.client_key(), grant.endpoint));
    let mut grant = grant.clone();
    grant.remember(rule, now);
    tx.put(place, &grant)
}

/// The parts of a request that its row needs, kept while policy has the request itself.
struct Held {
    id: RequestId,
    asked_at: keep_types::Timestamp,
}

impl Held {
    const fn of(request: &Request) -> Self {
        Self { id: request.id, asked_at: request.asked_at }
    }

    /// The request's row: the one that waits, or a new one.
    fn row(
        &self,
        tx: &Tx<'_, '_>,
        waiting: Option<RequestRow>,
        client: &PublicKey,
        endpoint: EndpointId,
        repeat: Option<Repeatable>,
    ) -> RequestRow {
        waiting.unwrap_or_else(|| {
            let mut row = RequestRow::new(self.id, client, endpoint, self.asked_at, tx.now());
            if let Some(repeat) = repeat {
                row.received = repeat.received;
                row.fingerprint = repeat.fingerprint;
            }
            row
        })
    }
}

/// A request that was decided before: the same result again, without a second count, entry or commit of its own. Only what
/// ends a connection holds against it.
fn repeat(tx: &mut Tx<'_, '_>, mut case: Case) -> Result<Ruling, VaultError> {
    let Some(mut row) = case.row.take() else { return Ok(Ruling::InProgress) };
    if let Some(fault) = row.refusal() {
        tx.cite(row.audit_seq);
        return Ok(Ruling::Refused(fault));
    }
    let mut usage = Usage::default();
    let standing = Standing::Client {
        grant: &case.grant,
        followed: case.followed.as_deref().and_then(PolicyRow::policy),
        usage: &mut usage,
        relays: &case.endpoint.relays,
        identity: &case.identity,
    };
    match judge(case.request, tx.job(), standing, Basis::Recorded, tx.now()) {
        Verdict::Allow(permit) => {
            tx.cite(row.audit_seq);
            Ok(Ruling::Allowed(permit))
        }
        Verdict::Deny(Denied { request, reason }) => {
            let fault = Fault::from(reason);
            row.audit_seq = tx.audit(draft(&request, Outcome::Abandoned).reason(fault.message()));
            row.refuse(&fault);
            tx.put(case.row_at, &row)?;
            Ok(Ruling::Refused(fault))
        }
        Verdict::Ask(_) => Ok(Ruling::InProgress),
    }
}

fn refuse_unasked(tx: &mut Tx<'_, '_>, case: Case, prompt: Option<&Prompt>) -> Result<Ruling, VaultError> {
    let why = prompt.map_or_else(|| "nobody answered".to_owned(), |prompt| prompt.because.clone());
    let fault = Fault::new(
        ErrorCode::ApprovalUnavailable,
        format!("{} was not approved: {why}", describe(&case.request)),
    );
    refuse(tx, case, Outcome::Unanswered, fault)
}

fn refuse(tx: &mut Tx<'_, '_>, case: Case, outcome: Outcome, fault: Fault) -> Result<Ruling, VaultError> {
    refuse_by(tx, case, (outcome, &[]), fault)
}

/// As [`refuse`], with who said no.
fn refuse_by(
    tx: &mut Tx<'_, '_>,
    case: Case,
    (outcome, by): (Outcome, &[Decider]),
    fault: Fault,
) -> Result<Ruling, VaultError> {
    let mut usage = tx.get::<Usage>(&case.usage_at)?.unwrap_or_default();
    if !usage.count_refusal(tx.now()) && case.row.is_none() {
        return Ok(Ruling::Refused(fault));
    }
    tx.put(case.usage_at, &usage)?;
    let seq = tx.audit(draft(&case.request, outcome).by(by).reason(fault.message()));
    let held = Held::of(&case.request);
    let mut row = held.row(tx, case.row, &case.client, case.endpoint.id, case.repeat);
    row.refuse(&fault);
    if row.received.len() > MAX_REFUSED {
        row.received = Vec::new();
    }
    row.audit_seq = seq;
    row.decided_at = tx.now();
    keep_until_answered(tx, case.row_at, &mut row);
    tx.put(case.row_at, &row)?;
    Ok(Ruling::Refused(fault))
}

/// Moves what was received from the row of a request that is decided to where it lies until the answer has left: the row
/// need not be written again then.
fn keep_until_answered(tx: &mut Tx<'_, '_>, place: RecordId, row: &mut RequestRow) {
    let received = std::mem::take(&mut row.received);
    if !received.is_empty() {
        tx.receive(place, received);
    }
}

pub(crate) fn describe(request: &Request) -> String {
    match request.intent.kind() {
        Some(kind) => format!("{} of kind {}", request.intent.operation(), kind.as_u16()),
        None => request.intent.operation().to_string(),
    }
}
