//! `keep unlock`, `keep lock`, `keep status`, and the process between them.

use std::process::Command;
use std::time::Duration;

use keep_sdk::daemon::{self, Connection, Daemon, Extended, Locked, Orders};
use keep_sdk::{DaemonStatus, Done, ErrorCode, Fault, Home, Keep, SecretText};
use serde::Serialize;

use crate::args::Unlock;
use crate::ending::Ending;
use crate::lifetime::describe;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;
use crate::watch::Signals;

#[derive(Serialize)]
#[serde(transparent)]
struct State(DaemonStatus);

impl View for State {
    fn human(&self, style: Style) -> String {
        let state = &self.0;
        if !state.unlocked {
            return "locked: each command asks for the passphrase".to_owned();
        }
        let until = match state.locks_in_seconds {
            Some(left) => format!("for {}", describe(left)),
            None if state.serving => "while `keep serve` runs".to_owned(),
            None => "until `keep lock`".to_owned(),
        };
        let asks = if state.confirm { "; each use of a key is asked about" } else { "" };
        let process = state.pid.map(|pid| format!("process {pid}")).unwrap_or_default();
        format!("{} unlocked {until}{asks}  {}", style.tick(), style.dim(&process))
    }
}

/// `keep unlock`.
pub fn unlock(session: &Session, arguments: &Unlock) -> Result<(), Ending> {
    let home = Home::from_environment()?;
    Keep::expect_vault(&home)?;
    let config = session.config()?;
    let lifetime = arguments.lifetime.map_or_else(|| config.lifetime(), Ok)?.0;
    let confirm = arguments.confirm || config.confirm.value;
    let how = How { lifetime, confirm, again: arguments.again, implied: false };
    if let Some(connection) = Connection::find(&home, Some(session.elevation()))? {
        if arguments.again {
            return session.output.show(&State(connection.status()?));
        }
        // Where the hidden one is asked for by name, the one that is held need not be asked whose passphrase it is.
        if connection.is_hidden() || !session.is_hidden() {
            let status = match connection.extend(lifetime, arguments.confirm.then_some(true))? {
                Extended::This(status) => status,
                // That of the other vault of this place: it is unlocked instead.
                Extended::Other(passphrase) => launch(session, &home, &passphrase, how, 0)?,
            };
            if status.serving && arguments.lifetime.is_some() {
                session
                    .output
                    .talk("`keep serve` holds the vault, and has no time limit: --for changes nothing.");
            }
            return session.output.show(&State(status));
        }
    }
    let status = start_for(session, &home, how)?;
    session.output.show(&State(status))
}

/// Starts the process that holds the vault, as the settings say, for a command that needs one: in the owner's name where the
/// passphrase is typed, else as the owner unlocked it last.
pub fn start(session: &Session, home: &Home) -> Result<(), Ending> {
    let config = session.config()?;
    let again = session.has_password();
    let how = How { lifetime: config.lifetime()?.0, confirm: config.confirm.value, again, implied: true };
    start_for(session, home, how).map(drop)
}

/// How the vault is unlocked.
#[derive(Clone, Copy)]
struct How {
    lifetime: Option<Duration>,
    confirm: bool,
    /// As the owner did it last.
    again: bool,
    /// For a command that needs it, not by `keep unlock`.
    implied: bool,
}

fn start_for(session: &Session, home: &Home, how: How) -> Result<DaemonStatus, Ending> {
    let mut failed = 0;
    session.with_password(&mut |password| {
        let launched = launch(session, home, password, how, failed);
        failed += 1;
        launched
    })
}

fn launch(
    session: &Session,
    home: &Home,
    password: &SecretText,
    how: How,
    failed: u32,
) -> Result<DaemonStatus, Fault> {
    let mut program = Command::new(own_program()?);
    program.arg("daemon-process");
    let orders = Orders {
        home: home.path().to_owned(),
        passphrase: SecretText::new(password.expose().to_owned()),
        seconds: how.lifetime.map(|lifetime| lifetime.as_secs()),
        confirm: how.confirm,
        again: how.again,
        implied: how.implied,
        allow_weak_kdf: session.allows_weak_kdf(),
        hidden: session.is_hidden(),
        failed,
        runtime_directory: std::env::var_os("XDG_RUNTIME_DIR").map(Into::into),
    };
    daemon::launch(program, &orders)
}

/// This very program, also when another one was installed in its place meanwhile.
fn own_program() -> Result<std::path::PathBuf, Fault> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe()
        .map_err(|error| Fault::new(ErrorCode::Bug, format!("this program is not to be found: {error}")))
}

/// `keep lock`.
pub fn lock(session: &Session) -> Result<(), Ending> {
    let home = Home::from_environment()?;
    Keep::expect_vault(&home)?;
    session.output.talk(match daemon::lock(&home)? {
        Locked::Now => "Locked.",
        Locked::BeforeItOpened => "It was being unlocked, and stays locked.",
        Locked::Already => "It was locked already.",
    });
    if session.output.is_json() { session.output.value(&Done {}) } else { Ok(()) }
}

/// `keep status`.
pub fn status(session: &Session) -> Result<(), Ending> {
    let home = Home::from_environment()?;
    Keep::expect_vault(&home)?;
    let status = match Connection::find(&home, None)? {
        Some(connection) => match connection.status() {
            // It locked while it was asked.
            Err(fault) if fault.code() == ErrorCode::Locked => DaemonStatus::default(),
            status => status?,
        },
        None => DaemonStatus::default(),
    };
    session.output.show(&State(status))
}

/// The process in the background.
pub fn process() -> Result<(), Ending> {
    Ok(daemon::run_launched(listen_to_signals)?)
}

/// A signal to end locks the vault, as `keep lock` does.
fn listen_to_signals(daemon: &Daemon) -> Result<(), Fault> {
    let trigger = daemon.trigger();
    let none =
        |error: std::io::Error| Fault::new(ErrorCode::Bug, format!("cannot listen to signals: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(none)?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    let listening = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(signals.received());
        trigger.lock();
    });
    listening.map(drop).map_err(none)
}
