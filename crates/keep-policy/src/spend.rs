//! Limits on what may be spent, in satoshis, and what was spent.
//!
//! [`SpendLimits`] stand in a client's policy and, set by the owner, on a key itself: then they hold for everybody who
//! uses the key, the owner included. [`Spent`] is the counter beside them, kept inside the store's write lock.

use std::time::Duration;

use keep_types::{Destination, DisplayText, SpendFacts, Timestamp};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// At most so many satoshis in any window of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Budget {
    /// How many satoshis may leave, fees included.
    #[n(0)]
    pub sats: u64,
    /// In any so many seconds.
    #[n(1)]
    pub window_secs: u64,
}

/// Limits on spending. What is `None` or empty limits nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
#[serde(deny_unknown_fields, default)]
pub struct SpendLimits {
    /// If not empty, only these addresses may be paid.
    #[n(0)]
    #[cbor(default)]
    pub allow: Vec<String>,
    /// These addresses may not be paid.
    #[n(1)]
    #[cbor(default)]
    pub block: Vec<String>,
    /// The most that may leave with one transaction, fee included.
    #[n(2)]
    pub per_transaction_sats: Option<u64>,
    /// The most that may leave in a window of time, fees included.
    #[n(3)]
    #[cbor(default)]
    pub budgets: Vec<Budget>,
    /// The highest fee.
    #[n(4)]
    pub max_fee_sats: Option<u64>,
    /// The highest fee rate, in satoshis per 1,000 virtual bytes.
    #[n(5)]
    pub max_fee_rate_sats_per_kvb: Option<u64>,
    /// What leaves with one transaction above this is asked of a person, whatever the rules say. The owner at the command
    /// line is not asked.
    #[n(6)]
    pub ask_above_sats: Option<u64>,
}

/// Why limits do not allow a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Overspend {
    /// What leaves cannot be told.
    #[error("the transaction does not say how much leaves, and there is a limit on it")]
    UnknownAmount,
    /// What is to be signed may be a transaction, and nothing of it can be seen.
    #[error("32 raw bytes may be the hash of a transaction, and there are limits on what may be spent")]
    Unseen,
    /// The signature would leave the outputs open to change.
    #[error("the signature would not fix where the coins go, and there is a limit on it")]
    OpenOutputs,
    /// The signature would leave the inputs or outputs, and with them the fee, open to change.
    #[error("the signature would not fix the fee, and there is a limit on it")]
    OpenFee,
    /// A destination is on the block list.
    #[error("output {output} pays to {address}, which is blocked")]
    Blocked {
        /// The index of the output.
        output: usize,
        /// Its address.
        address: DisplayText,
    },
    /// A destination is not on the allow list.
    #[error("output {output} pays to {}, which is not on the allow list", .address.as_ref().map_or("a script without address", |a| a.as_str()))]
    NotAllowed {
        /// The index of the output.
        output: usize,
        /// Its address, if it has one.
        address: Option<DisplayText>,
    },
    /// Too much for one transaction.
    #[error("{leaving} sats would leave, over the limit of {limit} for one transaction")]
    Transaction {
        /// What would leave, in satoshis.
        leaving: u64,
        /// The limit.
        limit: u64,
    },
    /// Too much for a window.
    #[error("{leaving} sats would leave after {} before; the budget is {limit} in {}", before(*.spent), span(*.window_secs))]
    Budget {
        /// What would leave, in satoshis.
        leaving: u64,
        /// What has left in the window.
        spent: u64,
        /// The limit.
        limit: u64,
        /// The length of the window.
        window_secs: u64,
    },
    /// The fee is too high.
    #[error("the fee is {fee} sats, over the limit of {limit}")]
    Fee {
        /// The fee.
        fee: u64,
        /// The limit.
        limit: u64,
    },
    /// The fee rate is too high. Both in satoshis per 1,000 virtual bytes.
    #[error("the fee rate is {} sat/vB, over the limit of {}", rate / 1000, limit / 1000)]
    FeeRate {
        /// The fee rate.
        rate: u64,
        /// The limit.
        limit: u64,
    },
}

impl SpendLimits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a transaction keeps within the limits after what was `spent`.
    ///
    /// # Errors
    /// The first limit that it would exceed.
    pub fn check(&self, facts: &SpendFacts, spent: &Spent, now: Timestamp) -> Result<(), Overspend> {
        self.check_destinations(facts)?;
        self.check_fee(facts)?;
        if self.per_transaction_sats.is_none() && self.budgets.is_empty() {
            return Ok(());
        }
        let leaving = facts.leaving_sats.ok_or(Overspend::UnknownAmount)?;
        if let Some(limit) = self.per_transaction_sats.filter(|limit| leaving > *limit) {
            return Err(Overspend::Transaction { leaving, limit });
        }
        for budget in &self.budgets {
            let (limit, window_secs) = (budget.sats, budget.window_secs);
            let before = spent.within(window_secs, now);
            if before.saturating_add(leaving) > limit {
                return Err(Overspend::Budget { leaving, spent: before, limit, window_secs });
            }
        }
        Ok(())
    }

    /// Whether it is limited how much may leave: with each transaction, or in a window of time.
    pub const fn caps_amounts(&self) -> bool {
        self.per_transaction_sats.is_some() || !self.budgets.is_empty()
    }

    /// Whether a person must be asked because of the amount.
    pub fn asks(&self, facts: &SpendFacts) -> bool {
        self.ask_above_sats.is_some_and(|limit| facts.leaving_sats.is_none_or(|leaving| leaving > limit))
    }

    fn check_destinations(&self, facts: &SpendFacts) -> Result<(), Overspend> {
        if self.allow.is_empty() && self.block.is_empty() {
            return Ok(());
        }
        if !facts.outputs_fixed {
            return Err(Overspend::OpenOutputs);
        }
        for to in &facts.destinations {
            let output = to.output;
            if let Some(address) = to.address.as_ref().filter(|_| lists(&self.block, to)) {
                return Err(Overspend::Blocked { output, address: address.clone() });
            }
            // An output of data to which nothing is paid has no destination.
            let pays = to.address.is_some() || to.amount_sats > 0;
            let allowed = lists(&self.allow, to);
            if pays && !self.allow.is_empty() && !allowed {
                return Err(Overspend::NotAllowed { output, address: to.address.clone() });
            }
        }
        Ok(())
    }

    fn check_fee(&self, facts: &SpendFacts) -> Result<(), Overspend> {
        let limited = self.max_fee_sats.is_some() || self.max_fee_rate_sats_per_kvb.is_some();
        if limited && !(facts.inputs_fixed && facts.outputs_fixed) {
            return Err(Overspend::OpenFee);
        }
        if let Some(limit) = self.max_fee_sats {
            let fee = facts.fee_sats.ok_or(Overspend::UnknownAmount)?;
            if fee > limit {
                return Err(Overspend::Fee { fee, limit });
            }
        }
        if let Some(limit) = self.max_fee_rate_sats_per_kvb {
            let rate = facts.fee_rate_sats_per_kvb.ok_or(Overspend::UnknownAmount)?;
            if rate > limit {
                return Err(Overspend::FeeRate { rate, limit });
            }
        }
        Ok(())
    }
}

/// Whether the list names the script, by its address on any network: which network is meant is the asker's word. Bech32
/// addresses do not depend on case, and nobody mixes cases; base58 addresses do.
fn lists(list: &[String], to: &Destination) -> bool {
    let is_bech32 =
        |text: &str| text.split_once('1').is_some_and(|(hrp, _)| matches!(hrp, "bc" | "tb" | "bcrt"));
    let is = |listed: &str, address: &str| {
        listed == address || (is_bech32(address) && listed.eq_ignore_ascii_case(address))
    };
    let mut addresses = to.address.iter().chain(&to.elsewhere);
    addresses.any(|address| list.iter().any(|listed| is(listed.trim(), address.as_str())))
}

/// What has left with transactions that were allowed, signed or not: counted when it is allowed and never given back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Spent(#[n(0)] Vec<Slot>);

/// What was allowed in one slot of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Slot {
    /// Its beginning, in Unix seconds.
    #[n(0)]
    start: u64,
    /// Its end, in Unix seconds: the time of the last transaction in it.
    #[n(1)]
    last: u64,
    #[n(2)]
    sats: u64,
}

/// How many slots the longest window is divided into. A slot counts until all of it is out of the window, so that the
/// budget holds for every window, at the price of freeing it by up to this part of the window later.
const SLOTS: u64 = 64;

impl Spent {
    /// What has left in the `window_secs` before `now`, in satoshis; rather more than less.
    pub fn within(&self, window_secs: u64, now: Timestamp) -> u64 {
        let recent = self.0.iter().filter(|slot| slot.last.saturating_add(window_secs) > now.as_secs());
        recent.fold(0, |sum, slot| sum.saturating_add(slot.sats))
    }

    /// Spends every budget for the length of its window from `now` on: for counters that may be behind what was really spent.
    pub fn exhaust(&mut self, now: Timestamp) {
        self.0 = vec![Slot { start: now.as_secs(), last: now.as_secs(), sats: u64::MAX }];
    }

    /// Counts what a transaction lets leave. An unknown amount was allowed by limits that ask for none, and counts as all
    /// there can be for those that come later.
    pub fn count(&mut self, limits: &SpendLimits, facts: &SpendFacts, now: Timestamp) {
        let Some(window) = limits.budgets.iter().map(|budget| budget.window_secs).max() else { return };
        let (now, sats) = (now.as_secs(), facts.leaving_sats.unwrap_or(u64::MAX));
        self.0.retain(|slot| slot.last.saturating_add(window) > now);
        let shortest = limits.budgets.iter().map(|budget| budget.window_secs).min().unwrap_or(window);
        let width = (shortest / SLOTS).max(window / (SLOTS * SLOTS));
        match self.0.last_mut().filter(|slot| now < slot.start.saturating_add(width.max(1))) {
            Some(slot) => {
                slot.last = slot.last.max(now);
                slot.sats = slot.sats.saturating_add(sats);
            }
            None => self.0.push(Slot { start: now, last: now, sats }),
        }
    }
}

/// What was spent, in words for what is not known.
fn before(spent: u64) -> String {
    if spent == u64::MAX { "an unknown amount".to_owned() } else { spent.to_string() }
}

/// A length of time in the largest unit that it is whole in.
fn span(secs: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let whole = units.iter().find(|(unit, _)| secs > 0 && secs.is_multiple_of(*unit));
    whole.map_or_else(
        || format!("{:?}", Duration::from_secs(secs)),
        |(unit, word)| format!("{}{word}", secs / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: &str = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr";
    const EVE: &str = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2";

    fn pays(address: Option<&str>, sats: u64, fee: u64) -> SpendFacts {
        SpendFacts {
            leaving_sats: Some(sats + fee),
            fee_sats: Some(fee),
            fee_rate_sats_per_kvb: Some(fee * 10),
            destinations: vec![Destination {
                output: 0,
                address: address.map(DisplayText::new),
                elsewhere: Vec::new(),
                amount_sats: sats,
            }],
            signable_inputs: 1,
            outputs_fixed: true,
            inputs_fixed: true,
            ..SpendFacts::default()
        }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn check(limits: &SpendLimits, facts: &SpendFacts) -> Result<(), Overspend> {
        limits.check(facts, &Spent::default(), at(1_000))
    }

    #[test]
    fn no_limits_allow_everything() {
        assert!(SpendLimits::default().is_empty() && !SpendLimits::default().caps_amounts());
        assert_eq!(check(&SpendLimits::default(), &SpendFacts::default()), Ok(()));
    }

    #[test]
    fn lists_name_destinations() {
        let allow = SpendLimits { allow: vec![BOB.to_uppercase()], ..SpendLimits::default() };
        assert_eq!(check(&allow, &pays(Some(BOB), 1, 1)), Ok(()));
        assert!(matches!(
            check(&allow, &pays(Some(EVE), 1, 1)),
            Err(Overspend::NotAllowed { output: 0, .. })
        ));
        assert!(matches!(check(&allow, &pays(None, 1, 1)), Err(Overspend::NotAllowed { address: None, .. })));
        assert_eq!(check(&allow, &pays(None, 0, 1)), Ok(()), "data is no destination");
        let block = SpendLimits { block: vec![EVE.into()], ..SpendLimits::default() };
        assert_eq!(check(&block, &pays(Some(BOB), 1, 1)), Ok(()));
        assert!(matches!(check(&block, &pays(Some(EVE), 1, 1)), Err(Overspend::Blocked { .. })));
        let lower = SpendLimits { block: vec![EVE.to_lowercase()], ..SpendLimits::default() };
        assert_eq!(check(&lower, &pays(Some(EVE), 1, 1)), Ok(()), "base58 depends on case");
        // The asker says which network it is: the script is what is listed.
        let mut elsewhere =
            pays(Some("tb1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqp3mvzv"), 1, 1);
        elsewhere.destinations[0].elsewhere = vec![DisplayText::new(BOB)];
        assert_eq!(check(&allow, &elsewhere), Ok(()));
        let bob = SpendLimits { block: vec![BOB.to_owned()], ..SpendLimits::default() };
        assert!(matches!(check(&bob, &elsewhere), Err(Overspend::Blocked { .. })));
        let open = SpendFacts { outputs_fixed: false, ..pays(Some(BOB), 1, 1) };
        assert_eq!(check(&block, &open), Err(Overspend::OpenOutputs));
    }

    #[test]
    fn amounts_and_fees_are_limited_to_the_last_satoshi() {
        let limits = SpendLimits {
            per_transaction_sats: Some(1_000),
            max_fee_sats: Some(100),
            max_fee_rate_sats_per_kvb: Some(900),
            ..SpendLimits::default()
        };
        assert_eq!(check(&limits, &pays(Some(BOB), 910, 90)), Ok(()));
        assert_eq!(
            check(&limits, &pays(Some(BOB), 911, 90)),
            Err(Overspend::Transaction { leaving: 1_001, limit: 1_000 })
        );
        assert_eq!(check(&limits, &pays(Some(BOB), 1, 101)), Err(Overspend::Fee { fee: 101, limit: 100 }));
        assert_eq!(
            check(&limits, &pays(Some(BOB), 1, 91)),
            Err(Overspend::FeeRate { rate: 910, limit: 900 })
        );
        for open in [
            SpendFacts { inputs_fixed: false, ..pays(Some(BOB), 1, 1) },
            SpendFacts { outputs_fixed: false, ..pays(Some(BOB), 1, 1) },
        ] {
            assert_eq!(check(&limits, &open), Err(Overspend::OpenFee));
        }
        let unknown = SpendFacts { leaving_sats: None, ..pays(Some(BOB), 1, 1) };
        assert_eq!(check(&limits, &unknown), Err(Overspend::UnknownAmount));
        let ask = SpendLimits { ask_above_sats: Some(10), ..SpendLimits::default() };
        assert!(!ask.asks(&pays(Some(BOB), 9, 1)) && ask.asks(&pays(Some(BOB), 10, 1)) && ask.asks(&unknown));
    }

    #[test]
    fn budgets_hold_in_every_window() {
        let budgets = vec![Budget { sats: 100, window_secs: 640 }, Budget { sats: 250, window_secs: 6_400 }];
        let limits = SpendLimits { budgets, ..SpendLimits::default() };
        let mut spent = Spent::default();
        let mut allowed: Vec<(u64, u64)> = Vec::new();
        for now in (10_000..60_000).step_by(37) {
            let facts = pays(Some(BOB), now % 50, 1);
            if limits.check(&facts, &spent, at(now)).is_ok() {
                spent.count(&limits, &facts, at(now));
                allowed.push((now, facts.leaving_sats.unwrap()));
            }
            for budget in &limits.budgets {
                let in_window = allowed.iter().filter(|(then, _)| then + budget.window_secs > now);
                assert!(in_window.map(|(_, sats)| sats).sum::<u64>() <= budget.sats, "at {now}");
            }
        }
        assert!(allowed.len() > 50, "a budget frees itself: {}", allowed.len());
        assert!(spent.0.len() as u64 <= SLOTS * SLOTS);
    }

    #[test]
    fn a_budget_that_may_be_spent_is_spent_for_its_window() {
        let budgets = vec![Budget { sats: 100, window_secs: 60 }, Budget { sats: 500, window_secs: 3_600 }];
        let limits = SpendLimits { budgets, ..SpendLimits::default() };
        let mut spent = Spent::default();
        spent.count(&limits, &pays(None, 0, 10), Timestamp::from_secs(900));
        spent.exhaust(Timestamp::from_secs(1_000));
        let check = |sats, now| limits.check(&pays(None, 0, sats), &spent, Timestamp::from_secs(now));
        let error = check(1, 1_000).unwrap_err().to_string();
        assert_eq!(error, "1 sats would leave after an unknown amount before; the budget is 100 in 1m");
        assert!(check(1, 1_060).unwrap_err().to_string().ends_with("the budget is 500 in 1h"));
        assert!(check(1, 4_599).is_err());
        assert_eq!(check(100, 4_600), Ok(()));
    }

    #[test]
    fn a_budget_is_free_again_after_its_window() {
        let limits =
            SpendLimits { budgets: vec![Budget { sats: 100, window_secs: 3_600 }], ..SpendLimits::default() };
        let mut spent = Spent::default();
        let facts = pays(Some(BOB), 99, 1);
        spent.count(&limits, &facts, at(1_000));
        let error = limits.check(&pays(Some(BOB), 0, 1), &spent, at(4_599)).unwrap_err();
        assert_eq!(error.to_string(), "1 sats would leave after 100 before; the budget is 100 in 1h");
        assert_eq!(limits.check(&facts, &spent, at(4_600)), Ok(()));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let limits = SpendLimits {
            allow: vec![BOB.into()],
            budgets: vec![Budget { sats: 1, window_secs: 2 }],
            ask_above_sats: Some(3),
            ..SpendLimits::default()
        };
        let mut spent = Spent::default();
        spent.count(&limits, &pays(None, 1, 1), at(9));
        let bytes = minicbor::to_vec((&limits, &spent)).unwrap();
        assert_eq!(minicbor::decode::<(SpendLimits, Spent)>(&bytes).unwrap(), (limits, spent));
        assert_eq!(minicbor::decode::<SpendLimits>(&[0xa0]).unwrap(), SpendLimits::default());
    }
}
