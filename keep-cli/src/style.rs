//! How text looks on a terminal, and plainly elsewhere.

use std::io::IsTerminal;

/// What a stream can show.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    terminal: bool,
    colour: bool,
}

impl Style {
    /// The style of stdout.
    pub fn of_stdout() -> Self {
        Self::of(std::io::stdout().is_terminal())
    }

    /// The style of stderr.
    pub fn of_stderr() -> Self {
        Self::of(std::io::stderr().is_terminal())
    }

    fn of(terminal: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self { terminal, colour: terminal && !dumb && !set("NO_COLOR") }
    }

    /// Whether a person looks at it.
    pub const fn is_terminal(self) -> bool {
        self.terminal
    }

    /// Whether colours are shown.
    pub const fn has_colour(self) -> bool {
        self.colour
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// The mark of what is done.
    pub fn tick(self) -> String {
        if self.terminal { self.green("✓") } else { "ok".to_owned() }
    }

    /// The mark of what was refused or failed.
    pub fn cross(self) -> String {
        if self.terminal { self.red("✗") } else { "no".to_owned() }
    }
}
