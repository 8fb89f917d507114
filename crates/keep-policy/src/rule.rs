//! One rule of a policy.

use keep_types::{Intent, Kind, Operation};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What a matching rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Allowed without asking.
    #[n(0)]
    Allow,
    /// A person decides.
    #[n(1)]
    Ask,
    /// Refused without asking.
    #[n(2)]
    Deny,
}

/// Which event kinds a rule is about. Only `sign_event` has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum Kinds {
    /// Every kind, and requests that sign no event.
    #[n(0)]
    Any,
    /// These kinds.
    #[n(1)]
    Only(#[n(0)] Vec<u16>),
}

/// A rule: if the request is like this, then this is the effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Rule {
    /// What happens.
    #[n(0)]
    pub effect: Effect,
    /// For these operations.
    #[cbor(n(1), with = "operations")]
    pub operations: Vec<Operation>,
    /// For events of these kinds.
    #[n(2)]
    pub kinds: Kinds,
    /// Only events whose every `relay` tag names a relay that the bunker itself uses (NIP-42 authentication, kind 22242:
    /// a signature for another relay would let the client pose as the user there).
    #[n(3)]
    pub own_relays_only: bool,
}

impl Rule {
    /// A rule about `operations`, whatever the kind.
    pub fn new(effect: Effect, operations: &[Operation]) -> Self {
        Self { effect, operations: operations.to_vec(), kinds: Kinds::Any, own_relays_only: false }
    }

    /// A rule about signing events of these kinds.
    pub fn sign(effect: Effect, kinds: &[u16]) -> Self {
        Self { kinds: Kinds::Only(kinds.to_vec()), ..Self::new(effect, &[Operation::SignEvent]) }
    }

    /// The same, only for events that name the bunker's own relays.
    #[must_use]
    pub const fn own_relays_only(mut self) -> Self {
        self.own_relays_only = true;
        self
    }

    /// Whether this rule is about `intent`. `relays` are those that the bunker uses.
    pub fn matches(&self, intent: &Intent, relays: &[String]) -> bool {
        self.operations.contains(&intent.operation())
            && self.kinds.contain(intent.kind())
            && (!self.own_relays_only || names_only(intent, relays))
    }
}

impl Kinds {
    fn contain(&self, kind: Option<Kind>) -> bool {
        match self {
            Self::Any => true,
            Self::Only(kinds) => kind.is_some_and(|kind| kinds.contains(&kind.as_u16())),
        }
    }
}

/// Whether the event has at least one `relay` tag and all of them name one of `relays`.
fn names_only(intent: &Intent, relays: &[String]) -> bool {
    let Some(event) = intent.event() else { return false };
    let mut named = event
        .tags
        .iter()
        .map(|tag| tag.as_slice())
        .filter(|tag| tag.first().is_some_and(|name| name == "relay"))
        .peekable();
    named.peek().is_some()
        && named.all(|tag| tag.get(1).is_some_and(|url| relays.iter().any(|own| same_relay(own, url))))
}

/// Relay addresses are compared without the slash at their end; scheme and host do not depend on case, the path does.
fn same_relay(a: &str, b: &str) -> bool {
    let split = |url: &str| {
        let url = url.trim_end_matches('/');
        let host = url.find("://").map_or(0, |at| at + 3);
        let path = url[host..].find('/').map_or(url.len(), |at| host + at);
        (url[..path].to_ascii_lowercase(), url[path..].to_owned())
    };
    split(a) == split(b)
}

/// Operations are stored as their words, so that new ones never change the meaning of stored rules.
mod operations {
    use keep_types::Operation;
    use minicbor::decode::Error;
    use minicbor::encode::Write;
    use minicbor::{Decoder, Encoder};

    pub fn encode<C, W: Write>(
        operations: &[Operation],
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(operations.len() as u64)?;
        operations.iter().try_for_each(|op| e.str(op.as_str()).map(|_| ()))
    }

    pub fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Vec<Operation>, Error> {
        let words: Vec<&str> = d.array_iter::<&str>()?.collect::<Result<_, _>>()?;
        words.into_iter().map(|word| word.parse().map_err(|_| Error::message("unknown operation"))).collect()
    }
}
