//! Policies.

use keep_types::{Collection, Record, Timestamp};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{
    Approval, Effect, Facts, Fit, Limits, PlaintextClass, PlaintextClasses, PolicyDocument, Rule, SpendLimits,
};

/// Rules under a name. The first that matches decides; what none matches is asked of a person, unless the policy says
/// otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(into = "PolicyDocument", try_from = "PolicyDocument")]
pub struct Policy {
    /// The name, as `--policy` takes it.
    #[n(0)]
    pub name: String,
    /// The rules, in order.
    #[n(1)]
    pub rules: Vec<Rule>,
    /// Limits on spending. They hold for what a rule allows and for what a person approves.
    #[n(2)]
    #[cbor(default)]
    pub spend: SpendLimits,
    /// What happens to requests that no rule is about.
    #[n(3)]
    pub otherwise: Option<Effect>,
    /// Bounds for each client, beside those of its grant.
    #[n(4)]
    pub limits: Option<Limits>,
    /// For how many seconds after a client connected anything is allowed.
    #[n(5)]
    pub lifetime: Option<u64>,
    /// What it is for, in the owner's words.
    #[n(6)]
    pub description: Option<String>,
}

impl Record for Policy {
    const COLLECTION: Collection = Collection::Policies;
}

/// Where a decision came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The rule of the policy with this number, from 1.
    Rule(usize),
    /// What a person decided earlier; its number, the latest first.
    Remembered(usize),
    /// No rule is about it.
    Otherwise,
}

/// What a policy says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// What happens.
    pub effect: Effect,
    /// Why.
    pub source: Source,
    /// Who must approve, where the effect is to ask.
    pub approval: Approval,
    /// Which plaintexts may be released, where a decryption is allowed.
    pub releases: PlaintextClasses,
    /// Which plaintexts are denied whatever a person says.
    pub withheld: PlaintextClasses,
}

impl Decided {
    pub(crate) fn by(rule: &Rule, source: Source) -> Self {
        let approval = rule.approval.unwrap_or_default();
        Self {
            effect: rule.effect,
            source,
            approval,
            releases: PlaintextClasses::ALL,
            withheld: PlaintextClasses::NONE,
        }
    }
}

impl Policy {
    /// The name of the policy under which the owner's own command line is, if the owner made one of this name.
    pub const CLI: &'static str = "cli";

    /// Where the policy of this name lies, among the records that are found by what they are about.
    pub fn natural_key(name: &str) -> Vec<u8> {
        [b"policy:", name.as_bytes()].concat()
    }

    /// What the policy says. A rule whose conditions cannot be checked is about the request only if it denies, except that
    /// a decryption is decided for each class of plaintext that it may turn out to give.
    pub fn decide(&self, facts: &Facts<'_>) -> Decided {
        let by_class = self.rules.iter().any(|rule| rule.plaintext.is_some());
        if !facts.operation.is_decrypting() || !by_class || facts.class.is_some() {
            return self.decide_one(facts);
        }
        let decided = PlaintextClass::ALL.map(|class| (class, self.decide_one(&facts.with_class(class))));
        let classes = |effect: Effect| {
            let of_effect = decided.iter().filter(|(_, one)| one.effect == effect);
            PlaintextClasses::of(&of_effect.map(|(class, _)| *class).collect::<Vec<_>>())
        };
        let withheld = classes(Effect::Deny);
        // What is allowed for some classes is allowed, and only they are released; so with what is asked.
        for effect in [Effect::Allow, Effect::Ask] {
            let strictest =
                decided.iter().filter(|(_, one)| one.effect == effect).max_by_key(|(_, one)| one.approval);
            if let Some((_, one)) = strictest {
                return Decided { releases: classes(effect), withheld, ..*one };
            }
        }
        decided[0].1
    }

    fn decide_one(&self, facts: &Facts<'_>) -> Decided {
        let decides = |rule: &Rule| match rule.fit(facts) {
            Fit::Yes => true,
            Fit::No(_) => false,
            // What may be denied is.
            Fit::Unknown(_) => rule.effect == Effect::Deny,
        };
        match self.rules.iter().position(decides) {
            Some(hit) => Decided::by(&self.rules[hit], Source::Rule(hit + 1)),
            None => Decided {
                effect: self.otherwise.unwrap_or(Effect::Ask),
                source: Source::Otherwise,
                approval: Approval::default(),
                releases: PlaintextClasses::ALL,
                withheld: PlaintextClasses::NONE,
            },
        }
    }

    /// The places of the rules that decide, or that may turn out to, as long as they do not deny: those whose limits count.
    pub(crate) fn deciding(&self, facts: &Facts<'_>) -> Vec<usize> {
        if self.rules.iter().all(|rule| rule.limits.is_none()) {
            return Vec::new();
        }
        let place = |decided: Decided| match decided.source {
            Source::Rule(number) if decided.effect != Effect::Deny => Some(number - 1),
            Source::Rule(_) | Source::Remembered(_) | Source::Otherwise => None,
        };
        if !facts.operation.is_decrypting() || facts.class.is_some() {
            return place(self.decide_one(facts)).into_iter().collect();
        }
        let each = PlaintextClass::ALL.map(|class| place(self.decide_one(&facts.with_class(class))));
        let mut places: Vec<usize> = each.into_iter().flatten().collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The bounds that the policy itself sets on a client that connected at `connected_at`, or, as the policy of the command
    /// line, since it was put there at that time.
    pub fn bounds(&self, connected_at: Timestamp) -> Option<Limits> {
        if self.limits.is_none() && self.lifetime.is_none() {
            return None;
        }
        let mut limits = self.limits.unwrap_or_default();
        if let Some(lifetime) = self.lifetime {
            let end = connected_at.plus(std::time::Duration::from_secs(lifetime));
            limits.expires = Some(limits.expires.map_or(end, |expires| expires.min(end)));
        }
        Some(limits)
    }
}
