//! Through which session a client reaches the vault.

use std::sync::Mutex;
use std::sync::PoisonError;

use keep_sdk::agent::{Asks, Link, LinkOptions, SessionScope, Start};
use keep_sdk::{Agent, Fault, Home, SecretText};

/// How sessions for clients are come by.
#[derive(Debug)]
pub struct Access {
    to: To,
}

#[derive(Debug)]
enum To {
    /// A vault of this machine.
    Vault(Box<Local>),
    /// A bunker, which knows one client.
    Bunker { url: SecretText, agent: Mutex<Option<Agent>> },
}

/// A session at a vault of this machine.
#[derive(Debug)]
struct Local {
    home: Home,
    start: Option<Start>,
    token: Option<SecretText>,
    key: Option<String>,
    scope: Option<SessionScope>,
    /// Whether the client may be believed when it says that a person said yes.
    person_decides: bool,
}

impl Access {
    /// With the token of a session that the owner granted; `scope` narrows it. `start` starts the daemon when it is gone.
    pub fn granted(home: Home, start: Option<Start>, token: SecretText, scope: Option<SessionScope>) -> Self {
        let local = Local { home, start, token: Some(token), key: None, scope, person_decides: true };
        Self { to: To::Vault(Box::new(local)) }
    }

    /// Without a session: what the owner lets every agent do with the key that `key` means, narrowed by `scope`.
    /// `person_decides` says whether the client's word is a person's: so it is where the owner's own program starts the
    /// server and speaks to it, and not where anybody who has a bearer token may be the client.
    pub fn unnamed(
        home: Home,
        start: Option<Start>,
        key: Option<String>,
        scope: Option<SessionScope>,
        person_decides: bool,
    ) -> Self {
        let local = Local { home, start, token: None, key, scope, person_decides };
        Self { to: To::Vault(Box::new(local)) }
    }

    /// At the bunker of this URL, whose limits hold.
    pub const fn bunker(url: SecretText) -> Self {
        Self { to: To::Bunker { url, agent: Mutex::new(None) } }
    }

    /// The session for a client; `person` says whether somebody at the client can be asked. One that is made for it ends with
    /// it.
    pub(crate) fn open(&self, person: bool) -> Result<Agent, Fault> {
        match &self.to {
            To::Vault(local) => {
                let Local { home, start, token, key, scope, person_decides } = &**local;
                let options = LinkOptions {
                    home: Some(home.path().to_owned()),
                    start: start.clone(),
                    token: token.as_ref().map(|token| SecretText::new(token.expose().to_owned())),
                    key: key.clone(),
                    scope: scope.clone(),
                    asks: if person && *person_decides { Asks::Client } else { Asks::Vault },
                    ..LinkOptions::default()
                };
                Ok(Agent::linked(Link::at_vault(&options)?))
            }
            To::Bunker { url, agent } => {
                let mut agent = agent.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(agent) = &*agent {
                    return Ok(agent.clone());
                }
                let made = Agent::linked(Link::at_bunker(url)?);
                Ok(agent.insert(made).clone())
            }
        }
    }
}
