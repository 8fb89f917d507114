//! `keep completions` and `keep man`: what a shell and `man` want to know of the command line.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use keep_sdk::{ErrorCode, Fault};
use serde_json::json;

use crate::args::Arguments;
use crate::ending::Ending;
use crate::session::Session;

/// `keep completions SHELL`.
pub fn completions(session: &Session, shell: Shell) -> Result<(), Ending> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "keep", &mut text);
    show(session, "completions", &text)
}

/// `keep man`: the page of `keep`, or with a directory a page for each command.
pub fn man(session: &Session, directory: Option<&Path>) -> Result<(), Ending> {
    let command = Arguments::command();
    let Some(directory) = directory else {
        let mut text = Vec::new();
        clap_mangen::Man::new(command).render(&mut text).map_err(|error| failed("the page", &error))?;
        return show(session, "page", &text);
    };
    let shown = directory.display().to_string();
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command, directory))
        .map_err(|error| failed(&shown, &error))?;
    if session.output.is_json() { session.output.value(&json!({ "directory": shown })) } else { Ok(()) }
}

/// The text itself, or for programs that want JSON, an object with it.
fn show(session: &Session, what: &str, text: &[u8]) -> Result<(), Ending> {
    if session.output.is_json() {
        return session.output.value(&json!({ what: String::from_utf8_lossy(text) }));
    }
    print(text)
}

fn print(text: &[u8]) -> Result<(), Ending> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ending::Closed,
        _ => failed("stdout", &error).into(),
    })
}

fn failed(what: &str, error: &std::io::Error) -> Fault {
    Fault::new(ErrorCode::Storage, format!("cannot write {what}: {error}"))
}
