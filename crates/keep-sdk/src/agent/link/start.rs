//! Finding the daemon, or starting one.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use keep_types::{ErrorCode, Fault};
use serde::Deserialize;

use super::options::Start;
use crate::Home;
use crate::call::FaultView;
use crate::daemon::Connection;

/// How a daemon is started.
#[derive(Debug, Clone, Default)]
pub struct Starting {
    /// The program `keep`.
    pub program: Option<PathBuf>,
    /// What is done instead of running that program.
    pub start: Option<Start>,
}

/// The owner's connection to the daemon of the vault in `home`; one is started if there is none.
///
/// # Errors
/// [`ErrorCode::Locked`] when none can be started; what `keep unlock` says.
pub fn daemon(home: &Home, starting: &Starting) -> Result<Connection, Fault> {
    if let Some(connection) = Connection::find(home, None)? {
        return Ok(connection);
    }
    let started = match &starting.start {
        Some(start) => start.run(),
        None => start(home, starting.program.clone()),
    };
    // Another process may have been faster.
    match Connection::find(home, None)? {
        Some(connection) => Ok(connection),
        None => Err(started.err().unwrap_or_else(locked)),
    }
}

/// Lets `keep` start it, as the owner had unlocked it last, with the passphrase of the environment, which it reads itself: it never passes through here.
fn start(home: &Home, program: Option<PathBuf>) -> Result<(), Fault> {
    let named = program.map(PathBuf::into_os_string).or_else(|| std::env::var_os("KEEP_BIN"));
    let mut command = Command::new(named.unwrap_or_else(|| "keep".into()));
    command.args(["--json", "unlock", "--again"]).env("KEEP_HOME", home.path());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let started = command.output().map_err(|error| {
        locked().with_hint(format!("run `keep unlock`, then try again (keep cannot be started: {error})"))
    })?;
    if started.status.success() {
        return Ok(());
    }
    // It says why, in the form of every error.
    let told: Option<Told> = serde_json::from_slice(&started.stderr).ok();
    Err(told.map_or_else(locked, |told| told.error.into()))
}

#[derive(Deserialize)]
struct Told {
    error: FaultView,
}

fn locked() -> Fault {
    Fault::new(ErrorCode::Locked, "the vault is locked").with_hint("run `keep unlock`, then try again")
}
