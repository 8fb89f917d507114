//! How often a grant was used.

use keep_types::{Collection, KeyId, Record, Timestamp};
use minicbor::{Decode, Encode};

use crate::{Exceeded, Limits, RuleUsage, Spent};

/// Counters of authorisations. They are counted when a request is allowed and never given back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Usage {
    /// Uses in all.
    #[n(0)]
    pub total: u64,
    /// The minute (Unix seconds / 60) of the last use.
    #[n(1)]
    pub minute: u64,
    /// Uses in that minute.
    #[n(2)]
    pub in_minute: u32,
    /// The time of the last use.
    #[n(3)]
    pub last: Timestamp,
    /// The minute of the last recorded refusal.
    #[n(4)]
    pub refusal_minute: u64,
    /// Refusals in that minute.
    #[n(5)]
    pub refusals_in_minute: u32,
    /// What was spent, against the limits on spending of the client's policy.
    #[n(6)]
    #[cbor(default)]
    pub spent: Spent,
    /// Uses in the hour of the last use.
    #[cbor(n(7), default)]
    pub in_hour: u32,
    /// Uses in the day (universal time) of the last use.
    #[cbor(n(8), default)]
    pub in_day: u32,
    /// Uses of rules that have limits of their own.
    #[cbor(n(9), default)]
    pub rules: Vec<RuleUsage>,
    /// When the rates of every rule without counters here were spent: they may have been used, and their counters lost.
    #[n(10)]
    pub rules_spent: Option<Timestamp>,
    /// When all that was counted here was lost: what is limited in all counts as spent since.
    #[n(11)]
    pub uses_lost: Option<Timestamp>,
    /// The same for rules without counters here.
    #[n(12)]
    pub rules_lost: Option<Timestamp>,
}

impl Usage {
    /// What identifies the counters of the owner's own uses of `key`, which nothing limits.
    pub fn owner_key(key: KeyId) -> [u8; 21] {
        let mut natural = [0; 21];
        natural[..5].copy_from_slice(b"owner");
        natural[5..].copy_from_slice(key.as_bytes());
        natural
    }
}
/// Seconds of the windows in which rates are counted.
const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

impl Record for Usage {
    const COLLECTION: Collection = Collection::Usage;
}

impl Usage {
    /// Whether one more use at `now` keeps within `limits`.
    ///
    /// # Errors
    /// The first limit that it would exceed.
    pub fn check(&self, limits: &Limits, now: Timestamp) -> Result<(), Exceeded> {
        if let Some(expires) = limits.expires.filter(|expires| now >= *expires) {
            return Err(Exceeded::Expired(expires));
        }
        if let Some(schedule) = limits.schedule.filter(|schedule| !schedule.contains(now)) {
            return Err(Exceeded::OutOfHours(schedule));
        }
        if let Some(uses) = limits.uses.filter(|_| self.uses_lost.is_some()) {
            return Err(Exceeded::LostUses(uses));
        }
        if let Some(uses) = limits.uses.filter(|uses| self.total >= *uses) {
            return Err(Exceeded::Spent(uses));
        }
        self.check_rate(limits.per_minute, MINUTE, self.in_minute, now, Exceeded::Rate)?;
        self.check_rate(limits.per_hour, HOUR, self.in_hour, now, Exceeded::HourlyRate)?;
        self.check_rate(limits.per_day, DAY, self.in_day, now, Exceeded::DailyRate)
    }

    /// Whether one more use keeps within `most` in its window; if not, what that `exceeds`.
    fn check_rate(
        &self,
        most: Option<u32>,
        window: u64,
        used: u32,
        now: Timestamp,
        exceeds: fn(u32) -> Exceeded,
    ) -> Result<(), Exceeded> {
        let used = if self.is_in_window(window, now) { used } else { 0 };
        match most.filter(|most| used >= *most) {
            None => Ok(()),
            Some(most) if used == u32::MAX => {
                let until = Timestamp::from_secs((now.as_secs() / window + 1) * window);
                Err(Exceeded::LostRate { most, window, until })
            }
            Some(most) => Err(exceeds(most)),
        }
    }

    /// How many uses each rate of `limits` leaves in its window.
    pub(crate) fn rates_left(&self, limits: &Limits, now: Timestamp) -> impl Iterator<Item = u64> {
        let left = |most: Option<u32>, window: u64, used: u32| {
            let used = if self.is_in_window(window, now) { used } else { 0 };
            most.map(|most| u64::from(most.saturating_sub(used)))
        };
        let minute = left(limits.per_minute, MINUTE, self.in_minute);
        let hour = left(limits.per_hour, HOUR, self.in_hour);
        let day = left(limits.per_day, DAY, self.in_day);
        [minute, hour, day].into_iter().flatten()
    }

    /// Whether the last use was in the window of `now`.
    const fn is_in_window(&self, seconds: u64, now: Timestamp) -> bool {
        self.last.as_secs() / seconds == now.as_secs() / seconds
    }

    /// Counts one refusal at `now`; says whether it is to be recorded. A client that is refused without end must not fill
    /// the disk: beyond [`Self::RECORDED_REFUSALS`] in a minute, refusals are answered and leave no trace.
    pub const fn count_refusal(&mut self, now: Timestamp) -> bool {
        let minute = now.as_secs() / MINUTE;
        if self.refusal_minute != minute {
            self.refusal_minute = minute;
            self.refusals_in_minute = 0;
        }
        if self.refusals_in_minute >= Self::RECORDED_REFUSALS {
            return false;
        }
        self.refusals_in_minute += 1;
        true
    }

    /// Refusals of one client that are recorded in one minute.
    pub const RECORDED_REFUSALS: u32 = 20;

    /// Spends the rates of the current minute, hour and day, also those of single rules, be they counted here or not, and every
    /// budget for the length of its window: for counters that may be behind what was really used.
    pub fn exhaust(&mut self, now: Timestamp) {
        self.rules.iter_mut().for_each(|rule| rule.exhaust(now));
        self.rules_spent = Some(now);
        self.spent.exhaust(now);
        self.last = now;
        self.minute = now.as_secs() / MINUTE;
        (self.in_minute, self.in_hour, self.in_day) = (u32::MAX, u32::MAX, u32::MAX);
    }

    /// As [`exhaust`](Self::exhaust), where nothing is left of what was counted: what is limited in all counts as spent, too.
    pub fn lose(&mut self, now: Timestamp) {
        self.exhaust(now);
        (self.uses_lost, self.rules_lost) = (Some(now), Some(now));
    }

    /// The owner has written the rules that are counted here at `since`: what was lost before is not theirs.
    pub fn begin_rules_anew(&mut self, since: Timestamp) {
        self.rules_lost = self.rules_lost.filter(|lost| since <= *lost);
    }

    /// The same for all limits in all.
    pub fn begin_anew(&mut self, since: Timestamp) {
        self.uses_lost = self.uses_lost.filter(|lost| since <= *lost);
        self.begin_rules_anew(since);
    }

    /// Counts one use at `now`.
    pub const fn count(&mut self, now: Timestamp) {
        if !self.is_in_window(MINUTE, now) {
            self.in_minute = 0;
        }
        if !self.is_in_window(HOUR, now) {
            self.in_hour = 0;
        }
        if !self.is_in_window(DAY, now) {
            self.in_day = 0;
        }
        self.in_minute = self.in_minute.saturating_add(1);
        self.in_hour = self.in_hour.saturating_add(1);
        self.in_day = self.in_day.saturating_add(1);
        self.total = self.total.saturating_add(1);
        self.minute = now.as_secs() / MINUTE;
        self.last = now;
    }
}
