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

const fn window_name(seconds: u64) -> &'static str {
    match seconds {
        ..=60 => "minute",
        61..=3_600 => "hour",
        3_601.. => "day",
    }
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
    /// How many were made in this minute, hour or day was lost.
    #[error("after a restore, a roll-back or damage it is not known how many of {} in one {} were made: they count as made until {until}", counted(*.most, "request"), window_name(*.window))]
    LostRate {
        /// How many there may be.
        most: u32,
        /// The length of the window in seconds.
        window: u64,
        /// When it is over.
        until: Timestamp,
    },
    /// How many were made in all was lost.
    #[error("after a restore, a roll-back or damage it is not known how many of {} were made: they count as made", counted(*.0, "use"))]
    LostUses(u64),
    /// Not at this time.
    #[error("it is allowed at other times only: {0}")]
    OutOfHours(Schedule),
}

impl Exceeded {
    /// Whether waiting helps: it was too much for a minute, an hour or a day.
    pub const fn is_rate(&self) -> bool {
        match self {
            Self::Rate(_) | Self::HourlyRate(_) | Self::DailyRate(_) | Self::LostRate { .. } => true,
            Self::Expired(_) | Self::Spent(_) | Self::OutOfHours(_) | Self::LostUses(_) => false,
        }
    }

    /// What can be done, where that is not said by the limit itself.
    pub(crate) const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::LostRate { .. } => Some(
                "wait until then, or begin anew: an agent with a session of its own (`keep agent create`), a client with \
                 `keep nip46 grant CLIENT --max-uses N`",
            ),
            Self::LostUses(_) => Some(
                "begin anew: `keep nip46 grant CLIENT --max-uses N` for a client, `keep agent create` for an agent, \
                 `keep policy edit NAME` for the limits of a policy",
            ),
            Self::Expired(_)
            | Self::Spent(_)
            | Self::Rate(_)
            | Self::HourlyRate(_)
            | Self::DailyRate(_)
            | Self::OutOfHours(_) => None,
        }
    }
}
