//! A bar for work that takes a while, where somebody watches.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::output::Output;

/// How long work must take before a bar appears, and how often it moves.
const STEP: Duration = Duration::from_millis(100);
/// Characters of the bar.
const WIDTH: usize = 30;

/// A bar on the terminal. It vanishes when it is dropped.
pub struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    shown: Option<Instant>,
    drawn: bool,
}

impl Progress {
    /// A bar for `total` bytes. Programs, `--quiet` and files see none.
    pub fn new(output: &Output, what: &'static str, total: u64) -> Self {
        let watched = std::io::stderr().is_terminal() && output.talks();
        Self { what, total, done: 0, shown: watched.then(Instant::now), drawn: false }
    }

    /// So many bytes more are done.
    pub fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        let Some(shown) = &mut self.shown else { return };
        if shown.elapsed() < STEP {
            return;
        }
        *shown = Instant::now();
        self.drawn = true;
        let line = line(self.what, self.done, self.total);
        // Where nobody listens, there is nobody to tell.
        let _ = write!(std::io::stderr().lock(), "\r{line}\x1b[K");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn line(what: &str, done: u64, total: u64) -> String {
    let total = total.max(done).max(1);
    let full = usize::try_from(u128::from(done) * WIDTH as u128 / u128::from(total)).unwrap_or(WIDTH);
    let percent = u128::from(done) * 100 / u128::from(total);
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(WIDTH.saturating_sub(full)));
    format!("{what} {bar} {percent:3} %  {} of {} MiB", done >> 20, total >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_never_longer_than_itself() {
        assert_eq!(line("hashing", 0, 0).matches('█').count(), 0);
        assert!(line("hashing", 1 << 29, 1 << 30).contains(" 50 %  512 of 1024 MiB"));
        assert_eq!(line("hashing", 9, 3).matches('█').count(), WIDTH);
        assert_eq!(line("hashing", u64::MAX, u64::MAX).chars().filter(|c| "█░".contains(*c)).count(), WIDTH);
    }
}
