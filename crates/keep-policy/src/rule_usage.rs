//! Limits on one rule of a policy, and how often a client used it.

use keep_types::Timestamp;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{Exceeded, Limits, Policy, Rule, Usage};

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
            let used = self.rules.iter().find(|used| used.rule == mark(rule));
            let used = used.map(RuleUsage::counters).unwrap_or_default();
            used.check(&limits.limits(), now).map_err(|exceeded| (at + 1, exceeded))
        })
    }

    /// Counts one use of each of these rules that has limits. What was counted for rules that the policy no longer has is
    /// forgotten.
    pub(crate) fn count_rules(&mut self, policy: &Policy, places: &[usize], now: Timestamp) {
        for (_, rule, _) in limited(policy, places) {
            let mark = mark(rule);
            let at = self.rules.iter().position(|used| used.rule == mark);
            let mut used = at.map_or_else(Self::default, |at| self.rules.swap_remove(at).counters());
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
}
