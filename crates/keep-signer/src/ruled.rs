//! The owner's own uses under the policy that the owner made for the command line.

use std::sync::Arc;

use keep_audit::{Draft, Outcome};
use keep_policy::{
    Basis, Denied, Exceeded, Policy, Prompt, Question, Reason, Standing, Usage, Verdict, judge,
};
use keep_types::{ErrorCode, Fault, PublicKey, RecordId, Request, Timestamp};
use keep_vault::{KeyRecord, Tx, VaultError};

use crate::counters;
use crate::policies::{PolicyRow, followed};
use crate::ruling::{Coming, Ruling, describe};
use crate::{Signer, SignerError};

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
        let (usage_at, mut usage) = counters::of_key(tx, &Usage::owner_key(request.key), request.key)?;
        usage.begin_anew(policy.since());
        Ok(Some(Self { policy, identity, usage_at, usage }))
    }

    /// What a person is shown who confirms the use whatever the policy says.
    fn prompt(&self, request: &Request, now: Timestamp) -> Prompt {
        match self.policy.policy() {
            Some(policy) => Prompt::of_owner_under(request, policy, &self.identity, now),
            None => Prompt::of_owner(request),
        }
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
                let fault = Fault::new(ErrorCode::ApprovalUnavailable, message);
                Ok(Ruling::Refused(
                    fault.with_hint("ask again; what the policy wants changed while somebody decided"),
                ))
            }
            Verdict::Deny(Denied { request, reason }) => {
                let lost = matches!(
                    reason,
                    Reason::Limit(Exceeded::LostRate { .. })
                        | Reason::RuleLimit { limit: Exceeded::LostRate { .. }, .. }
                );
                let hint = if lost { LOST_RATE } else { hint(policy, since, tx.now()) };
                let fault = Fault::from(reason).with_hint(hint);
                tx.audit(entry(&request, Outcome::Refused).reason(fault.message()));
                Ok(Ruling::Refused(fault))
            }
        }
    }
}

impl Signer {
    /// What a person is asked who confirms a use of the owner's. How many persons must say yes is for the owner's policy to say, which
    /// is followed again when they have. `elsewhere`: the identity, where another bunker holds its key.
    pub(crate) fn question(
        &self,
        request: Request,
        elsewhere: Option<PublicKey>,
    ) -> Result<(Request, Prompt), SignerError> {
        let asked = self.vault().submit(move |tx| {
            let ruled = match elsewhere {
                Some(identity) => Ruled::of(tx, &request, identity)?,
                None => Ruled::open(tx, &request)?,
            };
            let prompt = match ruled {
                Some(ruled) => ruled.prompt(&request, tx.now()),
                None => Prompt::of_owner(&request),
            };
            Ok((request, prompt))
        });
        Ok(asked.wait()?.0)
    }
}

/// What can be done where it is not known how many uses there were.
const LOST_RATE: &str = "wait until then; `keep policy remove cli` ends the policy of the command line";

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
