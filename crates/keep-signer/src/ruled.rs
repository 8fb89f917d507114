//! The owner's own uses under the policy that the owner made for the command line.

use std::sync::Arc;

use keep_audit::{Draft, Outcome};
use keep_policy::{Basis, Denied, Policy, Question, Standing, Usage, Verdict, judge};
use keep_types::{ErrorCode, Fault, PublicKey, RecordId, Request, Timestamp};
use keep_vault::{KeyRecord, Tx, VaultError};

use crate::counters;
use crate::policies::{PolicyRow, followed};
use crate::ruling::{Coming, Ruling, describe};

/// What stands about the owner's own use where the owner made a policy for the command line.
pub(crate) struct Ruled {
    policy: Arc<PolicyRow>,
    identity: PublicKey,
    usage_at: RecordId,
    usage: Usage,
}

impl Ruled {
    /// `None` where there is no such policy, or the use is none that policies are about: handing out a secret takes the
    /// passphrase again, transactions have limits of their own, and shares are judged by amounts and messages.
    pub(crate) fn open(tx: &mut Tx<'_, '_>, request: &Request) -> Result<Option<Self>, VaultError> {
        if !request.intent.operation().is_for_clients() {
            return Ok(None);
        }
        let place = RecordId::from_bytes(*request.key.as_bytes());
        let Some(key) = tx.get_shared::<KeyRecord>(&place)? else { return Ok(None) };
        Self::of(tx, request, key.nostr_key())
    }

    /// As [`open`](Self::open), for a use of this identity, wherever its key is.
    pub(crate) fn of(
        tx: &mut Tx<'_, '_>,
        request: &Request,
        identity: PublicKey,
    ) -> Result<Option<Self>, VaultError> {
        let Some(policy) = followed(tx, Policy::CLI)? else { return Ok(None) };
        let (usage_at, usage) = counters::of_key(tx, &Usage::owner_key(request.key), request.key)?;
        Ok(Some(Self { policy, identity, usage_at, usage }))
    }

    /// Judges it; counts and records what was decided, as `entry` has it.
    pub(crate) fn rule(
        mut self,
        tx: &mut Tx<'_, '_>,
        request: Request,
        coming: &Coming,
        (basis, outcome): (Basis, Outcome),
        entry: impl Fn(&Request, Outcome) -> Draft,
    ) -> Result<Ruling, VaultError> {
        let Some(policy) = self.policy.policy() else { return Err(VaultError::NoSuchKey) };
        let allowed = entry(&request, outcome).by(coming.by());
        let since = self.policy.since();
        let standing = Standing::Ruled { policy, since, usage: &mut self.usage, identity: &self.identity };
        match judge(request, tx.job(), standing, basis, tx.now()) {
            Verdict::Allow(permit) => {
                tx.put(self.usage_at, &self.usage)?;
                tx.audit(allowed);
                Ok(Ruling::Allowed(permit))
            }
            Verdict::Ask(question) if basis == Basis::Fresh => Ok(Ruling::Asks(question, None)),
            Verdict::Ask(Question { request, prompt }) => {
                let needed = prompt.approval.persons();
                let message = format!("{} takes {needed} persons ({})", describe(&request), prompt.because);
                tx.audit(entry(&request, Outcome::Unanswered).by(coming.by()).reason(&*message));
                Ok(Ruling::Refused(Fault::new(ErrorCode::ApprovalUnavailable, message)))
            }
            Verdict::Deny(Denied { request, reason }) => {
                let fault = Fault::from(reason).with_hint(hint(policy, since, tx.now()));
                tx.audit(entry(&request, Outcome::Refused).reason(fault.message()));
                Ok(Ruling::Refused(fault))
            }
        }
    }
}

/// What can be done about a refusal.
fn hint(policy: &Policy, since: Timestamp, now: Timestamp) -> &'static str {
    let is_over = policy.lifetime.is_some()
        && policy.bounds(since).and_then(|bounds| bounds.expires).is_some_and(|end| now >= end);
    if is_over {
        "the lifetime of your policy cli is over: `keep policy edit cli` begins it anew, `keep policy remove cli` ends it"
    } else {
        "`keep policy edit cli` changes the policy of the command line"
    }
}
