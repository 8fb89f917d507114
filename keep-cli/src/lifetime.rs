//! Durations as people write them.

use std::str::FromStr;
use std::time::Duration;

/// How long something lasts: `15m`, `8h`, `30d`, so many seconds, or `forever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(pub Option<Duration>);

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoLifetime;

impl std::fmt::Display for NoLifetime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("write it as 30s, 15m, 8h, 30d, a number of seconds, or forever")
    }
}

impl std::error::Error for NoLifetime {}

impl FromStr for Lifetime {
    type Err = NoLifetime;

    fn from_str(text: &str) -> Result<Self, NoLifetime> {
        if text == "forever" {
            return Ok(Self(None));
        }
        let (number, unit) = match text.strip_suffix(|c: char| c.is_ascii_alphabetic()) {
            Some(number) => (number, &text[number.len()..]),
            None => (text, "s"),
        };
        let seconds_each = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => return Err(NoLifetime),
        };
        if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(NoLifetime);
        }
        let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds_each));
        seconds.filter(|seconds| *seconds > 0).map(|s| Self(Some(Duration::from_secs(s)))).ok_or(NoLifetime)
    }
}

/// A duration for people: its largest unit, rounded down, and the next one if it is not zero.
pub fn describe(seconds: u64) -> String {
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let Some(first) = units.iter().position(|(size, _)| seconds >= *size) else {
        return "0 seconds".to_owned();
    };
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, word) in units.iter().skip(first).take(2) {
        let count = rest / size;
        rest %= size;
        match count {
            0 => {}
            1 => parts.push(format!("1 {word}")),
            _ => parts.push(format!("{count} {word}s")),
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in
            [("90", 90), ("30s", 30), ("15m", 900), ("8h", 28_800), ("30d", 2_592_000), ("1w", 604_800)]
        {
            assert_eq!(text.parse(), Ok(Lifetime(Some(Duration::from_secs(seconds)))), "{text}");
        }
        assert_eq!("forever".parse(), Ok(Lifetime(None)));
        for bad in [
            "",
            "m",
            "15x",
            "-1",
            "0",
            "0m",
            "1.5h",
            "15 m",
            "99999999999999999999",
            "9999999999999999999d",
            "é",
        ] {
            assert_eq!(bad.parse::<Lifetime>(), Err(NoLifetime), "{bad}");
        }
    }

    #[test]
    fn says_it_back() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (900, "15 minutes"),
            (5400, "1 hour 30 minutes"),
            (86_461, "1 day"),
        ] {
            assert_eq!(describe(seconds), text);
        }
    }
}
