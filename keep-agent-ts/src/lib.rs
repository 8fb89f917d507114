//! The native part of the npm package `keep-agent`: sessions of agents at the daemon that holds the vault.
//!
//! It finds the daemon, or starts it, shows the token, and hands the socket to JavaScript, whose own loop waits for answers.
//! Calls to a bunker go through here: each waits in a thread, never in JavaScript's. The secret key is never in this process.

mod crew;
mod settle;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use keep_sdk::agent::{Link, error_codes_json};
use keep_sdk::{ErrorCode, Fault};
use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;

/// A session of an agent. It is reached with the first call.
#[napi(js_name = "Session")]
pub struct Session {
    reach: Arc<Reach>,
}

#[napi]
impl Session {
    /// A session as `options` say, which are the JSON of `LinkOptions`. Nothing is connected yet.
    #[napi(constructor)]
    pub fn new(options: String) -> Self {
        Self { reach: Arc::new(Reach { options, link: Mutex::default() }) }
    }

    /// Makes a call. The promise is rejected with an error whose message is the JSON of a failure.
    #[napi]
    pub fn call<'env>(&self, env: &'env Env, name: String, parameters: String) -> Result<Object<'env>> {
        let reach = Arc::clone(&self.reach);
        settle::later(env, move || {
            let reply = reach.link()?.call(&name, &parameters)?;
            Ok(String::from_utf8_lossy(&reply).into_owned())
        })
    }

    /// Connects: the number of a socket at the daemon, after the greeting, for the asker to use and close; `null` where calls
    /// go through [`call`](Self::call) only.
    #[napi]
    pub fn connect<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let reach = Arc::clone(&self.reach);
        settle::later(env, move || {
            let socket = socket(&*reach.link()?)?;
            Ok(socket.map_or_else(|| String::from("null"), |number| number.to_string()))
        })
    }

    /// Ends the session, if it was made here. What the owner made stays.
    #[napi]
    pub fn close<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let reach = Arc::clone(&self.reach);
        settle::later(env, move || reach.close().map(|()| String::from("null")))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Ending a session that nobody closed waits for the daemon, and JavaScript must not.
        let reach = Arc::clone(&self.reach);
        if reach.is_open() {
            let _ = crew::run(Box::new(move || drop(reach)));
        }
    }
}

#[cfg(unix)]
fn socket(link: &Link) -> std::result::Result<Option<i32>, Fault> {
    use std::os::fd::IntoRawFd;
    Ok(link.socket()?.map(IntoRawFd::into_raw_fd))
}

#[cfg(not(unix))]
fn socket(_link: &Link) -> std::result::Result<Option<i32>, Fault> {
    Ok(None)
}

/// Every error code with its blame, as JSON.
#[napi]
pub fn error_codes() -> String {
    error_codes_json()
}

/// How a session is reached.
struct Reach {
    options: String,
    link: Mutex<Known>,
}

/// What is known of the way.
#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    Open(Arc<Link>),
    Closed,
}

impl Reach {
    /// The way to the session; found now, if it was not before.
    fn link(&self) -> std::result::Result<Arc<Link>, Fault> {
        let mut known = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Known::Open(link) => Ok(Arc::clone(link)),
            Known::Closed => Err(closed()),
            Known::Nothing => {
                let link = Arc::new(Link::open_json(&self.options)?);
                *known = Known::Open(Arc::clone(&link));
                Ok(link)
            }
        }
    }

    fn is_open(&self) -> bool {
        matches!(*self.link.lock().unwrap_or_else(PoisonError::into_inner), Known::Open(_))
    }

    fn close(&self) -> std::result::Result<(), Fault> {
        let mut known = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *known, Known::Closed) {
            Known::Open(link) => link.close(),
            Known::Nothing | Known::Closed => Ok(()),
        }
    }
}

fn closed() -> Fault {
    Fault::new(ErrorCode::Usage, "this session was closed").with_hint("make another one")
}

/// What `work` gives; a failure too where it panics.
fn guarded<T>(work: impl FnOnce() -> std::result::Result<T, Fault>) -> std::result::Result<T, Fault> {
    let bug = || Fault::new(ErrorCode::Bug, "the native part has a bug");
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(bug()))
}
