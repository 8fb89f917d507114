//! Which rule decides, and why the others do not.

use serde::{Deserialize, Serialize};

use crate::{Approval, Decided, Effect, Facts, Fit, Grant, Policy, Rule, Source};

/// How one rule stands to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFit {
    /// The rule's number, from 1.
    pub rule: usize,
    /// Whether it is a decision that was remembered for the client, and not a rule of the policy.
    pub remembered: bool,
    /// What it would say.
    pub effect: Effect,
    /// What the owner wrote beside it.
    pub name: Option<String>,
    /// Whether it is about the request; `None` where that depends on something unknown.
    pub matches: Option<bool>,
    /// Why it is not, or on what it depends.
    pub why: Option<String>,
}

/// What a policy says to a request, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What happens.
    pub effect: Effect,
    /// Who must approve, where it asks.
    pub approval: Option<Approval>,
    /// In a sentence.
    pub because: String,
    /// Which plaintexts may be released, where that is not all of them.
    pub releases: Option<Vec<String>>,
    /// Every rule, in order.
    pub rules: Vec<RuleFit>,
}

impl Explanation {
    /// Whether something that is not known here might decide otherwise.
    pub fn is_certain(&self) -> bool {
        self.rules.iter().all(|rule| rule.matches.is_some())
    }
}

/// Explains what `policy`, and what was remembered for the client of `grant`, say to a request.
pub fn explain(policy: &Policy, grant: Option<&Grant>, facts: &Facts<'_>) -> Explanation {
    let decided = grant.map_or_else(|| policy.decide(facts), |grant| grant.decide(policy, facts));
    let remembered = grant.map(|grant| grant.remembered.as_slice()).unwrap_or_default();
    let fits = |rules: &[Rule], remembered| -> Vec<RuleFit> {
        rules.iter().enumerate().map(|(at, rule)| fit(at + 1, rule, remembered, facts)).collect()
    };
    let mut rules = fits(remembered, true);
    rules.extend(fits(&policy.rules, false));
    Explanation {
        effect: decided.effect,
        approval: (decided.effect == Effect::Ask).then_some(decided.approval),
        because: because(policy, &decided),
        releases: (!decided.releases.is_all())
            .then(|| decided.releases.iter().map(|class| class.as_str().to_owned()).collect()),
        rules,
    }
}

fn fit(number: usize, rule: &Rule, remembered: bool, facts: &Facts<'_>) -> RuleFit {
    let (matches, why) = match rule.fit(facts) {
        Fit::Yes => (Some(true), None),
        Fit::No(why) => (Some(false), Some(why.into_owned())),
        Fit::Unknown(what) => (None, Some(format!("it depends on {what}"))),
    };
    RuleFit { rule: number, remembered, effect: rule.effect, name: rule.name.clone(), matches, why }
}

fn because(policy: &Policy, decided: &Decided) -> String {
    let does = match decided.effect {
        Effect::Allow => "allows it",
        Effect::Ask => "asks",
        Effect::Deny => "denies it",
    };
    match decided.source {
        Source::Rule(rule) => format!("rule {rule} of policy {} {does}", policy.name),
        Source::Remembered(_) => format!("an earlier decision of the owner {does}"),
        Source::Otherwise => format!("no rule of policy {} is about it, and then it {does}", policy.name),
    }
}

/// Rules (by number) that can never decide anything, because an earlier rule without conditions covers all that they are
/// about.
pub fn unreachable_rules(policy: &Policy) -> Vec<usize> {
    let covers = |earlier: &Rule, later: &Rule| {
        let bare = Rule {
            effect: Effect::Ask,
            operations: Vec::new(),
            kinds: crate::Kinds::Any,
            approval: None,
            name: None,
            limits: None,
            ..earlier.clone()
        };
        let is_unconditional = bare == Rule::new(Effect::Ask, &[]);
        is_unconditional
            && later.operations.iter().all(|op| earlier.operations.contains(op))
            && (earlier.kinds == crate::Kinds::Any || earlier.kinds == later.kinds)
    };
    let rules = &policy.rules;
    (0..rules.len())
        .filter(|at| rules[..*at].iter().any(|earlier| covers(earlier, &rules[*at])))
        .map(|at| at + 1)
        .collect()
}
