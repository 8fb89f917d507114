//! `explain`: which rule decides, and why the others do not.

use keep_policy::{Effect, Explanation, Facts, Grant, Limits, Policy, RuleLeft, Usage, explain};
use keep_signer::{Connections, Endpoint, Policies};
use keep_types::{ErrorCode, EventTemplate, Fault, KeyId, Operation, PublicKey, Timestamp, UnsignedEvent};
use keep_vault::KeyRecord;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bunker::manage::client_grants;
use crate::call::{Call, Class, Host};
use crate::keys::record;

/// A request that nobody makes, and whose rules are to be explained.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Question {
    /// The policy by name; or else the one of the client.
    pub policy: Option<String>,
    /// The client: name, npub or public key in hexadecimal.
    pub client: Option<String>,
    /// The key that is to be used; without it, the client's, or the only one.
    pub key: Option<String>,
    /// The method.
    pub method: String,
    /// The event's kind.
    pub kind: Option<u16>,
    /// Its tags.
    pub tags: Vec<Vec<String>>,
    /// Its content, or the text to be encrypted.
    pub content: Option<String>,
    /// The other side of an encryption or decryption: npub or hexadecimal.
    pub peer: Option<String>,
    /// At which time, in Unix seconds; without it, now.
    pub at: Option<u64>,
}

/// What a policy says to a request, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explained {
    /// The policy's name.
    pub policy: String,
    /// What happens: `allow`, `ask` or `deny`, and why, rule by rule.
    #[schemars(with = "serde_json::Value")]
    pub explanation: Explanation,
    /// The bound that is reached, if one is: then it is refused whatever the rules say.
    pub limit: Option<String>,
    /// What the limits of those rules leave that decide: for the client, or for you where the policy is that of the command line.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    pub left: Vec<RuleLeft>,
}

/// Explains.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Explain {
    pub question: Question,
}

impl Call for Explain {
    const NAME: &'static str = "policy.explain";
    const CLASS: Class = Class::Use;
    type Reply = Explained;

    fn run(self, host: &Host) -> Result<Explained, Fault> {
        let question = self.question;
        let policies = Policies::new(host.vault().clone());
        let grant = question.client.as_deref().map(|client| client_grant(host, client)).transpose()?;
        let policy = match (&question.policy, &grant) {
            (Some(name), _) => policies.find(name)?.0,
            (None, Some(grant)) if grant.follows => policies.find(&grant.policy.name)?.0,
            (None, Some(grant)) => grant.policy.clone(),
            (None, None) => {
                return Err(Fault::new(ErrorCode::Usage, "whose rules are meant?")
                    .with_hint("name a policy with --policy, or a client with --client"));
            }
        };
        let now = question.at.map_or_else(|| host.now(), Timestamp::from_secs);
        let relays = relays_of(host, grant.as_ref())?;
        let key = key(host, &question, grant.as_ref())?;
        let identity = key.as_ref().map(KeyRecord::nostr_key);
        let (operation, event, peer) = read(&question, identity, now)?;
        let facts = Facts {
            operation,
            kind: event.as_ref().map(|event| event.kind.as_u16()),
            event: event.as_ref(),
            peer: peer.as_ref(),
            plaintext: question.content.as_deref().filter(|_| operation.has_peer() && operation.has_text()),
            class: None,
            identity: identity.as_ref(),
            relays: &relays,
            now,
        };
        let counted = match &grant {
            Some(grant) => Some(of_client(host, grant, &policy)?),
            None if policy.name == Policy::CLI => {
                key.map(|key| of_owner(key.id, &policies, &policy)).transpose()?
            }
            None => None,
        };
        let explanation = explain(&policy, grant.as_ref(), &facts);
        let reached = |counted: &Counted| counted.reached(&policy, &facts);
        let limit = counted.as_ref().filter(|_| explanation.effect != Effect::Deny).and_then(reached);
        let left = policy.rules_left(&facts, counted.as_ref().map(|counted| &counted.usage));
        Ok(Explained { policy: policy.name.clone(), explanation, limit, left })
    }
}

fn client_grant(host: &Host, client: &str) -> Result<Grant, Fault> {
    let mut grants = client_grants(host, client)?;
    Ok(grants.remove(0))
}

fn relays_of(host: &Host, grant: Option<&Grant>) -> Result<Vec<String>, Fault> {
    let endpoints: Vec<Endpoint> = Connections::new(host.vault().clone()).endpoints()?;
    let of_client = |endpoint: &&Endpoint| grant.is_none_or(|grant| grant.endpoint == endpoint.id);
    Ok(endpoints.iter().filter(of_client).flat_map(|endpoint| endpoint.relays.clone()).collect())
}

/// The key that would be used, where one is meant or there is only one: few rules depend on it.
fn key(host: &Host, question: &Question, grant: Option<&Grant>) -> Result<Option<KeyRecord>, Fault> {
    if let Some(key) = question.key.as_deref() {
        return record(host, Some(key)).map(Some);
    }
    let mut keys = host.vault().keys()?;
    if let Some(grant) = grant {
        return Ok(keys.into_iter().find(|key| key.id == grant.key));
    }
    Ok(if keys.len() == 1 { keys.pop() } else { None })
}

type Read = (Operation, Option<UnsignedEvent>, Option<PublicKey>);

fn read(question: &Question, identity: Option<PublicKey>, now: Timestamp) -> Result<Read, Fault> {
    let operation: Operation = question.method.parse().map_err(|_| {
        Fault::new(ErrorCode::Usage, "this is no method").with_hint("for example sign_event or nip44_decrypt")
    })?;
    let event = match (operation, question.kind) {
        (Operation::SignEvent, Some(kind)) => {
            let content = question.content.clone().unwrap_or_default();
            let template = EventTemplate::new(kind, content, question.tags.clone(), now.as_secs());
            // Whose it is decides nothing; no rule is about the author.
            Some(template.into_unsigned(identity.unwrap_or_else(|| PublicKey::from_byte_array([0; 32])))?)
        }
        (Operation::SignEvent, None) => {
            return Err(Fault::new(ErrorCode::Usage, "an event has a kind").with_hint("name it with --kind"));
        }
        _ => None,
    };
    let peer = question.peer.as_deref().map(|peer| {
        if peer == "self" {
            return identity.ok_or_else(|| {
                Fault::new(ErrorCode::Usage, "with which of your keys?").with_hint("name it with --key")
            });
        }
        PublicKey::parse(peer).map_err(|_| {
            Fault::new(ErrorCode::InvalidInput, "the other side is no public key").with_hint("write npub1…")
        })
    });
    let peer = peer.transpose()?;
    if operation.has_peer() && peer.is_none() {
        return Err(Fault::new(ErrorCode::Usage, "with whom?").with_hint("name the other side with --peer"));
    }
    Ok((operation, event, peer))
}

/// What is counted for whoever would ask.
struct Counted {
    usage: Usage,
    bounds: Vec<Limits>,
    suspended: bool,
}

impl Counted {
    /// The bound that is reached, if one is.
    fn reached(&self, policy: &Policy, facts: &Facts<'_>) -> Option<String> {
        if self.suspended {
            return Some("the owner has suspended this client".to_owned());
        }
        let exceeded = self.bounds.iter().find_map(|bounds| self.usage.check(bounds, facts.now).err());
        let of_rule = || self.usage.check_deciding(policy, facts).err().map(|reason| reason.to_string());
        exceeded.map(|exceeded| exceeded.to_string()).or_else(of_rule)
    }
}

fn of_client(host: &Host, grant: &Grant, policy: &Policy) -> Result<Counted, Fault> {
    let usage = Connections::new(host.vault().clone()).usage(&grant.client_key(), grant.endpoint)?;
    let bounds = vec![grant.limits, policy.bounds(grant.connected_at).unwrap_or_default()];
    Ok(Counted { usage, bounds, suspended: grant.suspended })
}

/// What the owner's own uses of a key are counted against.
fn of_owner(key: KeyId, policies: &Policies, policy: &Policy) -> Result<Counted, Fault> {
    let usage = policies.owners_usage(key)?;
    let bounds = policy.bounds(policies.since(&policy.name)?).into_iter().collect();
    Ok(Counted { usage, bounds, suspended: false })
}
