//! `keep help`.

use clap::CommandFactory;
use keep_sdk::{ErrorCode, Fault};
use serde::Serialize;

use crate::args::Arguments;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

/// The exit codes, as they are documented everywhere.
const EXIT_CODES: [(u8, &str); 11] = [
    (0, "done"),
    (1, "refused, by policy or by a person"),
    (2, "not a valid command line"),
    (3, "not found, or no vault"),
    (4, "locked, or wrong passphrase"),
    (5, "bad input: a file, a key, an event, an address"),
    (6, "network, relay or other device"),
    (7, "storage or integrity"),
    (8, "consistent with itself, but signed by nobody knows whom"),
    (70, "a bug; please report it"),
    (130, "interrupted: Ctrl-C, or the end of input at a question"),
];

#[derive(Serialize)]
struct ExitCodes {
    exit_codes: Vec<ExitCodeView>,
}

#[derive(Serialize)]
struct ExitCodeView {
    exit_code: u8,
    meaning: &'static str,
    /// The words that the errors with this exit code have in JSON.
    codes: Vec<&'static str>,
}

impl View for ExitCodes {
    fn human(&self, style: Style) -> String {
        let line = |view: &ExitCodeView| {
            let codes = view.codes.join(", ");
            let first = format!("{:>4}  {}", view.exit_code, view.meaning);
            if codes.is_empty() { first } else { format!("{first}\n      {}", style.dim(&codes)) }
        };
        self.exit_codes.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn exit_codes() -> ExitCodes {
    let view = |&(exit_code, meaning): &(u8, &'static str)| {
        let codes = ErrorCode::ALL.iter().filter(|code| code.exit_code() == exit_code);
        ExitCodeView { exit_code, meaning, codes: codes.map(|code| code.as_str()).collect() }
    };
    ExitCodes { exit_codes: EXIT_CODES.iter().map(view).collect() }
}

pub fn run(session: &Session, topic: &[String]) -> Result<(), Ending> {
    if matches!(topic, [only] if only == "exit-codes") {
        return session.output.show(&exit_codes());
    }
    let mut command = Arguments::command();
    command.build();
    let mut chosen = &mut command;
    for word in topic {
        chosen = chosen.find_subcommand_mut(word).ok_or_else(|| {
            Fault::new(ErrorCode::Usage, format!("there is no help about \"{}\"", topic.join(" ")))
        })?;
    }
    let help = chosen.render_long_help();
    if session.output.is_json() {
        return session.output.value(&serde_json::json!({ "help": help.to_string() }));
    }
    let text =
        if session.output.stdout_style().has_colour() { help.ansi().to_string() } else { help.to_string() };
    session.output.line(text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_documented_exit_code() {
        for code in ErrorCode::ALL {
            assert!(EXIT_CODES.iter().any(|(exit, _)| *exit == code.exit_code()), "{code}");
        }
    }
}
