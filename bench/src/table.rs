//! What was measured, for people and for scripts.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

/// All rows of a run.
#[derive(Debug, Default, Serialize)]
pub struct Table {
    rows: Vec<Row>,
}

/// One comparison.
#[derive(Debug, Serialize)]
pub struct Row {
    what: String,
    #[serde(serialize_with = "micros", rename = "ours_us")]
    ours: Duration,
    reference: String,
    #[serde(serialize_with = "maybe_micros", rename = "reference_us")]
    theirs: Option<Duration>,
    ratio: Option<f64>,
}

impl Row {
    /// `what` took us `ours`; `reference` took `theirs` for the same.
    pub fn new(
        what: impl Into<String>,
        ours: Duration,
        reference: impl Into<String>,
        theirs: Duration,
    ) -> Self {
        let ratio = (!theirs.is_zero()).then(|| ours.as_secs_f64() / theirs.as_secs_f64());
        Self { what: what.into(), ours, reference: reference.into(), theirs: Some(theirs), ratio }
    }

    /// A figure that others are compared with, or whose reference is missing for the reason given.
    pub fn alone(what: impl Into<String>, ours: Duration, why: impl Into<String>) -> Self {
        Self { what: what.into(), ours, reference: why.into(), theirs: None, ratio: None }
    }
}

impl Table {
    /// Adds rows.
    pub fn extend(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    /// Columns of text.
    pub fn render(&self) -> String {
        let mut lines = vec![["what", "ours", "reference", "takes", "ratio"].map(str::to_owned)];
        for row in &self.rows {
            lines.push([
                row.what.clone(),
                shown(row.ours),
                row.reference.clone(),
                row.theirs.map_or_else(String::new, shown),
                row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            ]);
        }
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let [what, ours, reference, takes, ratio] = [0, 1, 2, 3, 4].map(width);
        let mut text = String::new();
        for [a, b, c, d, e] in &lines {
            let line = format!("{a:<what$}  {b:>ours$}  {c:<reference$}  {d:>takes$}  {e:>ratio$}");
            writeln!(text, "{}", line.trim_end()).ok();
        }
        text
    }
}

/// A time with three figures.
fn shown(time: Duration) -> String {
    let nanos = time.as_secs_f64() * 1e9;
    let (value, unit) = match nanos {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let places = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.places$} {unit}")
}

fn micros<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64() * 1e6)
}

#[allow(clippy::ref_option, reason = "serde passes a reference to the field")]
fn maybe_micros<S: serde::Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => micros(time, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let rows = vec![
            Row::new("sign", Duration::from_micros(30), "raw", Duration::from_micros(20)),
            Row::alone("unlock", Duration::from_millis(700), "argon2 is not installed"),
        ];
        Table { rows }
    }

    #[test]
    fn renders_aligned_columns() {
        let expected = "what       ours  reference                  takes  ratio\n\
                        sign    30.0 µs  raw                      20.0 µs   1.50\n\
                        unlock   700 ms  argon2 is not installed\n";
        assert_eq!(table().render(), expected);
    }

    #[test]
    fn json_has_microseconds() {
        let json: serde_json::Value = serde_json::to_value(table()).unwrap();
        assert_eq!(json["rows"][0]["ours_us"], 30.0);
        assert_eq!(json["rows"][0]["ratio"], 1.5);
        assert!(json["rows"][1]["reference_us"].is_null());
    }

    #[test]
    fn times_have_three_figures() {
        for (nanos, text) in
            [(7, "7.00 ns"), (1_234, "1.23 µs"), (23_456, "23.5 µs"), (713_000_000, "713 ms")]
        {
            assert_eq!(shown(Duration::from_nanos(nanos)), text);
        }
    }
}
