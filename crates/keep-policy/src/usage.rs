//! How often a grant was used.

use keep_types::{Collection, KeyId, Record, Timestamp};
use minicbor::{Decode, Encode};

use crate::{Limits, Spent};

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

impl Record for Usage {
    const COLLECTION: Collection = Collection::Usage;
}

/// Which limit a request would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// The grant has ended.
    #[error("the grant expired at {0}")]
    Expired(Timestamp),
    /// All uses are spent.
    #[error("all {0} uses of the grant are spent")]
    Spent(u64),
    /// Too many in this minute.
    #[error("more than {0} requests in one minute")]
    Rate(u32),
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
        if let Some(uses) = limits.uses.filter(|uses| self.total >= *uses) {
            return Err(Exceeded::Spent(uses));
        }
        let in_minute = if self.minute == now.as_secs() / 60 { self.in_minute } else { 0 };
        match limits.per_minute {
            Some(most) if in_minute >= most => Err(Exceeded::Rate(most)),
            Some(_) | None => Ok(()),
        }
    }

    /// Counts one refusal at `now`; says whether it is to be recorded. A client that is refused without end must not fill
    /// the disk: beyond [`Self::RECORDED_REFUSALS`] in a minute, refusals are answered and leave no trace.
    pub const fn count_refusal(&mut self, now: Timestamp) -> bool {
        let minute = now.as_secs() / 60;
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

    /// Counts one use at `now`.
    pub const fn count(&mut self, now: Timestamp) {
        let minute = now.as_secs() / 60;
        if self.minute != minute {
            self.minute = minute;
            self.in_minute = 0;
        }
        self.in_minute = self.in_minute.saturating_add(1);
        self.total = self.total.saturating_add(1);
        self.last = now;
    }
}
