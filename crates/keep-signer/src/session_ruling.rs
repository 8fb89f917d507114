//! What happens to a request of a session inside the write lock.

use keep_audit::{Decider, Outcome};
use keep_policy::{Acting, Basis, Denied, Question, Verdict, judge_session_within};
use keep_types::{ErrorCode, Fault, RecordId, Request, SessionId};
use keep_vault::{KeyRecord, Tx, VaultError};

use crate::entry::draft;
use crate::purse::Purse;
use crate::ruling::{Coming, Ruling, describe};
use crate::session_case::SessionCase;
use crate::sessions::no_session;

/// Judges a request of a session and stages counters and the audit entry, which names the session.
pub(crate) fn rule_session(
    tx: &mut Tx<'_, '_>,
    request: Request,
    id: SessionId,
    coming: Coming,
) -> Result<Ruling, VaultError> {
    let Some(mut case) = SessionCase::open(tx, id)? else { return Ok(Ruling::Refused(no_session())) };
    case.leave_to_others(request.intent.operation());
    let coming = coming.standing(tx, request.asked_at)?;
    match &coming {
        Coming::Declined(settled) => {
            let who =
                if settled.by.contains(&Decider::Client) { "the user of the program" } else { "the owner" };
            let fault = Fault::new(ErrorCode::RefusedByPerson, format!("{who} declined this request"));
            return refuse_by(tx, case, &request, (Outcome::Declined, &settled.by), fault);
        }
        Coming::Unanswered => {
            let message = format!("{} was not approved: nobody answered", describe(&request));
            let fault = Fault::new(ErrorCode::ApprovalUnavailable, message);
            return refuse(tx, case, &request, Outcome::Unanswered, fault);
        }
        Coming::Approved(settled) if case.is_ruled() && settled.by.contains(&Decider::Client) => {
            let message = format!("{} is for the owner to approve, not for the program", describe(&request));
            let fault = Fault::new(ErrorCode::ApprovalUnavailable, message);
            return refuse(tx, case, &request, Outcome::Unanswered, fault);
        }
        Coming::First | Coming::Again | Coming::Approved(..) => {}
    }
    let (basis, outcome) = match &coming {
        Coming::Approved(settled) => (Basis::Approved { persons: settled.persons }, Outcome::Approved),
        Coming::First | Coming::Again | Coming::Declined(_) | Coming::Unanswered => {
            (Basis::Fresh, Outcome::Allowed)
        }
    };
    let (now, job) = (tx.now(), tx.job());
    let session = std::sync::Arc::clone(&case.session);
    let entry = draft(&request, outcome).session(&session.name).by(coming.by());
    let mut purse = Purse::open(tx, &request)?;
    let within = purse.as_mut().and_then(Purse::for_judging);
    let key_place = RecordId::from_bytes(*session.key.as_bytes());
    let key = tx.get_shared::<KeyRecord>(&key_place)?.ok_or(VaultError::NoSuchKey)?;
    let identity = key.nostr_key();
    let acting = Acting { session: &session, identity: &identity };
    match judge_session_within(request, job, acting, &mut case.scopes(), within, basis, now) {
        Verdict::Allow(permit) => {
            purse.map_or(Ok(()), |purse| purse.keep(tx))?;
            case.keep(tx)?;
            tx.audit(entry);
            Ok(Ruling::Allowed(permit))
        }
        Verdict::Ask(Question { request, prompt }) if basis != Basis::Fresh => {
            let message = format!(
                "{} was not approved: {} persons must approve it",
                describe(&request),
                prompt.approval.persons()
            );
            refuse(
                tx,
                case,
                &request,
                Outcome::Unanswered,
                Fault::new(ErrorCode::ApprovalUnavailable, message),
            )
        }
        Verdict::Ask(Question { request, prompt }) => Ok(Ruling::Asks(Question { request, prompt }, None)),
        Verdict::Deny(Denied { request, reason }) => {
            refuse(tx, case, &request, Outcome::Refused, reason.into())
        }
    }
}

/// A refusal is recorded, unless the session is refused without end: that must not fill the disk.
fn refuse(
    tx: &mut Tx<'_, '_>,
    case: SessionCase,
    request: &Request,
    outcome: Outcome,
    fault: Fault,
) -> Result<Ruling, VaultError> {
    refuse_by(tx, case, request, (outcome, &[]), fault)
}

/// As [`refuse`], with who said no.
fn refuse_by(
    tx: &mut Tx<'_, '_>,
    mut case: SessionCase,
    request: &Request,
    (outcome, by): (Outcome, &[Decider]),
    fault: Fault,
) -> Result<Ruling, VaultError> {
    if case.count_refusal(tx.now()) {
        case.keep(tx)?;
        tx.audit(draft(request, outcome).session(&case.session.name).by(by).reason(fault.message()));
    }
    Ok(Ruling::Refused(fault))
}
