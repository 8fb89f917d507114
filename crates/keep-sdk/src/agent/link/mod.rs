//! How programs in other languages come to a session, and use it: calls by name, with JSON in and out.

mod options;
#[cfg(unix)]
mod start;
mod vault;

use keep_types::{ErrorCode, Fault};

pub use options::LinkOptions;
use vault::VaultLink;

use crate::call::{Wiped, registry};

/// A session of an agent, and the way to the vault that judges it. It can be used by many threads at once, and finds the
/// daemon again when that was restarted meanwhile.
#[derive(Debug)]
pub struct Link {
    vault: VaultLink,
}

impl Link {
    /// Reaches the vault through a session, as `options` say. A daemon is started when there is none and the passphrase is
    /// in the environment (`KEEP_PASSWORD`).
    ///
    /// # Errors
    /// [`ErrorCode::NoVault`]; [`ErrorCode::Locked`] when there is no daemon and none can be started;
    /// [`ErrorCode::NotConnected`] for a wrong token.
    pub fn open(options: &LinkOptions) -> Result<Self, Fault> {
        Ok(Self { vault: VaultLink::open(options)? })
    }

    /// As [`open`](Self::open), with [`LinkOptions`] as JSON.
    ///
    /// # Errors
    /// [`ErrorCode::Usage`] when they do not fit; else as [`open`](Self::open).
    pub fn open_json(options: &str) -> Result<Self, Fault> {
        Self::open(&LinkOptions::from_json(options)?)
    }

    /// Makes a call of those that are open to sessions (`agent.…`), with JSON parameters and a JSON reply.
    ///
    /// # Errors
    /// [`ErrorCode::RefusedByPolicy`] when there is no such call, or it is not open to sessions; what the call says.
    pub fn call(&self, name: &str, parameters: &str) -> Result<Wiped, Fault> {
        if !registry().iter().any(|entry| entry.name == name && entry.open_to_sessions) {
            let shown = keep_types::DisplayText::truncated(name, 60);
            let message = format!("the session of an agent cannot ask for \"{shown}\"");
            return Err(
                Fault::new(ErrorCode::RefusedByPolicy, message).with_hint("only the owner can do this")
            );
        }
        self.vault.call(name, parameters)
    }

    /// Ends the session, if it was made by [`open`](Self::open). What the owner made stays.
    ///
    /// # Errors
    /// When the vault cannot be reached any more; the session then ends with its time.
    pub fn close(&self) -> Result<(), Fault> {
        self.vault.close()
    }
}
