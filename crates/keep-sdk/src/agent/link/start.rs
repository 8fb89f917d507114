//! Finding the daemon, or starting one.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use keep_types::{ErrorCode, Fault};
use serde::Deserialize;

use super::options::Start;
use crate::Home;
use crate::call::FaultView;
use crate::daemon::Connection;

/// How long the last words of a process that has ended may take to come out of a pipe that others hold open.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// More than an error is long, in bytes.
const LONGEST: usize = 64 << 10;

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
    let failed = outcome(&mut command).map_err(|error| {
        locked().with_hint(format!("run `keep unlock`, then try again (keep cannot be started: {error})"))
    })?;
    let Some(said) = failed else { return Ok(()) };
    // It says why, in the form of every error.
    let told: Option<Told> = serde_json::from_slice(&said).ok();
    Err(told.map_or_else(locked, |told| told.error.into()))
}

/// Runs the command, and gives what it said where it failed. Its end is waited for, and not that of what it says: the daemon that it
/// leaves behind may hold the other end of the pipe for as long as it lives. (Windows gives every process what its parent has.)
fn outcome(command: &mut Command) -> io::Result<Option<Vec<u8>>> {
    let mut child = command.stderr(Stdio::piped()).spawn()?;
    let (tell, heard) = channel();
    if let Some(said) = child.stderr.take() {
        std::thread::Builder::new().name("keep unlock".to_owned()).spawn(move || listen(said, &tell))?;
    }
    if child.wait()?.success() {
        return Ok(None);
    }
    let mut said = Vec::new();
    while said.len() < LONGEST
        && let Ok(more) = heard.recv_timeout(LAST_WORDS)
    {
        said.extend(more);
    }
    Ok(Some(said))
}

/// Hands on what a process says, until it ends or nobody listens. Without a listener it is read all the same: the other end must
/// not find the pipe full.
fn listen(mut from: impl Read, tell: &Sender<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let _ = tell.send(buffer.get(..length).unwrap_or_default().to_vec());
    }
}

#[derive(Deserialize)]
struct Told {
    error: FaultView,
}

fn locked() -> Fault {
    Fault::new(ErrorCode::Locked, "the vault is locked").with_hint("run `keep unlock`, then try again")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// A shell that leaves a process behind which has the same ends of its pipes, and ends it afterwards.
    fn run(script: &str) -> Option<Option<Vec<u8>>> {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("left");
        let line = format!("sleep 600 & echo $! > {}; {script}", left.display());
        let (tell, heard) = channel();
        std::thread::spawn(move || {
            let mut command = Command::new("sh");
            command.args(["-c", &line]).stdin(Stdio::null()).stdout(Stdio::null());
            let _ = tell.send(outcome(&mut command).unwrap());
        });
        // Far longer than it takes, and less than what was left behind stays.
        let outcome = heard.recv_timeout(Duration::from_secs(120)).ok();
        let left = std::fs::read_to_string(left).unwrap();
        assert!(Command::new("kill").arg(left.trim()).status().unwrap().success(), "it was still there");
        outcome
    }

    #[test]
    fn what_a_daemon_holds_open_is_not_waited_for() {
        assert_eq!(run("echo ready >&2; exit 0"), Some(None));
        let said = run("echo '{\"error\"' >&2; echo ': 1}' >&2; exit 4").unwrap().unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), "{\"error\"\n: 1}\n");
        // More than a pipe holds.
        let said = run("head -c 200000 /dev/zero >&2; exit 4").unwrap().unwrap();
        assert!(said.len() >= LONGEST, "{}", said.len());
    }
}
