//! A session at a vault of this machine.

use std::sync::{Mutex, MutexGuard, PoisonError};

use keep_types::{ErrorCode, Fault, SecretText};

use super::LinkOptions;
use crate::agent::{Agent, SessionScope, session_token};
use crate::call::Wiped;
use crate::daemon::Connection;
use crate::{Home, Keep, Options};

/// How many connections are kept while nobody uses them.
const IDLE: usize = 8;

/// A session, and connections over which it is used: one for each thread that waits for an answer.
pub struct VaultLink {
    home: Home,
    starting: super::start::Starting,
    token: SecretText,
    /// Whether the session was made here, and ends with its use.
    ends: bool,
    /// The vault itself, if it is open in this process.
    here: Option<Keep>,
    idle: Mutex<Vec<Keep>>,
    /// The process that opened the connections. One that was forked from it must not use them.
    process: Mutex<u32>,
}

impl std::fmt::Debug for VaultLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VaultLink")
            .field("home", &self.home)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

impl VaultLink {
    pub fn open(options: &LinkOptions) -> Result<Self, Fault> {
        let home = match &options.home {
            Some(path) => Home::new(path.clone())?,
            None => Home::from_environment()?,
        };
        Keep::expect_vault(&home)?;
        let given = match &options.token {
            Some(token) => Some(SecretText::new(token.expose().to_owned())),
            None => session_token(options.session_file.as_deref())?,
        };
        let owner = if options.unsafe_in_process { here(&home)? } else { reach(&home, options)? };
        let from = match &given {
            Some(token) => owner.for_session(token)?,
            None => owner.clone(),
        };
        let (session, token, ends) = match (&options.scope, given) {
            (None, Some(token)) => (from, token, false),
            (scope, _) => {
                let scope = scope.clone().unwrap_or_else(SessionScope::asking);
                let made = from.agents().begin(options.key.as_deref(), scope, options.asks)?;
                (owner.for_session(&made.token)?, made.token, true)
            }
        };
        Ok(Self {
            home,
            starting: starting(options),
            token,
            ends,
            here: options.unsafe_in_process.then_some(session.clone()),
            idle: Mutex::new(if options.unsafe_in_process { Vec::new() } else { vec![session] }),
            process: Mutex::new(std::process::id()),
        })
    }

    pub fn call(&self, name: &str, parameters: &str) -> Result<Wiped, Fault> {
        if let Some(here) = &self.here {
            return here.call_by_name(name, parameters);
        }
        let connection = self.take()?;
        let reply = connection.call_by_name(name, parameters);
        match &reply {
            // The daemon is gone, and with it every connection. The next call looks for another one; this one may have been
            // done and is not repeated.
            Err(fault) if matches!(fault.code(), ErrorCode::Locked | ErrorCode::Peer) => self.idle().clear(),
            Ok(_) | Err(_) => {
                let mut idle = self.idle();
                if idle.len() < IDLE {
                    idle.push(connection);
                }
            }
        }
        reply
    }

    pub fn close(&self) -> Result<(), Fault> {
        if !self.ends || self.is_foreign() {
            return Ok(());
        }
        match &self.here {
            Some(here) => Agent::new(here.clone()).end(),
            None => Agent::new(self.take()?).end(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Keep>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_foreign(&self) -> bool {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) != std::process::id()
    }

    /// A connection that nobody uses now.
    fn take(&self) -> Result<Keep, Fault> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if *process != std::process::id() {
            self.idle().clear();
            *process = std::process::id();
        }
        drop(process);
        loop {
            let Some(keep) = self.idle().pop() else { return self.connect() };
            if keep.is_open() {
                return Ok(keep);
            }
        }
    }

    fn connect(&self) -> Result<Keep, Fault> {
        self.connection().map(Keep::connected)
    }

    fn connection(&self) -> Result<Connection, Fault> {
        if let Some(connection) = Connection::with_token(&self.home, &self.token)? {
            return Ok(connection);
        }
        super::start::daemon(&self.home, &self.starting)?.for_session(&self.token)
    }

    /// A socket of the session's; `None` if the vault is open in this process.
    #[cfg(unix)]
    pub fn socket(&self) -> Result<Option<std::os::unix::net::UnixStream>, Fault> {
        if self.here.is_some() {
            return Ok(None);
        }
        Ok(Some(self.connection()?.into_socket()))
    }
}

impl Drop for VaultLink {
    fn drop(&mut self) {
        // Its time runs out by itself if the vault cannot be reached any more.
        let reachable = self.here.is_some() || !self.idle().is_empty();
        if self.ends && reachable {
            let _ = self.close();
        }
    }
}

fn here(home: &Home) -> Result<Keep, Fault> {
    let password = std::env::var("KEEP_PASSWORD").map_err(|_| {
        Fault::new(ErrorCode::Locked, "the vault is locked").with_hint("set KEEP_PASSWORD, for this test")
    })?;
    let mut options = Options::default();
    if std::env::var_os("KEEP_ALLOW_WEAK_KDF").is_some() {
        options = options.allow_weak_kdf();
    }
    Keep::open(home.clone(), &SecretText::from(password), &options)
}

fn starting(options: &LinkOptions) -> super::start::Starting {
    super::start::Starting { program: options.program.clone(), start: options.start.clone() }
}

fn reach(home: &Home, options: &LinkOptions) -> Result<Keep, Fault> {
    super::start::daemon(home, &starting(options)).map(Keep::connected)
}
