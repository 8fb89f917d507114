//! Reading the command line, and saying what is wrong with it in the form that was asked for.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use keep_sdk::{DisplayText, ErrorCode, Fault};

use crate::args::Arguments;
use crate::commands::hwi;
use crate::ending::Ending;
use crate::output::{Output, not_printed};

/// Reads the arguments. Where there is nothing more to do (help was asked for, or they are wrong), the exit code.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Arguments, ExitCode> {
    let arguments: Vec<OsString> = arguments.collect();
    Arguments::try_parse_from(&arguments).map_err(|error| {
        let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        if !asked_for && is_hwi(&arguments) {
            let known = error.kind() != ErrorKind::InvalidSubcommand;
            let told = hwi::misused(&Output::new(true, false), &fault(&error), known);
            return told.map_or_else(|ending| ExitCode::from(ending.exit_code()), |()| ExitCode::SUCCESS);
        }
        let json = arguments.iter().any(|argument| argument == "--json");
        if !json
            && error.kind() == ErrorKind::MissingSubcommand
            && let Some(help) = help_instead(&error)
        {
            let _ = std::io::stderr().lock().write_all(help.as_bytes());
        } else if json && !asked_for {
            Output::new(true, false).fail(&fault(&error));
        } else if asked_for {
            return print(&error, json);
        } else {
            // If nobody reads it, nobody misses it.
            let _ = error.print();
        }
        ExitCode::from(ErrorCode::Usage.exit_code())
    })
}

/// Prints the help or the version that was asked for.
fn print(error: &clap::Error, json: bool) -> ExitCode {
    let printed = error.print().and_then(|()| std::io::stdout().lock().flush());
    let Err(failure) = printed else { return ExitCode::SUCCESS };
    let ending = not_printed(&failure);
    if let Ending::Fault(fault) = &ending {
        Output::new(json, false).fail(fault);
    }
    ExitCode::from(ending.exit_code())
}

/// The help of the command that misses the name of one below it: clap's own list has the hidden ones, too.
fn help_instead(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(path)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let mut command = Arguments::command();
    command.build();
    let mut chosen = &mut command;
    for word in path.split_whitespace().skip(1) {
        chosen = chosen.find_subcommand_mut(word)?;
    }
    Some(chosen.render_help().to_string())
}

/// Whether a wallet calls, which wants every answer as HWI gives it.
fn is_hwi(arguments: &[OsString]) -> bool {
    let lenient = Arguments::command().ignore_errors(true);
    let found = lenient.try_get_matches_from(arguments);
    found.is_ok_and(|found| found.subcommand_name() == Some("hwi"))
}

/// The first sentence of clap's message, without its decoration.
fn fault(error: &clap::Error) -> Fault {
    let text = error.render().to_string();
    let sentence = text.split("\n\n").next().unwrap_or_default();
    let sentence = sentence.strip_prefix("error: ").unwrap_or(sentence);
    let sentence: Vec<&str> = sentence.split_whitespace().collect();
    let message = match error.kind() {
        // Clap's own sentence lists every command, the hidden ones too.
        ErrorKind::MissingSubcommand => DisplayText::new("the command is missing"),
        _ => DisplayText::truncated(&sentence.join(" "), 300),
    };
    let fault = Fault::new(ErrorCode::Usage, message.as_str());
    match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => {
            let usage = usage.to_string();
            fault.with_hint(usage.trim_start_matches("Usage: ").trim().to_owned() + "; see `keep help`")
        }
        _ => fault,
    }
}
