//! How programs in other languages come to a session.

use std::path::PathBuf;

use keep_types::{ErrorCode, Fault, SecretText};

use super::{Asks, SessionScope};
use crate::{Home, Keep, Options};

/// What is wanted.
#[derive(Debug, Default)]
pub struct Reach {
    /// The vault's directory; that of the environment without it.
    pub home: Option<PathBuf>,
    /// The token of a session that the owner made.
    pub token: Option<SecretText>,
    /// The key, where there is no token: its name, npub or public key.
    pub key: Option<String>,
    /// Opens the vault in this process, with `KEEP_PASSWORD`: for tests. Then no limit holds against this process.
    pub in_process: bool,
}

/// A vault that is reached through a session.
#[derive(Debug)]
pub struct Reached {
    /// The vault, bound by the session.
    pub keep: Keep,
    /// Whether the session was made here, and should end with its use.
    pub ends: bool,
}

/// Reaches the vault through the session that the token belongs to, narrowed by `scope`; without a token, through one of
/// what the owner lets every agent do. The daemon is started when there is none and the passphrase is in the environment.
///
/// # Errors
/// [`ErrorCode::NoVault`]; [`ErrorCode::Locked`] when there is no daemon; [`ErrorCode::NotConnected`] for a wrong token.
pub fn reach(wanted: &Reach, scope: Option<SessionScope>) -> Result<Reached, Fault> {
    let home = match &wanted.home {
        Some(path) => Home::new(path.clone())?,
        None => Home::from_environment()?,
    };
    Keep::expect_vault(&home)?;
    let keep = if wanted.in_process { here(home)? } else { daemon(&home)? };
    let (from, scope) = match (&wanted.token, scope) {
        (Some(token), None) => return Ok(Reached { keep: keep.for_session(token)?, ends: false }),
        (Some(token), Some(scope)) => (keep.for_session(token)?, scope),
        (None, scope) => (keep, scope.unwrap_or_else(SessionScope::asking)),
    };
    let made = from.agents().begin(wanted.key.as_deref(), scope, Asks::Vault)?;
    Ok(Reached { keep: from.for_session(&made.token)?, ends: true })
}

fn here(home: Home) -> Result<Keep, Fault> {
    let password = std::env::var("KEEP_PASSWORD").map_err(|_| locked())?;
    let mut options = Options::default();
    if std::env::var_os("KEEP_ALLOW_WEAK_KDF").is_some() {
        options = options.allow_weak_kdf();
    }
    Keep::open(home, &SecretText::from(password), &options)
}

#[cfg(unix)]
fn daemon(home: &Home) -> Result<Keep, Fault> {
    use crate::daemon::Connection;
    if let Some(connection) = Connection::find(home, None)? {
        return Ok(Keep::connected(connection));
    }
    start(home)?;
    Connection::find(home, None)?.map(Keep::connected).ok_or_else(locked)
}

#[cfg(not(unix))]
fn daemon(_home: &Home) -> Result<Keep, Fault> {
    Err(locked())
}

/// Lets `keep` start the daemon: with the passphrase of the environment, which it reads itself.
#[cfg(unix)]
fn start(home: &Home) -> Result<(), Fault> {
    use std::process::{Command, Stdio};
    let program = std::env::var_os("KEEP_BIN").unwrap_or_else(|| "keep".into());
    let mut command = Command::new(program);
    command.args(["--json", "unlock"]).env("KEEP_HOME", home.path());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let started = command.output().map_err(|_| locked())?;
    if started.status.success() {
        return Ok(());
    }
    // It says why, in the form of every error.
    let told: Option<Told> = serde_json::from_slice(&started.stderr).ok();
    Err(told.map_or_else(locked, |told| told.error.into()))
}

#[cfg(unix)]
#[derive(serde::Deserialize)]
struct Told {
    error: crate::call::FaultView,
}

fn locked() -> Fault {
    Fault::new(ErrorCode::Locked, "the vault is locked").with_hint("run `keep unlock`, then try again")
}
