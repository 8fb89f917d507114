//! The one renderer: data on stdout, talk on stderr, the same for every command.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use keep_sdk::{Blame, DisplayText, ErrorCode, Fault, SecretText};
use serde::{Serialize, Serializer};

use crate::ending::Ending;
use crate::style::Style;
use crate::terminal::Terminal;

/// Whether output is JSON, for the panic hook, which has no access to anything else.
static JSON: AtomicBool = AtomicBool::new(false);

/// Where a secret becomes JSON: the person asked for exactly that.
pub fn in_clear<S: Serializer>(secret: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// The same for one that may be absent.
pub fn optional_in_clear<S: Serializer>(
    secret: &Option<SecretText>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(SecretText::expose).serialize(serializer)
}

/// What a command shows: for people here, for programs through serde.
pub trait View: Serialize {
    /// The text for people, without a line feed at its end; empty for none.
    fn human(&self, style: Style) -> String;
}

/// Where everything is printed.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
    stdout: Style,
    stderr: Style,
}

impl Output {
    pub fn new(json: bool, quiet: bool) -> Self {
        JSON.store(json, Ordering::Relaxed);
        Self { json, quiet, stdout: Style::of_stdout(), stderr: Style::of_stderr() }
    }

    /// Whether programs read it.
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether what is said beside the result is heard.
    pub const fn is_talkative(&self) -> bool {
        !self.json && !self.quiet
    }

    /// The style of what [`talk`](Self::talk) says.
    pub const fn talk_style(&self) -> Style {
        self.stderr
    }

    /// The style of what [`show`](Self::show) prints.
    pub const fn stdout_style(&self) -> Style {
        self.stdout
    }

    /// Shows the result of a command.
    pub fn show(&self, view: &impl View) -> Result<(), Ending> {
        if self.json {
            return self.value(view);
        }
        let text = view.human(self.stdout);
        if text.is_empty() { Ok(()) } else { print(&text) }
    }

    /// Prints one JSON value on a line of its own, whoever reads it.
    pub fn value(&self, value: &impl Serialize) -> Result<(), Ending> {
        print(&to_json(value)?)
    }

    /// Prints a line of the result for whoever reads it as text.
    pub fn line(&self, text: &str) -> Result<(), Ending> {
        print(text)
    }

    /// Whether a person sees what is printed.
    pub fn stdout_is_terminal(&self) -> bool {
        io::IsTerminal::is_terminal(&io::stdout())
    }

    /// Whether anybody wants to hear more than the result.
    pub const fn talks(&self) -> bool {
        !self.json && !self.quiet
    }

    /// Says something beside the result. Programs and `--quiet` do not want to hear it.
    pub fn talk(&self, text: &str) {
        if !self.json && !self.quiet {
            say(text);
        }
    }

    /// Tells the person at the terminal what is asked, where the answer is typed, wherever stderr leads. Neither `--json` nor
    /// `--quiet` means that nobody is to be asked.
    pub fn ask(&self, text: &str) {
        if io::IsTerminal::is_terminal(&io::stderr()) {
            return say(text);
        }
        match Terminal::open() {
            Some(mut terminal) => terminal.show(text),
            None => say(text),
        }
    }

    /// Says something that must be heard although the command goes on.
    pub fn warn(&self, code: ErrorCode, message: &str, hint: &str) {
        if self.json {
            let warning = Warning { warning: Described { code: code.as_str(), message, hint } };
            say(&to_json(&warning).unwrap_or_default());
            return;
        }
        say(&format!("{} {}", self.stderr.yellow("warning:"), harmless(message)));
        if !hint.is_empty() {
            say(&format!("{} {}", self.stderr.dim("hint:"), harmless(hint)));
        }
    }

    /// Says why the command failed.
    pub fn fail(&self, fault: &Fault) {
        if self.json {
            say(&to_json(&Failed::from(fault)).unwrap_or_default());
            return;
        }
        say(&format!("{} {}", self.stderr.red("error:"), harmless(fault.message())));
        say(&format!("{} {}", self.stderr.dim("hint:"), harmless(fault.hint())));
    }
}

#[derive(Serialize)]
struct Warning<'a> {
    warning: Described<'a>,
}

#[derive(Serialize)]
struct Described<'a> {
    code: &'static str,
    message: &'a str,
    hint: &'a str,
}

#[derive(Serialize)]
struct Failed<'a> {
    error: ErrorView<'a>,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    code: &'static str,
    blame: Blame,
    message: &'a str,
    hint: &'a str,
}

impl<'a> From<&'a Fault> for Failed<'a> {
    fn from(fault: &'a Fault) -> Self {
        let code = fault.code();
        let error = ErrorView {
            code: code.as_str(),
            blame: code.blame(),
            message: fault.message(),
            hint: fault.hint(),
        };
        Self { error }
    }
}

thread_local! {
    /// Whether a panic in this thread is no bug of Keep's.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// What others' code makes of input that anybody may have made; `None` where it panics.
pub fn contained<T>(run: impl FnOnce() -> T) -> Option<T> {
    CONTAINED.set(true);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    CONTAINED.set(false);
    done.ok()
}

/// Reports panics as what they are. What the panic says is left out: it could hold a secret.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if CONTAINED.get() {
            return;
        }
        crate::terminal::give_back();
        let place = panic.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
        let fault = Fault::new(ErrorCode::Bug, format!("Keep has a bug{place}"));
        Output::new(JSON.load(Ordering::Relaxed), false).fail(&fault);
    }));
}

fn to_json(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|_| Fault::new(ErrorCode::Bug, "a result has no JSON form"))
}

fn print(text: &str) -> Result<(), Ending> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| not_printed(&error))
}

/// How a command ends whose result stdout did not take.
pub fn not_printed(error: &io::Error) -> Ending {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ending::Closed,
        io::ErrorKind::StorageFull => Fault::new(ErrorCode::StorageFull, "stdout is full")
            .with_hint("free some space for the output")
            .into(),
        _ => Fault::new(ErrorCode::Storage, format!("cannot write to stdout: {error}"))
            .with_hint("see where the output goes")
            .into(),
    }
}

/// Lines that drive no terminal, whatever file, relay or peer they quote.
fn harmless(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| DisplayText::new(line).to_string()).collect();
    lines.join("\n")
}

/// Where nobody listens, there is nobody to tell.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_in_an_error_drives_no_terminal() {
        assert_eq!(harmless("a\n\u{1b}[31mred\r"), "a\n\\u{1b}[31mred\\r");
    }
}
