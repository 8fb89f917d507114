//! Lengths of time as people write them: `90`, `15m`, `24h`, `30d`.

use std::time::Duration;

/// A text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no length of time; write seconds, or 15m, 24h, 30d")]
pub struct DurationError(keep_types::DisplayText);

/// Seconds in each unit, by its letter; the largest first.
const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads whole seconds, or a number with one of the units `s`, `m`, `h`, `d`, `w`. Zero is none.
///
/// # Errors
/// When it has another form, is zero, or is longer than a thousand years.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    const LONGEST: u64 = 1_000 * 366 * 86_400;
    let error = || DurationError(keep_types::DisplayText::truncated(text, 40));
    let unit = UNITS.iter().find(|(letter, _)| text.ends_with(*letter));
    let (digits, seconds) =
        unit.map_or((text, 1), |(letter, seconds)| (text.trim_end_matches(*letter), *seconds));
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || digits.len() + 1 < text.len() {
        return Err(error());
    }
    let number: u64 = digits.parse().map_err(|_| error())?;
    match number.checked_mul(seconds) {
        Some(total) if (1..=LONGEST).contains(&total) => Ok(Duration::from_secs(total)),
        Some(_) | None => Err(error()),
    }
}

/// The shortest form that [`parse_duration`] reads as the same length.
pub fn write_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let unit = UNITS.iter().find(|(_, unit)| seconds != 0 && seconds.is_multiple_of(*unit));
    match unit {
        Some(('s', _)) | None => seconds.to_string(),
        Some((letter, unit)) => format!("{}{letter}", seconds / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_as_they_are_written() {
        for (text, seconds) in
            [("90", 90), ("15m", 900), ("24h", 86_400), ("30d", 2_592_000), ("1w", 604_800), ("5s", 5)]
        {
            assert_eq!(parse_duration(text).unwrap().as_secs(), seconds);
            assert_eq!(
                parse_duration(&write_duration(Duration::from_secs(seconds))).unwrap().as_secs(),
                seconds
            );
        }
        for text in
            ["", "m", "1.5h", "-1", "0", "0d", "1hh", "1 h", "99999999999999999999", "9999999999w", "1y"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
