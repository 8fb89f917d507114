//! Calls: everything that can be asked of an unlocked vault.
//!
//! A call is a value with a typed reply. It runs in this process, or in the daemon that holds the vault; it is written
//! once, and listed in the [`registry`].

mod host;
mod registry;
pub mod secret;
mod wire;

use keep_types::Fault;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use host::Caller;
pub use host::Host;
pub(crate) use host::HungUp;
pub use registry::{CallEntry, registry};
pub use wire::{FaultView, Wiped, extend_wiped, to_wiped_json};

/// What a connection must have shown before it may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Reading, and using keys: an unlocked vault is enough.
    Use,
    /// Exporting, approving, changing policy, deleting, backing up, rotating: wants the passphrase again.
    Manage,
}

/// Something that is asked of an unlocked vault. Its fields are the parameters; over a socket they travel as JSON.
///
/// Secrets among them, and in the reply, have types that are wiped: see [`secret`].
pub trait Call: Serialize + DeserializeOwned + Send + 'static {
    /// The stable name: what it is about, a dot, what is done.
    const NAME: &'static str;
    /// Who may make it.
    const CLASS: Class;
    /// Whether the session of an agent may make it. What such a call does it must judge by the session.
    const OPEN_TO_SESSIONS: bool = false;
    /// What comes back. It is also the `--json` of the command line.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    /// Does it.
    ///
    /// # Errors
    /// What the call's own documentation says.
    fn run(self, host: &Host) -> Result<Self::Reply, Fault>;
}
