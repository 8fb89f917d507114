//! Bounds on what is allowed.

use keep_types::{Timestamp, counted};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{LimitsDocument, Schedule};

/// Bounds beyond the rules. Enforced where the request is judged, inside the store's write lock.
///
/// Rates are counted in windows of the clock: the minute, the hour and the day (in universal time) in which the request is
/// judged. So at most twice as many as a rate says happen in any 60 seconds, 60 minutes or 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(into = "LimitsDocument", try_from = "LimitsDocument")]
pub struct Limits {
    /// Nothing is allowed at this time or later.
    #[n(0)]
    pub expires: Option<Timestamp>,
    /// At most this many uses in all.
    #[n(1)]
    pub uses: Option<u64>,
    /// At most this many uses in each minute.
    #[n(2)]
    pub per_minute: Option<u32>,
    /// At most this many uses in each hour.
    #[n(3)]
    pub per_hour: Option<u32>,
    /// At most this many uses in each day.
    #[n(4)]
    pub per_day: Option<u32>,
    /// Nothing is allowed at other times.
    #[n(5)]
    pub schedule: Option<Schedule>,
}

fn all_spent(uses: u64) -> String {
    if uses == 1 { "its one use is spent".to_owned() } else { format!("all {uses} uses are spent") }
}

/// Which limit a request would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// The grant has ended.
    #[error("the grant expired at {0}")]
    Expired(Timestamp),
    /// All uses are spent.
    #[error("{}", all_spent(*.0))]
    Spent(u64),
    /// Too many in this minute.
    #[error("more than {} in one minute", counted(*.0, "request"))]
    Rate(u32),
    /// Too many in this hour.
    #[error("more than {} in one hour", counted(*.0, "request"))]
    HourlyRate(u32),
    /// Too many in this day.
    #[error("more than {} in one day", counted(*.0, "request"))]
    DailyRate(u32),
    /// Not at this time.
    #[error("it is allowed at other times only: {0}")]
    OutOfHours(Schedule),
}

impl Exceeded {
    /// Whether waiting helps: it was too much for a minute, an hour or a day.
    pub const fn is_rate(&self) -> bool {
        match self {
            Self::Rate(_) | Self::HourlyRate(_) | Self::DailyRate(_) => true,
            Self::Expired(_) | Self::Spent(_) | Self::OutOfHours(_) => false,
        }
    }
}
