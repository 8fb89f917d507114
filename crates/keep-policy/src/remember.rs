//! Decisions of a person that hold for longer than one request.

use keep_types::{Operation, Request, Timestamp};
use serde::{Deserialize, Serialize};

use crate::condition::{host, named_relays};
use crate::{Effect, Kinds, Rule};

/// For what else a decision holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breadth {
    /// For requests of the same method, and for events of the same kind. Signing in to a relay or over HTTP: to the same
    /// relays or host.
    Kind,
    /// For everything that this client asks.
    Client,
}

/// A decision that holds for longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Remember {
    /// For what.
    pub breadth: Breadth,
    /// Until when; without a time, for always.
    pub until: Option<Timestamp>,
}

/// The kind of NIP-42, signing in to a relay.
const RELAY_AUTH: u16 = 22242;
/// The kind of NIP-98, signing in over HTTP.
const HTTP_AUTH: u16 = 27235;

impl Remember {
    /// The rule that keeps the decision `effect` about `request`.
    pub fn rule(self, effect: Effect, request: &Request) -> Rule {
        let rule = match self.breadth {
            Breadth::Client => Rule::new(effect, &Operation::for_clients()),
            Breadth::Kind => of_kind(effect, request),
        };
        Rule { until: self.until, name: Some("decided when asked".to_owned()), ..rule }
    }
}

fn of_kind(effect: Effect, request: &Request) -> Rule {
    let mut rule = Rule::new(effect, &[request.intent.operation()]);
    let Some(event) = request.intent.event() else { return rule };
    let kind = event.kind.as_u16();
    rule.kinds = Kinds::Only(vec![kind]);
    if kind == RELAY_AUTH {
        rule.relays = Some(named_relays(event).flatten().map(str::to_owned).collect());
    }
    if kind == HTTP_AUTH {
        let hosts = event
            .tags
            .iter()
            .map(|tag| tag.as_slice())
            .filter(|tag| tag.first().is_some_and(|name| name == "u"));
        rule.hosts = Some(hosts.filter_map(|tag| tag.get(1).and_then(|url| host(url))).collect());
    }
    rule
}
