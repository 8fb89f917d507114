//! One rule of a policy.

use std::borrow::Cow;

use keep_types::{Operation, Timestamp};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::condition::{named_relays, same_relay, signs_in_at};
use crate::{
    ContentRule, Facts, Fit, Peers, PlaintextClass, PlaintextClasses, RuleLimits, Schedule, TagRules,
};

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

impl Effect {
    /// The word: `allow`, `ask`, `deny`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

/// How many persons must approve what is asked.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Encode, Decode,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// The owner, or whoever the owner lets approve.
    #[default]
    #[n(0)]
    Owner,
    /// Two different persons.
    #[n(1)]
    TwoPersons,
}

impl Approval {
    /// How many persons that are.
    pub const fn persons(self) -> u8 {
        match self {
            Self::Owner => 1,
            Self::TwoPersons => 2,
        }
    }
}

/// Which event kinds a rule is about. Only `sign_event` has one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Kinds {
    /// Every kind, and requests that sign no event.
    #[n(0)]
    Any,
    /// These kinds.
    #[n(1)]
    Only(#[n(0)] Vec<u16>),
    /// Kinds in these ranges, both ends included.
    #[n(2)]
    Ranges(#[n(0)] Vec<(u16, u16)>),
}

/// A rule: if the request is like this, then this is the effect. Every condition that is there must hold.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
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
    /// Only events with such tags.
    #[n(4)]
    pub tags: Option<TagRules>,
    /// Only events with such content, or encryption of such text.
    #[n(5)]
    pub content: Option<ContentRule>,
    /// Only encryption to, or decryption from, these people.
    #[n(6)]
    pub peers: Option<Peers>,
    /// Not for these people.
    #[n(7)]
    pub not_peers: Option<Peers>,
    /// Only events whose every `relay` tag names one of these relays, or one of the bunker's own if
    /// [`own_relays_only`](Self::own_relays_only) is set too.
    #[n(8)]
    pub relays: Option<Vec<String>>,
    /// Only events that sign in over HTTP at one of these hosts (NIP-98).
    #[n(9)]
    pub hosts: Option<Vec<String>>,
    /// Only plaintexts of these classes. What a decryption gives is looked at before it is released.
    #[n(10)]
    pub plaintext: Option<PlaintextClasses>,
    /// Only at these times.
    #[n(11)]
    pub schedule: Option<Schedule>,
    /// Who must approve, where the effect is to ask.
    #[n(12)]
    pub approval: Option<Approval>,
    /// Only before this time.
    #[n(13)]
    pub until: Option<Timestamp>,
    /// What the rule is for, in the owner's words.
    #[n(14)]
    pub name: Option<String>,
    /// How often each client may do what it is about.
    #[n(15)]
    pub limits: Option<RuleLimits>,
}

impl Rule {
    /// A rule about `operations`, whatever the kind.
    pub fn new(effect: Effect, operations: &[Operation]) -> Self {
        Self {
            effect,
            operations: operations.to_vec(),
            kinds: Kinds::Any,
            own_relays_only: false,
            tags: None,
            content: None,
            peers: None,
            not_peers: None,
            relays: None,
            hosts: None,
            plaintext: None,
            schedule: None,
            approval: None,
            until: None,
            name: None,
            limits: None,
        }
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

    /// Whether this rule is about the request, and if not, why not.
    pub fn fit(&self, facts: &Facts<'_>) -> Fit {
        if !self.operations.contains(&facts.operation) {
            return no("it is about other methods");
        }
        match self.kinds.fit(facts) {
            Fit::Yes => {}
            other => return other,
        }
        if self.until.is_some_and(|until| facts.now >= until) {
            return no("its time is over");
        }
        if self.schedule.is_some_and(|schedule| !schedule.contains(facts.now)) {
            return no("it is for other hours");
        }
        // What does not fit decides before what is not known.
        let checks =
            [self.fit_event(facts), self.fit_peer(facts), self.fit_content(facts), self.fit_class(facts)];
        let first = |wanted: fn(&Fit) -> bool| checks.iter().find(|fit| wanted(fit)).cloned();
        first(|fit| matches!(fit, Fit::No(_)))
            .or_else(|| first(|fit| matches!(fit, Fit::Unknown(_))))
            .unwrap_or(Fit::Yes)
    }

    fn fit_event(&self, facts: &Facts<'_>) -> Fit {
        let about_relays = self.own_relays_only || self.relays.is_some();
        if self.tags.is_none() && self.hosts.is_none() && !about_relays {
            return Fit::Yes;
        }
        if facts.operation != Operation::SignEvent {
            return no("it is about events");
        }
        let Some(event) = facts.event else { return Fit::Unknown("the event's tags") };
        if let Some(why) = self.tags.as_ref().and_then(|tags| tags.mismatch(event)) {
            return Fit::No(why.into());
        }
        if self.hosts.as_ref().is_some_and(|hosts| !signs_in_at(event, hosts)) {
            return no("it does not sign in at one of the hosts");
        }
        if about_relays && !self.names_only_its_relays(facts, event) {
            return no("it does not name its relays only");
        }
        Fit::Yes
    }

    /// Whether the event has at least one `relay` tag and all of them name a relay of the rule.
    fn names_only_its_relays(&self, facts: &Facts<'_>, event: &keep_types::UnsignedEvent) -> bool {
        let own = if self.own_relays_only { facts.relays } else { &[] };
        let listed = self.relays.as_deref().unwrap_or_default();
        let is_ours = |url: &str| own.iter().chain(listed).any(|ours| same_relay(ours, url));
        let mut named = named_relays(event).peekable();
        named.peek().is_some() && named.all(|url| url.is_some_and(is_ours))
    }

    fn fit_peer(&self, facts: &Facts<'_>) -> Fit {
        if self.peers.is_none() && self.not_peers.is_none() {
            return Fit::Yes;
        }
        let Some(peer) = facts.peer else {
            return if facts.operation.has_peer() {
                Fit::Unknown("the other side")
            } else {
                no("it is about messages")
            };
        };
        let about_oneself = |peers: &Option<Peers>| peers.as_ref().is_some_and(|peers| peers.own);
        let Some(identity) = facts.identity else {
            if about_oneself(&self.peers) || about_oneself(&self.not_peers) {
                return Fit::Unknown("whose key it is");
            }
            return self.fit_known_peer(peer, peer);
        };
        self.fit_known_peer(peer, identity)
    }

    fn fit_known_peer(&self, peer: &keep_types::PublicKey, identity: &keep_types::PublicKey) -> Fit {
        if self.peers.as_ref().is_some_and(|peers| !peers.contain(peer, identity)) {
            return no("it is about other people");
        }
        if self.not_peers.as_ref().is_some_and(|peers| peers.contain(peer, identity)) {
            return no("it leaves this person out");
        }
        Fit::Yes
    }

    fn fit_content(&self, facts: &Facts<'_>) -> Fit {
        let Some(content) = &self.content else { return Fit::Yes };
        let text = match (facts.event, facts.plaintext) {
            (Some(event), _) => event.content.as_str(),
            (None, Some(text)) => text,
            (None, None) if facts.operation.has_text() => return Fit::Unknown("the content"),
            (None, None) => return no("it is about what is written"),
        };
        content.mismatch(text).map_or(Fit::Yes, |why| Fit::No(why.into()))
    }

    fn fit_class(&self, facts: &Facts<'_>) -> Fit {
        let Some(classes) = self.plaintext else { return Fit::Yes };
        match facts.class.or_else(|| facts.plaintext.map(PlaintextClass::of)) {
            Some(class) if classes.contains(class) => Fit::Yes,
            Some(class) => Fit::No(format!("it is about other plaintexts than {class}").into()),
            None if facts.operation.has_peer() => Fit::Unknown("what the plaintext is"),
            None => no("it is about plaintexts"),
        }
    }
}

impl Kinds {
    fn fit(&self, facts: &Facts<'_>) -> Fit {
        let within = match (self, facts.kind) {
            (Self::Any, _) => true,
            (Self::Only(kinds), Some(kind)) => kinds.contains(&kind),
            (Self::Ranges(ranges), Some(kind)) => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&kind))
            }
            (Self::Only(_) | Self::Ranges(_), None) => false,
        };
        if within { Fit::Yes } else { no("it is about other kinds") }
    }
}

const fn no(why: &'static str) -> Fit {
    Fit::No(Cow::Borrowed(why))
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
