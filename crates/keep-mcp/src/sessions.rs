//! The sessions of the HTTP server's clients: bounded. Whoever has the token may begin one after the other and end none; the one
//! that was not used for longest then ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderName};
use rmcp::transport::streamable_http_server::session::SessionManager as _;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;

/// How many sessions there may be at a time. One that nobody uses ends by itself after some minutes.
const MAX_SESSIONS: usize = 128;
/// Where requests and the answer to the first of them name the session.
const NAMED: HeaderName = HeaderName::from_static("mcp-session-id");

/// The open sessions, by when they were used last.
#[derive(Default)]
pub struct Sessions {
    manager: Arc<LocalSessionManager>,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    sessions: HashMap<Arc<str>, u64>,
    now: u64,
}

impl Sessions {
    /// What makes and keeps them.
    pub fn manager(&self) -> Arc<LocalSessionManager> {
        Arc::clone(&self.manager)
    }

    /// Notes that a request names a session. Names that mean none are not kept.
    pub fn asked(&self, headers: &HeaderMap) {
        if let Some(session) = name(headers) {
            self.used().touch(&session, false);
        }
    }

    /// Notes the session that an answer names, which may be new, and ends others if there are too many.
    pub async fn answered(&self, headers: &HeaderMap) {
        let Some(session) = name(headers) else { return };
        if self.used().touch(&session, true) > MAX_SESSIONS {
            // Those that ended by themselves, or by their clients' word.
            let open = self.manager.sessions.read().await;
            self.used().sessions.retain(|session, _| open.contains_key(session));
        }
        while let Some(oldest) = self.one_too_many() {
            // What ended already is gone.
            let _ = self.manager.close_session(&oldest).await;
        }
    }

    fn one_too_many(&self) -> Option<Arc<str>> {
        let mut used = self.used();
        if used.sessions.len() <= MAX_SESSIONS {
            return None;
        }
        let oldest =
            used.sessions.iter().min_by_key(|(_, last)| **last).map(|(session, _)| Arc::clone(session))?;
        used.sessions.remove(&oldest);
        Some(oldest)
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    /// Says how many there are.
    fn touch(&mut self, session: &Arc<str>, new: bool) -> usize {
        self.now += 1;
        match self.sessions.get_mut(session) {
            Some(last) => *last = self.now,
            None if new => drop(self.sessions.insert(Arc::clone(session), self.now)),
            None => {}
        }
        self.sessions.len()
    }
}

fn name(headers: &HeaderMap) -> Option<Arc<str>> {
    headers.get(NAMED)?.to_str().ok().map(Arc::from)
}
