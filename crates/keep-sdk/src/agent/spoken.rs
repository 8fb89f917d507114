//! Kinds, rates and durations as people write them.

use std::time::Duration;

use keep_policy::Budget;
use keep_types::{DisplayText, ErrorCode, Fault};

use super::Rates;

/// Event kinds: numbers with commas between.
///
/// # Errors
/// [`ErrorCode::Usage`] when one is no number from 0 to 65535.
pub fn parse_kinds(text: &str) -> Result<Vec<u16>, Fault> {
    let parse = |part: &str| {
        part.trim().parse().map_err(|_| wrong("kinds", part, "numbers with commas between: 1,7"))
    };
    text.split(',').map(parse).collect()
}

/// A rate: `30/h`, or `100` for uses in all.
///
/// # Errors
/// [`ErrorCode::Usage`] when it is none.
pub fn parse_rate(text: &str, rates: &mut Rates) -> Result<(), Fault> {
    let form = "a number and a time: 30/h";
    let wrong = || wrong("a rate", text, form);
    match text.split_once('/') {
        None => rates.uses = Some(text.trim().parse().map_err(|_| wrong())?),
        Some((number, unit)) => {
            let number: u32 = number.trim().parse().map_err(|_| wrong())?;
            match unit.trim() {
                "m" | "min" | "minute" => rates.per_minute = Some(number),
                "h" | "hour" => rates.per_hour = Some(number),
                "d" | "day" => rates.per_day = Some(number),
                _ => return Err(wrong()),
            }
        }
    }
    Ok(())
}

/// A budget: `50000sat/day`, in any window of that length.
///
/// # Errors
/// [`ErrorCode::Usage`] when it is none.
pub fn parse_budget(text: &str) -> Result<Budget, Fault> {
    let wrong = || wrong("a budget", text, "an amount and a time: 50000sat/day");
    let (amount, window) = text.split_once('/').ok_or_else(wrong)?;
    let window_secs = match window.trim() {
        "h" | "hour" => 3_600,
        "d" | "day" => 86_400,
        "w" | "week" => 604_800,
        other => parse_duration(other).map_err(|_| wrong())?.as_secs(),
    };
    Ok(Budget { sats: parse_sats(amount).map_err(|_| wrong())?, window_secs })
}

/// An amount: `10000`, `10000sat` or `10000sats`.
///
/// # Errors
/// [`ErrorCode::Usage`] when it is none.
pub fn parse_sats(text: &str) -> Result<u64, Fault> {
    let digits = text.trim().trim_end_matches("sats").trim_end_matches("sat").trim();
    digits.parse().map_err(|_| wrong("an amount", text, "satoshis: 10000sat"))
}

/// A duration: seconds, or `90s`, `15m`, `24h`, `30d`.
///
/// # Errors
/// [`ErrorCode::Usage`] when it is none, or nothing.
pub fn parse_duration(text: &str) -> Result<Duration, Fault> {
    let wrong = || wrong("a duration", text, "a number and a unit: 15m, 24h, 30d");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let secs = number.checked_mul(unit).filter(|secs| *secs > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(secs))
}

fn wrong(what: &str, text: &str, form: &str) -> Fault {
    let shown = DisplayText::truncated(text, 40);
    Fault::new(ErrorCode::Usage, format!("\"{shown}\" is not {what}")).with_hint(format!("write {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read() {
        assert_eq!(parse_kinds("1, 7,30023").unwrap(), [1, 7, 30023]);
        assert_eq!(parse_duration("24h").unwrap(), Duration::from_secs(86_400));
        assert_eq!(parse_duration("90").unwrap(), Duration::from_secs(90));
        let mut rates = Rates::default();
        parse_rate("30/m", &mut rates).unwrap();
        parse_rate("100", &mut rates).unwrap();
        assert_eq!((rates.per_minute, rates.uses), (Some(30), Some(100)));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in ["", "1,", "a", "-1", "65536", "1.0"] {
            assert_eq!(parse_kinds(text).unwrap_err().code(), ErrorCode::Usage, "{text}");
        }
        for text in ["", "h", "0h", "1w", "1.5h", "-1", "99999999999999999999h", "1h1"] {
            assert_eq!(parse_duration(text).unwrap_err().code(), ErrorCode::Usage, "{text}");
        }
        for text in ["", "1/w", "/m", "x/m", "-1/m", "1/m/m"] {
            assert!(parse_rate(text, &mut Rates::default()).is_err(), "{text}");
        }
    }
}
