//! Through which session a client reaches the vault.

use keep_sdk::agent::{Asks, SessionScope};
use keep_sdk::{Agent, Fault, Keep, SecretText};

/// How sessions for clients are come by.
#[derive(Debug, Clone)]
pub struct Access {
    keep: Keep,
    key: Option<String>,
    scope: Option<SessionScope>,
    granted: bool,
}

impl Access {
    /// With the token of a session that the owner granted; `scope` narrows it.
    ///
    /// # Errors
    /// When no session has this token.
    pub fn granted(keep: &Keep, token: &SecretText, scope: Option<SessionScope>) -> Result<Self, Fault> {
        Ok(Self { keep: keep.for_session(token)?, key: None, scope, granted: true })
    }

    /// Without a session: what the owner lets every agent do with the key that `key` means, narrowed by `scope`.
    pub const fn unnamed(keep: Keep, key: Option<String>, scope: Option<SessionScope>) -> Self {
        Self { keep, key, scope, granted: false }
    }

    /// The session for a client; `person` says whether somebody at the client can be asked.
    pub(crate) fn open(&self, person: bool) -> Result<Opened, Fault> {
        let scope = match (&self.scope, self.granted) {
            (None, true) => return Ok(Opened { agent: Agent::new(self.keep.clone()), ends: false }),
            (Some(scope), _) => scope.clone(),
            (None, false) => SessionScope::asking(),
        };
        let asks = if person { Asks::Client } else { Asks::Vault };
        let made = self.keep.agents().begin(self.key.as_deref(), scope, asks)?;
        Ok(Opened { agent: Agent::new(self.keep.for_session(&made.token)?), ends: true })
    }
}

/// A session for one client. One that was made for it ends with it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub agent: Agent,
    ends: bool,
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.ends {
            // Its time runs out by itself if the vault cannot be reached any more.
            let _ = self.agent.end();
        }
    }
}
