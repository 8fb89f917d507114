//! What a program says when it wants a session.

use std::path::PathBuf;
use std::sync::Arc;

use keep_types::{ErrorCode, Fault, SecretText};
use serde::Deserialize;

use crate::agent::{Asks, SessionScope};
use crate::call::secret;

/// Which session is wanted, and how the vault is reached.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkOptions {
    /// What the session is for. It narrows the session of the token; without a token, what the owner lets every agent do.
    pub scope: Option<SessionScope>,
    /// The token of a session that the owner made; without it, `session_file`, then `KEEP_SESSION`.
    #[serde(with = "secret::optional_text")]
    pub token: Option<SecretText>,
    /// The file with that token.
    pub session_file: Option<PathBuf>,
    /// The key, where there is no token: its name, npub or public key.
    pub key: Option<String>,
    /// The vault's directory; without it, `KEEP_HOME`, then `.keep` of the user.
    pub home: Option<PathBuf>,
    /// The `bunker://` URL of a bunker elsewhere, in place of a vault here; without it, `KEEP_BUNKER`. The limits are then
    /// those of the bunker, and no scope can be given.
    #[serde(with = "secret::optional_text")]
    pub bunker: Option<SecretText>,
    /// The program `keep`, which starts the daemon; without it, `KEEP_BIN`, then what `PATH` has.
    pub program: Option<PathBuf>,
    /// Starts the daemon instead of that program.
    #[serde(skip)]
    pub start: Option<Start>,
    /// Who decides what is asked about, where the session is made here without one of the owner's.
    #[serde(skip)]
    pub asks: Asks,
    /// Opens the vault in this process, with `KEEP_PASSWORD`: for tests. Then no limit holds against this process.
    pub unsafe_in_process: bool,
}

/// Starts the daemon: returns when it holds the vault.
#[derive(Clone)]
pub struct Start(Arc<dyn Fn() -> Result<(), Fault> + Send + Sync>);

impl Start {
    /// By this function.
    pub fn new(start: impl Fn() -> Result<(), Fault> + Send + Sync + 'static) -> Self {
        Self(Arc::new(start))
    }

    pub(super) fn run(&self) -> Result<(), Fault> {
        (self.0)()
    }
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Start")
    }
}

impl LinkOptions {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`ErrorCode::Usage`] with what does not fit.
    pub fn from_json(json: &str) -> Result<Self, Fault> {
        serde_json::from_str(json)
            .map_err(|error| Fault::new(ErrorCode::Usage, format!("this describes no session: {error}")))
    }

    /// What is for a vault of this machine means nothing at a bunker, and must not seem to.
    pub(super) fn check_bunker(&self) -> Result<(), Fault> {
        let local = self.token.is_some() || self.session_file.is_some() || self.unsafe_in_process;
        if self.scope.is_none() && self.key.is_none() && !local {
            return Ok(());
        }
        Err(Fault::new(ErrorCode::Usage, "a bunker's limits are set at the bunker, and its URL says whose key it is")
            .with_hint("leave out the scope, rate, duration, token and key; the bunker's owner sets limits with `keep nip46 grant`"))
    }
}

/// The variable that has a bunker's URL.
const VARIABLE: &str = "KEEP_BUNKER";

/// The bunker's URL that the environment names.
pub fn bunker_url() -> Option<SecretText> {
    std::env::var(VARIABLE).ok().filter(|url| !url.trim().is_empty()).map(SecretText::from)
}
