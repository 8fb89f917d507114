//! The steps of a quick start, ticked off with the time that each took.

use std::time::{Duration, Instant};

use crate::output::Output;

/// Where steps are told.
#[derive(Clone, Copy)]
pub struct Steps<'a>(&'a Output);

/// One step that has begun.
pub struct Clock<'a> {
    output: &'a Output,
    began: Instant,
}

impl<'a> Steps<'a> {
    pub fn new(output: &'a Output) -> Self {
        let style = output.talk_style();
        output.talk(&format!(
            "{} {}\n",
            style.bold("Keep in one minute."),
            style.dim("Nothing leaves this machine.")
        ));
        Self(output)
    }

    /// Begins a step.
    pub fn clock(&self) -> Clock<'a> {
        Clock { output: self.0, began: Instant::now() }
    }

    /// A step that was not timed.
    pub fn done(&self, label: &str, text: &str) {
        tick(self.0, label, text, "");
    }
}

impl Clock<'_> {
    /// Ends it.
    pub fn done(self, label: &str, text: &str) {
        tick(self.output, label, text, &format!("({})", took(self.began.elapsed())));
    }
}

fn tick(output: &Output, label: &str, text: &str, aside: &str) {
    let style = output.talk_style();
    let line =
        format!("  {} {} {text} {}", style.tick(), style.bold(&format!("{label:9}")), style.dim(aside));
    output.talk(line.trim_end());
}

fn took(time: Duration) -> String {
    match time.as_millis() {
        1000.. => format!("{:.1} s", time.as_secs_f64()),
        10.. => format!("{} ms", time.as_millis()),
        1.. => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        _ => format!("{} µs", time.as_micros()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (micros, text) in [(40, "40 µs"), (1_250, "1.2 ms"), (48_000, "48 ms"), (1_520_000, "1.5 s")] {
            assert_eq!(took(Duration::from_micros(micros)), text);
        }
    }
}
