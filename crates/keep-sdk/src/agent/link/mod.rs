//! How programs in other languages come to a session, and use it: calls by name, with JSON in and out.

mod bunker;
mod client_key;
mod options;
mod start;
mod vault;

use keep_types::{ErrorCode, Fault, SecretText};

use bunker::BunkerLink;
pub use options::{LinkOptions, Start, bunker_url};
use vault::VaultLink;

use crate::call::{Call, Wiped, registry, to_wiped_json};

/// A session of an agent, and the way to the vault that judges it. It can be used by many threads at once, and finds the
/// daemon again when that was restarted meanwhile.
#[derive(Debug)]
pub struct Link {
    to: To,
}

/// Where the key is.
#[derive(Debug)]
enum To {
    /// In a vault of this machine.
    Vault(VaultLink),
    /// Behind a bunker.
    Bunker(BunkerLink),
}

impl Link {
    /// Reaches the vault through a session, as `options` say, or the bunker that they name. A daemon is started when there is none and the passphrase is
    /// in the environment (`KEEP_PASSWORD`).
    ///
    /// # Errors
    /// [`ErrorCode::NoVault`]; [`ErrorCode::Locked`] when there is no daemon and none can be started;
    /// [`ErrorCode::NotConnected`] for a wrong token; for a bunker, what it says, or that it does not answer.
    pub fn open(options: &LinkOptions) -> Result<Self, Fault> {
        let given = options.token.is_some() || options.session_file.is_some();
        let bunker = match &options.bunker {
            // What was said is meant before what is in the environment.
            None if given => None,
            None => bunker_url(),
            Some(url) => Some(SecretText::new(url.expose().to_owned())),
        };
        let Some(url) = bunker else { return Self::at_vault(options) };
        options.check_bunker()?;
        Self::at_bunker(&url)
    }

    /// As [`open`](Self::open), whatever bunker the environment names. Without a token and a file with one, the session is that
    /// of `KEEP_SESSION`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn at_vault(options: &LinkOptions) -> Result<Self, Fault> {
        Ok(Self { to: To::Vault(VaultLink::open(options)?) })
    }

    /// Connects to the bunker of this `bunker://` URL, as the client that this machine has been for the URL before.
    ///
    /// # Errors
    /// When the bunker cannot be reached, or does not take this client.
    pub fn at_bunker(url: &SecretText) -> Result<Self, Fault> {
        Ok(Self { to: To::Bunker(BunkerLink::open(url)?) })
    }

    /// As [`open`](Self::open), with [`LinkOptions`] as JSON.
    ///
    /// # Errors
    /// [`ErrorCode::Usage`] when they do not fit; else as [`open`](Self::open).
    pub fn open_json(options: &str) -> Result<Self, Fault> {
        Self::open(&LinkOptions::from_json(options)?)
    }

    /// Whether the key is behind a bunker, whose answers may take as long as its owner.
    pub const fn is_at_bunker(&self) -> bool {
        matches!(self.to, To::Bunker(_))
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
        match &self.to {
            To::Vault(vault) => vault.call(name, parameters),
            To::Bunker(bunker) => bunker.call(name, parameters),
        }
    }

    /// Makes a call, with types.
    pub(crate) fn make<C: Call>(&self, call: &C) -> Result<C::Reply, Fault> {
        let parameters = to_wiped_json(call)?;
        let parameters = std::str::from_utf8(&parameters).map_err(|_| strange())?;
        let reply = self.call(C::NAME, parameters)?;
        serde_json::from_slice(&reply).map_err(|_| strange())
    }

    /// A socket at the daemon, bound to the session, for programs that wait for answers in a way of their own: frames as in
    /// `docs/formats/daemon.md`, after the greeting. `None` where there is no daemon between: at a bunker.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[cfg(unix)]
    pub fn socket(&self) -> Result<Option<std::os::unix::net::UnixStream>, Fault> {
        match &self.to {
            To::Vault(vault) => vault.socket(),
            To::Bunker(_) => Ok(None),
        }
    }

    /// Ends the session, if it was made by [`open`](Self::open). What the owner made stays.
    ///
    /// # Errors
    /// When the vault cannot be reached any more; the session then ends with its time.
    pub fn close(&self) -> Result<(), Fault> {
        match &self.to {
            To::Vault(vault) => vault.close(),
            // A bunker knows its client until the owner revokes it.
            To::Bunker(_) => Ok(()),
        }
    }
}

fn strange() -> Fault {
    Fault::new(ErrorCode::Bug, "an answer has another form than its call")
}
