//! Uses of keys that another bunker holds: judged and recorded here, before the request leaves for there.

use keep_audit::{Action, Draft, Outcome};
use keep_policy::{PlaintextClasses, Prompt, Standing, Usage, Verdict, judge};
use keep_types::{Fault, PublicKey, Request};
use keep_vault::{Tx, VaultError};

use crate::approver::Decision;
use crate::counters;
use crate::ruled::Ruled;
use crate::ruling::{Coming, Ruling};
use crate::{Signer, SignerError};

/// A use, in the owner's name, of a key that another bunker holds.
#[derive(Debug)]
pub struct Elsewhere {
    /// What is asked for, of which key.
    pub request: Request,
    /// The identity that the other bunker holds.
    pub identity: PublicKey,
    /// The method by the name that NIP-46 has for it.
    pub method: String,
}

impl Signer {
    /// Whether the other bunker may be asked: the owner's policy for the command line holds here as for keys of this vault, and
    /// is counted and recorded in the same way. `decide` is asked where policy asks, and before everything else where each use
    /// is to be `confirmed`; it may take its time. Gives the plaintexts that may be handed on where this decrypts. Durable when
    /// this returns.
    ///
    /// # Errors
    /// [`SignerError::Refused`] with the reason; otherwise when the vault failed, or was tampered with.
    pub fn allow_elsewhere(
        &self,
        elsewhere: Elsewhere,
        confirmed: bool,
        decide: impl Fn(&Prompt) -> Decision,
    ) -> Result<PlaintextClasses, SignerError> {
        self.check_intact(&elsewhere.request)?;
        let Elsewhere { request, identity, method } = elsewhere;
        let (request, coming) = if confirmed {
            let (request, prompt) = self.question(request, Some(identity))?;
            (request, decide(&prompt).into())
        } else {
            (request, Coming::First)
        };
        let mut ruling = self.rule_elsewhere((request, identity, method.clone()), coming)?;
        if let Ruling::Asks(question, _) = ruling {
            let coming = decide(&question.prompt).into();
            ruling = self.rule_elsewhere((question.request, identity, method), coming)?;
        }
        match ruling {
            Ruling::Allowed(permit) => Ok(permit.releases()),
            Ruling::Refused(fault) => Err(SignerError::Refused(fault)),
            Ruling::Asks(..) | Ruling::InProgress => Err(SignerError::InProgress),
        }
    }

    fn rule_elsewhere(
        &self,
        (request, identity, method): (Request, PublicKey, String),
        coming: Coming,
    ) -> Result<Ruling, SignerError> {
        let judged = self.vault().submit(move |tx| rule(tx, request, identity, &method, coming));
        let (ruling, recording) = judged.wait_decided()?;
        recording.wait()?;
        Ok(ruling)
    }
}

fn rule(
    tx: &mut Tx<'_, '_>,
    request: Request,
    identity: PublicKey,
    method: &str,
    coming: Coming,
) -> Result<Ruling, VaultError> {
    let coming = &coming.standing(tx, request.asked_at)?;
    let entry = |request: &Request, outcome| draft(request, method, outcome);
    let (basis, outcome) = match coming.of_owner() {
        Ok(grounds) => grounds,
        Err((outcome, fault)) => {
            tx.audit(entry(&request, outcome).by(coming.by()));
            return Ok(Ruling::Refused(fault));
        }
    };
    if let Some(ruled) = Ruled::of(tx, &request, identity)? {
        return ruled.rule(tx, request, coming, (basis, outcome), entry);
    }
    let allowed = entry(&request, outcome).by(coming.by());
    let key = request.key;
    match judge(request, tx.job(), Standing::Owner, basis, tx.now()) {
        Verdict::Allow(permit) => {
            // A policy that is made later counts on from here.
            let (usage_at, mut usage) = counters::of_key(tx, &Usage::owner_key(key), key)?;
            usage.count(tx.now());
            tx.put(usage_at, &usage)?;
            tx.audit(allowed);
            Ok(Ruling::Allowed(permit))
        }
        Verdict::Ask(question) => Ok(Ruling::Asks(question, None)),
        Verdict::Deny(denied) => {
            let fault = Fault::from(denied.reason);
            tx.audit(entry(&denied.request, Outcome::Refused).reason(fault.message()));
            Ok(Ruling::Refused(fault))
        }
    }
}

fn draft(request: &Request, method: &str, outcome: Outcome) -> Draft {
    let entry = Draft::new(Action::RemoteUse, outcome, &request.origin).key(request.key).reason(method);
    match request.intent.kind() {
        Some(kind) => entry.event_kind(kind.as_u16()),
        None => entry,
    }
}
