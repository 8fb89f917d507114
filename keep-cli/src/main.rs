//! `keep`: the command line of Keep. Arguments in, [`keep_sdk`] called, views rendered.
#![forbid(unsafe_code)]

mod approver;
mod args;
mod commands;
mod config;
mod ending;
mod interruptible;
mod key_view;
mod lifetime;
mod logging;
mod output;
mod progress;
mod prompt;
mod qr;
mod qr_picture;
mod screen;
mod secrets;
mod session;
mod style;
mod system;
mod terminal;
mod ur_frames;
mod usage;
mod watch;
mod web;

use std::process::ExitCode;

use crate::ending::Ending;
use crate::output::report_panics;
use crate::session::Session;

/// A request's memory is often taken by one thread and given back by another, which the system's allocator answers with locks: it took a
/// tenth of the bunker's time. What secrets lay in is wiped before it is given back, whoever manages it.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code of a bug.
const BUG: u8 = 70;

fn main() -> ExitCode {
    report_panics();
    // Where the system does not agree, `keep doctor` says so.
    let _ = keep_sdk::daemon::harden();
    system::prepare_console();
    let arguments = match usage::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    logging::start(arguments.global.verbose, arguments.global.json);
    let session = Session::new(arguments.global);
    let command = arguments.command;
    let run = std::panic::AssertUnwindSafe(|| commands::run(&session, command));
    match std::panic::catch_unwind(run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(ending)) => {
            if let Ending::Fault(fault) = &ending {
                session.output.fail(fault);
            }
            ExitCode::from(ending.exit_code())
        }
        // The hook has said it.
        Err(_) => ExitCode::from(BUG),
    }
}
