//! What a program says when it wants a session.

use std::path::PathBuf;

use keep_types::{ErrorCode, Fault, SecretText};
use serde::Deserialize;

use crate::agent::SessionScope;
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
    /// The program `keep`, which starts the daemon; without it, `KEEP_BIN`, then what `PATH` has.
    pub program: Option<PathBuf>,
    /// Opens the vault in this process, with `KEEP_PASSWORD`: for tests. Then no limit holds against this process.
    pub unsafe_in_process: bool,
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
}
