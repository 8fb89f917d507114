//! Times as people write them.

use std::time::Duration;

use keep_types::{ErrorCode, Fault, Timestamp};

/// Reads a time: `2026-11-20`, `2026-11-20T09:30:00Z` (UTC), Unix seconds, or how long ago (`15m`, `24h`, `30d`).
///
/// # Errors
/// [`ErrorCode::Usage`] for anything else.
pub fn parse_when(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let parsed = match text.as_bytes() {
        [.., unit @ (b's' | b'm' | b'h' | b'd' | b'w')] => ago(&text[..text.len() - 1], *unit, now),
        _ if text.contains('-') => date(text),
        _ => text.parse().ok().map(Timestamp::from_secs),
    };
    parsed.ok_or_else(|| {
        Fault::new(ErrorCode::Usage, format!("\"{text}\" is no time"))
            .with_hint("write 2026-11-20, 2026-11-20T09:30:00Z, Unix seconds, or how long ago: 15m, 24h, 30d")
    })
}

fn ago(number: &str, unit: u8, now: Timestamp) -> Option<Timestamp> {
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 86_400,
        _ => 7 * 86_400,
    };
    Some(now.minus(Duration::from_secs(number.checked_mul(seconds)?)))
}

fn date(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let [year, month, day] = numbers(date, '-')?;
    let time = time.trim_end_matches('Z');
    let [hour, minute, second] =
        if time.len() == 5 { numbers(&format!("{time}:00"), ':')? } else { numbers(time, ':')? };
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let days = (1970..year).map(|y| if is_leap(y) { 366 } else { 365 }).sum::<u64>()
        + (1..month).map(|m| days_in(year, m)).sum::<u64>()
        + day;
    in_range.then(|| Timestamp::from_secs((days - 1) * 86_400 + hour * 3600 + minute * 60 + second))
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let digits = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse().ok() } else { None }
    });
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let now = Timestamp::from_secs(1_800_000_000);
        let read = |text: &str| parse_when(text, now).unwrap();
        for secs in [0, 951_782_400, 951_868_800, 1_709_164_800, 1_800_000_000, 4_102_444_799] {
            let time = Timestamp::from_secs(secs);
            assert_eq!(read(&time.to_string()), time);
        }
        assert_eq!(read("2026-11-20").to_string(), "2026-11-20T00:00:00Z");
        assert_eq!(read("2026-11-20 09:30").to_string(), "2026-11-20T09:30:00Z");
        assert_eq!(read("1800000000"), now);
        assert_eq!(read("24h").as_secs(), 1_800_000_000 - 86_400);
        assert_eq!(read("99999999999d"), Timestamp::ZERO);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "d", "soon", "2026-13-01", "2026-02-29", "2026-11-20T25:00:00Z", "-5", "1-1", "1.5h"]
        {
            assert!(parse_when(bad, Timestamp::ZERO).is_err(), "{bad}");
        }
    }
}
