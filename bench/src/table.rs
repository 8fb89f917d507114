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
    unit: &'static str,
    ours: f64,
    reference: String,
    theirs: Option<f64>,
    ratio: Option<f64>,
}

/// What was measured, in the unit of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quantity {
    /// A duration; in microseconds in JSON.
    Time(Duration),
    /// So many in each second.
    Rate(f64),
    /// A plain number.
    Count(f64),
    /// A length in bytes.
    Bytes(u64),
}

impl From<Duration> for Quantity {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl Quantity {
    const fn unit(self) -> &'static str {
        match self {
            Self::Time(_) => MICROS,
            Self::Rate(_) => RATE,
            Self::Count(_) => COUNT,
            Self::Bytes(_) => BYTES,
        }
    }

    fn number(self) -> f64 {
        match self {
            Self::Time(time) => time.as_secs_f64() * 1e6,
            Self::Rate(number) | Self::Count(number) => number,
            Self::Bytes(length) => length as f64,
        }
    }
}

const MICROS: &str = "us";
const RATE: &str = "1/s";
const COUNT: &str = "";
const BYTES: &str = "bytes";

impl Row {
    /// `what` took us `ours`; `reference` took `theirs` for the same. Both in the same unit.
    pub fn new(
        what: impl Into<String>,
        ours: impl Into<Quantity>,
        reference: impl Into<String>,
        theirs: impl Into<Quantity>,
    ) -> Self {
        let (ours, theirs) = (ours.into(), theirs.into().number());
        let ratio = (theirs > 0.0).then(|| ours.number() / theirs);
        Self { theirs: Some(theirs), ratio, ..Self::alone(what, ours, reference) }
    }

    /// A figure that others are compared with, or whose reference is missing for the reason given.
    pub fn alone(what: impl Into<String>, ours: impl Into<Quantity>, why: impl Into<String>) -> Self {
        let ours = ours.into();
        Self {
            what: what.into(),
            unit: ours.unit(),
            ours: ours.number(),
            reference: why.into(),
            theirs: None,
            ratio: None,
        }
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
                shown(row.ours, row.unit),
                row.reference.clone(),
                row.theirs.map_or_else(String::new, |theirs| shown(theirs, row.unit)),
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

/// A figure with three digits and its unit.
fn shown(number: f64, unit: &str) -> String {
    match unit {
        MICROS => scaled(number, &["µs", "ms", "s"], 1e-3, "ns"),
        BYTES => scaled(number, &["B", "kB", "MB"], 1e-3, "B"),
        RATE => format!("{} /s", rounded(number)),
        _ => rounded(number),
    }
}

/// In the largest unit that leaves at least one before the point; below the first unit in `smaller`.
fn scaled(number: f64, units: &[&str], step: f64, smaller: &str) -> String {
    if number < 1.0 {
        return format!("{} {smaller}", rounded(number / step));
    }
    let (mut value, mut unit) = (number, units.first().copied().unwrap_or_default());
    for larger in units.iter().skip(1) {
        if value * step < 1.0 {
            break;
        }
        (value, unit) = (value * step, larger);
    }
    format!("{} {unit}", rounded(value))
}

fn rounded(value: f64) -> String {
    let places = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 || v == 0.0 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
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
    fn json_names_the_unit() {
        let json: serde_json::Value = serde_json::to_value(table()).unwrap();
        assert_eq!(json["rows"][0]["unit"], "us");
        assert_eq!(json["rows"][0]["ours"], 30.0);
        assert_eq!(json["rows"][0]["ratio"], 1.5);
        assert!(json["rows"][1]["theirs"].is_null());
    }

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        for (nanos, text) in
            [(7, "7.00 ns"), (1_234, "1.23 µs"), (23_456, "23.5 µs"), (713_000_000, "713 ms")]
        {
            let time = Quantity::from(Duration::from_nanos(nanos));
            assert_eq!(shown(time.number(), time.unit()), text);
        }
        for (quantity, text) in [
            (Quantity::Rate(9123.4), "9123 /s"),
            (Quantity::Count(0.0312), "0.031"),
            (Quantity::Bytes(12_345_678), "12.3 MB"),
        ] {
            assert_eq!(shown(quantity.number(), quantity.unit()), text);
        }
    }
}
