//! `simulate`: what a policy would have said to what was asked.

use std::collections::{HashMap, HashSet};

use keep_audit::{Action, Entry, Outcome};
use keep_policy::{Effect, Facts, Policy, PolicyDocument, Usage, explain};
use keep_signer::{Connections, Policies};
use keep_types::{Fault, Operation, PublicKey, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Difference, SimulationView};
use crate::bunker::manage::client_grants;
use crate::call::{Call, Class, Host};

/// The most entries of the log that are looked at, from the latest back.
const MOST_ENTRIES: usize = 500_000;

/// Which policy is tried on what.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Past {
    /// The policy by name.
    pub policy: Option<String>,
    /// Or as it is written (TOML).
    pub toml: Option<String>,
    /// Only what this client asked: name, npub or public key in hexadecimal. Without it, what the clients asked that have
    /// a policy of the same name, or if none has, every client.
    pub client: Option<String>,
    /// What was asked in so many seconds until now.
    pub seconds: u64,
}

/// Simulates.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Simulate {
    pub past: Past,
}

impl Call for Simulate {
    const NAME: &'static str = "policy.simulate";
    const CLASS: Class = Class::Use;
    type Reply = SimulationView;

    fn run(self, host: &Host) -> Result<SimulationView, Fault> {
        let past = self.past;
        let policy = match (&past.toml, &past.policy) {
            (Some(toml), _) => PolicyDocument::from_toml(toml)?.policy()?,
            (None, name) => Policies::new(host.vault().clone()).find(name.as_deref().unwrap_or_default())?.0,
        };
        let clients = clients(host, &policy, past.client.as_deref())?;
        let since = host.now().minus(std::time::Duration::from_secs(past.seconds));
        let mut entries = host.vault().audit_tail(MOST_ENTRIES)?;
        entries.retain(|entry| entry.time >= since);
        entries.sort_by_key(|entry| entry.seq);
        Ok(replay(&policy, &entries, clients.as_ref()))
    }
}

/// The clients that are meant; `None` for all.
fn clients(host: &Host, policy: &Policy, client: Option<&str>) -> Result<Option<HashSet<[u8; 32]>>, Fault> {
    if let Some(client) = client {
        return Ok(Some(client_grants(host, client)?.iter().map(|grant| grant.client).collect()));
    }
    let grants = Connections::new(host.vault().clone()).grants()?;
    let with_it: HashSet<[u8; 32]> =
        grants.iter().filter(|grant| grant.policy.name == policy.name).map(|grant| grant.client).collect();
    Ok((!with_it.is_empty()).then_some(with_it))
}

fn replay(policy: &Policy, entries: &[Entry], clients: Option<&HashSet<[u8; 32]>>) -> SimulationView {
    let mut view = SimulationView {
        policy: policy.name.clone(),
        clients: 0,
        requests: 0,
        same: 0,
        uncertain: 0,
        differences: Vec::new(),
    };
    let mut seen: HashMap<[u8; 32], (Usage, Timestamp)> = HashMap::new();
    for entry in entries {
        let Some(client) = entry.client.filter(|client| clients.is_none_or(|meant| meant.contains(client)))
        else {
            continue;
        };
        let (Some(operation), Some(was)) = (operation(entry.action), effect(entry.outcome)) else { continue };
        let (usage, since) = seen.entry(client).or_insert((Usage::default(), entry.time));
        view.requests += 1;
        let peer = entry.subject.filter(|_| operation.has_peer()).map(PublicKey::from_byte_array);
        let facts = Facts::recorded(operation, entry.event_kind, peer.as_ref(), entry.time);
        let explanation = explain(policy, None, &facts);
        let bounds = policy.bounds(*since).unwrap_or_default();
        let (would, because) = match usage.check(&bounds, entry.time) {
            Err(exceeded) => (Effect::Deny, exceeded.to_string()),
            // A rule that might be about it comes before the one that decides.
            Ok(()) if !certain(&explanation) => {
                view.uncertain += 1;
                continue;
            }
            Ok(()) => match usage.check_deciding(policy, &facts) {
                Err(reached) if explanation.effect != Effect::Deny => (Effect::Deny, reached.to_string()),
                Ok(()) | Err(_) => (explanation.effect, explanation.because),
            },
        };
        // What a person approved would have been counted, too.
        if would == Effect::Allow || (would == Effect::Ask && entry.outcome == Outcome::Approved) {
            usage.count_deciding(policy, &facts);
        }
        if would == was {
            view.same += 1;
            continue;
        }
        view.differences.push(Difference {
            seq: entry.seq,
            time: entry.time.to_string(),
            client: hex::encode(client),
            method: operation.to_string(),
            kind: entry.event_kind,
            was: was.as_str().to_owned(),
            would: would.as_str().to_owned(),
            because,
        });
    }
    view.clients = seen.len();
    view
}

/// Whether no rule before the one that decides depends on something that the log does not keep.
fn certain(explanation: &keep_policy::Explanation) -> bool {
    explanation.rules.iter().take_while(|rule| rule.matches != Some(true)).all(|rule| rule.matches.is_some())
}

/// What was asked for, if it is something that policy judges.
fn operation(action: Action) -> Option<Operation> {
    action.as_str().parse().ok()
}

/// What had been decided. What failed or was given up had been allowed.
const fn effect(outcome: Outcome) -> Option<Effect> {
    match outcome {
        Outcome::Allowed => Some(Effect::Allow),
        Outcome::Approved | Outcome::Declined | Outcome::Unanswered => Some(Effect::Ask),
        Outcome::Refused => Some(Effect::Deny),
        // The same request has another entry, from when it was decided.
        Outcome::Failed | Outcome::Abandoned => None,
    }
}
