//! `explain`: which rule decides, and why the others do not.

use keep_policy::{Explanation, Facts, Grant, Policy, Usage, explain};
use keep_signer::{Connections, Endpoint, Policies};
use keep_types::{ErrorCode, EventTemplate, Fault, Operation, PublicKey, Timestamp, UnsignedEvent};
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
        let identity = identity(host, &question, grant.as_ref())?;
        let (operation, event, peer) = read(&question, identity, now)?;
        let facts = Facts {
            operation,
            kind: event.as_ref().map(|event| event.kind.as_u16()),
            event: event.as_ref(),
            peer: peer.as_ref(),
            plaintext: question.content.as_deref().filter(|_| operation.has_peer() && operation.has_text()),
            class: None,
            identity: Some(&identity),
            relays: &relays,
            now,
        };
        let limit = grant.as_ref().map(|grant| limit(host, grant, &policy, now)).transpose()?.flatten();
        Ok(Explained {
            policy: policy.name.clone(),
            explanation: explain(&policy, grant.as_ref(), &facts),
            limit,
        })
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

fn identity(host: &Host, question: &Question, grant: Option<&Grant>) -> Result<PublicKey, Fault> {
    let of_grant = grant.map(|grant| grant.key);
    if question.key.is_none()
        && let Some(id) = of_grant
        && let Some(key) = host.vault().keys()?.into_iter().find(|key| key.id == id)
    {
        return Ok(key.nostr_key());
    }
    Ok(record(host, question.key.as_deref())?.nostr_key())
}

type Read = (Operation, Option<UnsignedEvent>, Option<PublicKey>);

fn read(question: &Question, identity: PublicKey, now: Timestamp) -> Result<Read, Fault> {
    let operation: Operation = question.method.parse().map_err(|_| {
        Fault::new(ErrorCode::Usage, "this is no method").with_hint("for example sign_event or nip44_decrypt")
    })?;
    let event = match (operation, question.kind) {
        (Operation::SignEvent, Some(kind)) => {
            let content = question.content.clone().unwrap_or_default();
            let template = EventTemplate::new(kind, content, question.tags.clone(), now.as_secs());
            Some(template.into_unsigned(identity)?)
        }
        (Operation::SignEvent, None) => {
            return Err(Fault::new(ErrorCode::Usage, "an event has a kind").with_hint("name it with --kind"));
        }
        _ => None,
    };
    let peer = question.peer.as_deref().map(|peer| {
        if peer == "self" {
            return Ok(identity);
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

fn limit(host: &Host, grant: &Grant, policy: &Policy, now: Timestamp) -> Result<Option<String>, Fault> {
    if grant.suspended {
        return Ok(Some("the owner has suspended this client".to_owned()));
    }
    let connections = Connections::new(host.vault().clone());
    let usage: Usage = connections.usage(&grant.client_key(), grant.endpoint)?;
    let bounds = policy.bounds(grant.connected_at).unwrap_or_default();
    let checked = usage.check(&grant.limits, now).and_then(|()| usage.check(&bounds, now));
    Ok(checked.err().map(|exceeded| exceeded.to_string()))
}
