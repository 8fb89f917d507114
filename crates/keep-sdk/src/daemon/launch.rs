//! Starting a daemon in the background.
//!
//! The program starts itself once more, with an empty environment and without open files. The passphrase goes to it
//! through a pipe, and an error comes back through another one before the terminal is left.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use keep_types::{ErrorCode, Fault, SecretText};
use keep_vault::Which;
use serde::{Deserialize, Serialize};

use super::choice::{self, Choice};
use super::client::Connection;
use super::frame;
use super::lock::Opening;
use super::place::Place;
use super::protocol::{self, Answered};
use super::server::{Daemon, DaemonOptions};
use super::system;
use crate::call::{secret, to_wiped_json};
use crate::high_water::HighWater;
use crate::{DaemonStatus, Home, Keep, Options};

/// What a daemon is told when it starts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The vault's directory.
    pub home: PathBuf,
    /// Its passphrase.
    #[serde(with = "secret::text")]
    pub passphrase: SecretText,
    /// Seconds until it locks; never by itself without it.
    pub seconds: Option<u64>,
    /// Whether a person is asked about each use of a secret.
    pub confirm: bool,
    /// Accepts a key derivation made for tests.
    pub allow_weak_kdf: bool,
    /// Opens the hidden vault or none.
    pub hidden: bool,
    /// A program wants it unlocked again, as the owner had unlocked it last: not if the owner locked it by hand, and asking about
    /// each use if the owner wanted that.
    #[serde(default)]
    pub again: bool,
    /// A command needs it unlocked, and its owner gave the passphrase for that: each use is asked about if the owner wanted that last.
    #[serde(default)]
    pub implied: bool,
    /// Passphrases that were tried before and did not open the vault.
    pub failed: u32,
    /// `XDG_RUNTIME_DIR` of whoever starts it, which is where it will be looked for.
    pub runtime_directory: Option<PathBuf>,
}

/// Starts `program` as a daemon with these orders, and waits until it holds the vault. The program must come to
/// [`run_launched`].
///
/// # Errors
/// The daemon's own: [`ErrorCode::WrongPassphrase`], [`ErrorCode::StorageBusy`] when there is one already, and all others.
pub fn launch(mut program: Command, orders: &Orders) -> Result<DaemonStatus, Fault> {
    system::prepare(&mut program);
    if let Some(directory) = &orders.runtime_directory {
        program.env("XDG_RUNTIME_DIR", directory);
    }
    // Where the vault's highest revision is noted, which would otherwise be unknown there.
    if let Some(state) = HighWater::directory().as_deref().and_then(Path::parent) {
        program.env("XDG_STATE_HOME", state);
    }
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = program.spawn().map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it has ended already, its last words say why.
        let _ = frame::write(&mut stdin, &[&to_wiped_json(orders)?]);
    }
    let mut stdout = child.stdout.take().ok_or_else(ended)?;
    let answer = frame::read(&mut stdout, frame::MAX_REPLY).map_err(|_| ended())?;
    let Some(answer) = answer else {
        let _ = child.wait();
        return Err(ended());
    };
    let answer: Answered<'_> = serde_json::from_slice(&answer).map_err(|_| ended())?;
    match (answer.ok, answer.error) {
        (Some(status), None) => serde_json::from_str(status.get()).map_err(|_| ended()),
        (_, fault) => {
            let _ = child.wait();
            Err(fault.map_or_else(ended, Fault::from))
        }
    }
}

/// The other end of [`launch`]: reads the orders from stdin, unlocks the vault, answers on stdout, leaves the terminal,
/// and serves until it is to lock. `ready` is called with the daemon once it serves.
///
/// # Errors
/// What was said on stdout already.
pub fn run_launched(ready: impl FnOnce(&Daemon) -> Result<(), Fault>) -> Result<(), Fault> {
    let begun = begin().and_then(|(keep, daemon)| {
        ready(&daemon)?;
        Ok((keep, daemon))
    });
    let mut stdout = std::io::stdout().lock();
    let (keep, daemon) = match begun {
        Ok(begun) => begun,
        Err(fault) => {
            let _ = frame::write(&mut stdout, &[&protocol::failure(&fault)]);
            return Err(fault);
        }
    };
    let told = to_wiped_json(&daemon.status())
        .and_then(|status| frame::write(&mut stdout, &protocol::reply(&status)).map_err(|e| failed(&e)));
    drop(stdout);
    // There is no terminal; whoever is to be asked uses `keep approve`.
    let attendance = keep.approvals()?.attend();
    // If nobody is left who asked for it, it is not wanted.
    if told.is_err() || leave_terminal().is_err() {
        daemon.trigger().lock();
    }
    daemon.wait();
    drop(attendance);
    let farewell = daemon.stop();
    drop(keep);
    drop(farewell);
    Ok(())
}

fn begin() -> Result<(Keep, Daemon), Fault> {
    system::leave_session();
    system::harden();
    let given =
        frame::read(&mut std::io::stdin().lock(), frame::MAX_REQUEST).map_err(|error| failed(&error))?;
    let given = given.ok_or_else(ended)?;
    let orders: Orders = serde_json::from_slice(&given)
        .map_err(|_| Fault::new(ErrorCode::Usage, "these are no orders for a daemon"))?;
    drop(given);
    let mut options = Options::default().failed_attempts(orders.failed);
    if orders.allow_weak_kdf {
        options = options.allow_weak_kdf();
    }
    if orders.hidden {
        options = options.hidden();
    }
    let home = Home::new(orders.home)?;
    let place = Place::of(&home);
    let opening = Some(Opening::begin(&home)?);
    // Also if the passphrase turns out to be wrong.
    place.visit()?;
    if orders.again && place.is_noted_locked()? {
        return Err(choice::locked_by_hand());
    }
    let keep = Keep::open(home.clone(), &orders.passphrase, &options)?;
    let confirm = if orders.again {
        as_chosen(&keep, &place)? || orders.confirm
    } else {
        make_way(&keep, &home)?;
        orders.confirm || (orders.implied && Choice::read(keep.host()?)?.confirm)
    };
    let options = DaemonOptions {
        lifetime: orders.seconds.map(Duration::from_secs),
        sleep_locks: true,
        confirm,
        again: orders.again,
        frees: !orders.again,
        opening,
        approver: Some(keep.approvals()?),
        ..DaemonOptions::default()
    };
    let daemon = Daemon::start(&keep, options)?;
    Ok((keep, daemon))
}

/// Whether each use is asked about, as the owner chose.
fn as_chosen(keep: &Keep, place: &Place) -> Result<bool, Fault> {
    let host = keep.host()?;
    match choice::expect_wanted(host) {
        Err(fault) if fault.code() == ErrorCode::Locked => {
            choice::record_refusal(host)?;
            // Whoever tries once more is told without a derivation of the key.
            let _ = place.note_locked();
            Err(fault)
        }
        outcome => outcome.map(|chosen| chosen.confirm),
    }
}

/// One vault of a place at a time: the owner, who knows the passphrase of the other one, switches to it. What is left behind is as
/// after `keep lock`, so that nothing tells later that it was a switch.
fn make_way(keep: &Keep, home: &Home) -> Result<(), Fault> {
    let vault = keep.host()?.vault();
    let is_hidden = vault.which() == Which::Hidden;
    match Connection::find(home, None)? {
        Some(other) if other.is_hidden() != is_hidden => {
            other.lock()?;
            // That process was not the last one that had the database open, which otherwise leaves no log behind.
            Ok(vault.settle_beside()?)
        }
        Some(_) | None => Ok(()),
    }
}

/// Nothing of the terminal stays open.
fn leave_terminal() -> std::io::Result<()> {
    std::io::stdout().flush()?;
    system::leave_terminal()
}

fn failed(error: &std::io::Error) -> Fault {
    Fault::new(ErrorCode::Bug, format!("the daemon cannot be started: {error}"))
}

fn ended() -> Fault {
    Fault::new(ErrorCode::Bug, "the daemon ended before it was ready")
}
