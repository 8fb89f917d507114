//! Limits on one rule of a policy, and how often a client used it.

use std::fmt;

use keep_types::Timestamp;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{Exceeded, Facts, Limits, Policy, Reason, Rule, Usage, remaining};

/// How often each client may do what a rule is about. What is more is refused, also where a person was asked.
///
/// Windows are those of [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct RuleLimits {
    /// At most this many uses in all.
    #[n(0)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u64>,
    /// At most this many uses in each minute.
    #[n(1)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// At most this many uses in each hour.
    #[n(2)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
    /// At most this many uses in each day.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<u32>,
}

impl RuleLimits {
    const fn limits(self) -> Limits {
        let Self { uses, per_minute, per_hour, per_day } = self;
        Limits { expires: None, uses, per_minute, per_hour, per_day, schedule: None }
    }
}

impl fmt::Display for RuleLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uses, per_minute, per_hour, per_day } = *self;
        let rate = |most: Option<u32>, window: &str| most.map(|most| format!("{most} a {window}"));
        let all = [
            uses.map(|most| format!("{most} in all")),
            rate(per_minute, "minute"),
            rate(per_hour, "hour"),
            rate(per_day, "day"),
        ];
        f.write_str(&all.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// What the limits of a rule leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleLeft {
    /// The rule's number, from 1.
    pub rule: usize,
    /// Its limits, for each client.
    pub limits: RuleLimits,
    /// How many uses they leave now; `None` where nobody is meant whose uses are counted.
    pub left: Option<u64>,
}

impl Policy {
    /// What the limits of the rules leave that decide about a request, or that may turn out to. `usage` are the counters of whoever
    /// asks.
    pub fn rules_left(&self, facts: &Facts<'_>, usage: Option<&Usage>) -> Vec<RuleLeft> {
        let left = |rule: &Rule, limits: RuleLimits| {
            usage.and_then(|usage| remaining(&limits.limits(), &usage.of_rule(rule), facts.now))
        };
        let places = self.deciding(facts);
        let limited = limited(self, &places);
        limited
            .map(|(at, rule, limits)| RuleLeft { rule: at + 1, limits, left: left(rule, limits) })
            .collect()
    }
}

/// How often a client used one rule.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RuleUsage {
    /// Which rule, by what it says: it counts on when others are put before it, and anew when it is changed.
    #[n(0)]
    rule: u64,
    /// Uses in all.
    #[n(1)]
    total: u64,
    /// The time of the last use.
    #[n(2)]
    last: Timestamp,
    /// Uses in the minute of the last use.
    #[n(3)]
    in_minute: u32,
    /// Uses in its hour.
    #[n(4)]
    in_hour: u32,
    /// Uses in its day.
    #[n(5)]
    in_day: u32,
}

impl RuleUsage {
    fn counters(&self) -> Usage {
        let Self { rule: _, total, last, in_minute, in_hour, in_day } = *self;
        Usage { total, last, in_minute, in_hour, in_day, ..Usage::default() }
    }

    /// Spends its rates, as [`Usage::exhaust`] does.
    pub(crate) const fn exhaust(&mut self, now: Timestamp) {
        self.last = now;
        (self.in_minute, self.in_hour, self.in_day) = (u32::MAX, u32::MAX, u32::MAX);
    }
}

impl Usage {
    /// The counters of a rule that has none here.
    fn uncounted(&self) -> Self {
        let mut counters = Self::default();
        if let Some(spent) = self.rules_spent {
            counters.exhaust(spent);
        }
        counters.uses_lost = self.rules_lost;
        counters
    }

    /// Whether one more use keeps within the limits of the rules of `policy` that decide about it.
    ///
    /// # Errors
    /// [`Reason::RuleLimit`] with the first limit that it would exceed.
    pub fn check_deciding(&self, policy: &Policy, facts: &Facts<'_>) -> Result<(), Reason> {
        self.check_rules(policy, &policy.deciding(facts), facts.now)
            .map_err(|(rule, limit)| Reason::RuleLimit { rule, limit })
    }

    /// Counts one use, also for the rules of `policy` that decide about it.
    pub fn count_deciding(&mut self, policy: &Policy, facts: &Facts<'_>) {
        self.count(facts.now);
        self.count_rules(policy, &policy.deciding(facts), facts.now);
    }

    fn of_rule(&self, rule: &Rule) -> Self {
        let mark = mark(rule);
        let used = self.rules.iter().find(|used| used.rule == mark);
        used.map_or_else(|| self.uncounted(), RuleUsage::counters)
    }

    /// Whether one more use at `now` keeps within the limits of the rules of `policy` with these places.
    ///
    /// # Errors
    /// The number of the first rule whose limit it would exceed, from 1, and the limit.
    pub(crate) fn check_rules(
        &self,
        policy: &Policy,
        places: &[usize],
        now: Timestamp,
    ) -> Result<(), (usize, Exceeded)> {
        limited(policy, places).try_for_each(|(at, rule, limits)| {
            self.of_rule(rule).check(&limits.limits(), now).map_err(|exceeded| (at + 1, exceeded))
        })
    }

    /// Counts one use of each of these rules that has limits. What was counted for rules that the policy no longer has is
    /// forgotten.
    pub(crate) fn count_rules(&mut self, policy: &Policy, places: &[usize], now: Timestamp) {
        for (_, rule, _) in limited(policy, places) {
            let mark = mark(rule);
            let at = self.rules.iter().position(|used| used.rule == mark);
            let mut used = at.map_or_else(|| self.uncounted(), |at| self.rules[at].counters());
            self.rules.retain(|used| used.rule != mark);
            used.count(now);
            let Self { total, last, in_minute, in_hour, in_day, .. } = used;
            self.rules.push(RuleUsage { rule: mark, total, last, in_minute, in_hour, in_day });
            let here = |used: &RuleUsage| {
                policy.rules.iter().any(|rule| rule.limits.is_some() && self::mark(rule) == used.rule)
            };
            self.rules.retain(here);
        }
    }
}

fn limited<'a>(
    policy: &'a Policy,
    places: &'a [usize],
) -> impl Iterator<Item = (usize, &'a Rule, RuleLimits)> {
    places.iter().filter_map(|at| {
        let rule = policy.rules.get(*at)?;
        Some((*at, rule, rule.limits?))
    })
}

/// What a rule says, as a number (FNV-1a over its stored form). The owner writes the rules, so nobody looks for two with
/// the same.
fn mark(rule: &Rule) -> u64 {
    let bytes = minicbor::to_vec(rule).unwrap_or_default();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |mark: u64, byte| {
        (mark ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_rules_are_spent_with_the_others() {
        let now = Timestamp::from_secs(1_000_000);
        let used = RuleUsage {
            rule: 7,
            total: 3,
            last: Timestamp::from_secs(5),
            in_minute: 1,
            in_hour: 1,
            in_day: 1,
        };
        let mut usage = Usage { rules: vec![used], ..Usage::default() };
        usage.exhaust(now);
        let counters = usage.rules[0].counters();
        assert_eq!(counters.total, 3);
        for (per_minute, per_hour, per_day) in
            [(Some(9), None, None), (None, Some(9), None), (None, None, Some(9))]
        {
            let limits = RuleLimits { uses: None, per_minute, per_hour, per_day };
            assert!(counters.check(&limits.limits(), now).is_err(), "{limits:?}");
        }
    }

    /// The first use of a rule after its counters may have been lost: no use in the windows of that time, in each window alone.
    #[test]
    fn rates_of_rules_without_counters_are_spent_too() {
        let now = Timestamp::from_secs(1_000_000_000);
        let rule = |limits: RuleLimits| -> Policy {
            let text = "name = \"p\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]\n";
            let mut policy = crate::PolicyDocument::from_toml(text).unwrap().policy().unwrap();
            policy.rules[0].limits = Some(limits);
            policy
        };
        let (minute, hour, day) = (60, 3_600, 86_400);
        let limits = RuleLimits::default();
        for (limits, window) in [
            (RuleLimits { per_minute: Some(2), ..limits }, minute),
            (RuleLimits { per_hour: Some(2), ..limits }, hour),
            (RuleLimits { per_day: Some(2), ..limits }, day),
        ] {
            let policy = rule(limits);
            let mut usage = Usage::default();
            assert!(usage.check_rules(&policy, &[0], now).is_ok());
            usage.exhaust(now);
            assert!(usage.check_rules(&policy, &[0], now).is_err(), "{limits:?}");
            let next = Timestamp::from_secs((now.as_secs() / window + 1) * window);
            for _ in 0..2 {
                assert!(usage.check_rules(&policy, &[0], next).is_ok(), "{limits:?}");
                usage.count_rules(&policy, &[0], next);
            }
            assert!(usage.check_rules(&policy, &[0], next).is_err(), "{limits:?}");
        }
        // A longer window goes on counting when a shorter one is over.
        let policy = rule(RuleLimits { per_minute: Some(2), per_day: Some(2), ..limits });
        let mut usage = Usage::default();
        usage.exhaust(now);
        assert!(usage.check_rules(&policy, &[0], Timestamp::from_secs(now.as_secs() + 120)).is_err());
        // Uses in all are taken only where nothing is left of what was counted, until the owner writes the rule anew.
        let mut lost = Usage::default();
        lost.lose(now);
        let policy = rule(RuleLimits { uses: Some(1), ..limits });
        let later = Timestamp::from_secs(now.as_secs() + 2 * day);
        assert_eq!(lost.check_rules(&policy, &[0], later), Err((1, Exceeded::LostUses(1))));
        lost.begin_rules_anew(now);
        assert_eq!(lost.check_rules(&policy, &[0], later), Err((1, Exceeded::LostUses(1))));
        lost.begin_rules_anew(Timestamp::from_secs(now.as_secs() + 1));
        assert_eq!(lost.check_rules(&policy, &[0], later), Ok(()));
        assert_eq!(
            lost.check(&Limits { uses: Some(1), ..Limits::default() }, later),
            Err(Exceeded::LostUses(1))
        );
        lost.begin_anew(later);
        assert_eq!(lost.check(&Limits { uses: Some(1), ..Limits::default() }, later), Ok(()));
        // Those that are counted are not given back by it, and not taken.
        let policy = rule(RuleLimits { uses: Some(1), ..limits });
        assert!(usage.check_rules(&policy, &[0], now).is_ok());
        usage.count_rules(&policy, &[0], now);
        assert!(usage.check_rules(&policy, &[0], now).is_err());
    }
}
