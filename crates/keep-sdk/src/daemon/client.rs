//! The client's side of the socket.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keep_types::{ErrorCode, Fault, SecretText};
use keep_vault::IntegrityReport;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::frame;
use super::place::Place;
use super::protocol::{self, Answered, Extend, Hello, Manage, Managed, PROTOCOL, Welcome};
use super::transport::Stream;
use crate::call::{Call, CallEntry, Class, Wiped, to_wiped_json};
use crate::{DaemonStatus, Done, Home};

/// How long a daemon may take to greet.
const HELLO: Duration = Duration::from_secs(10);

/// Somebody who can say the vault's passphrase when a call wants it again.
pub trait Elevate: Send + Sync {
    /// Gives passphrases to `attempt` until one is right or there are no more.
    ///
    /// # Errors
    /// The last one's error, or why there is none.
    fn elevate(&self, attempt: &mut dyn FnMut(&SecretText) -> Result<(), Fault>) -> Result<(), Fault>;
}

/// What came of unlocking a vault that is unlocked.
#[derive(Debug)]
pub enum Extended {
    /// It stays unlocked for as long as was asked.
    This(DaemonStatus),
    /// This passphrase opens the other vault of the directory, and nothing was done.
    Other(SecretText),
}

/// A connection to the daemon that holds a vault.
pub struct Connection {
    stream: Mutex<Stream>,
    welcome: Welcome,
    home: Home,
    elevate: Option<Arc<dyn Elevate>>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects to the daemon that holds the vault in `home`; `None` if there is none. `elevate` is asked for the
    /// passphrase when a call wants it again.
    ///
    /// # Errors
    /// When the socket is not safe, the process there is somebody else's, or the daemon is of another version.
    pub fn find(home: &Home, elevate: Option<Arc<dyn Elevate>>) -> Result<Option<Self>, Fault> {
        Self::greet(home, elevate, None)
    }

    /// Connects to the daemon that holds the vault in `home`, bound by the session of an agent whose token this is; `None`
    /// if there is no daemon.
    ///
    /// # Errors
    /// [`ErrorCode::NotConnected`] when no session has this token; else as [`find`](Self::find).
    pub fn with_token(home: &Home, token: &SecretText) -> Result<Option<Self>, Fault> {
        Self::greet(home, None, Some(SecretText::new(token.expose().to_owned())))
    }

    /// Another connection to the same daemon, bound by the session of an agent whose token this is.
    ///
    /// # Errors
    /// [`ErrorCode::NotConnected`] when no session has this token; else as [`find`](Self::find).
    pub fn for_session(&self, token: &SecretText) -> Result<Self, Fault> {
        Self::with_token(&self.home, token)?.ok_or_else(|| gone(&io::ErrorKind::ConnectionRefused.into()))
    }

    fn greet(
        home: &Home,
        elevate: Option<Arc<dyn Elevate>>,
        token: Option<SecretText>,
    ) -> Result<Option<Self>, Fault> {
        let place = Place::of(home);
        if !place.look()? {
            return Ok(None);
        }
        let Some(mut stream) = Stream::connect(&place)? else { return Ok(None) };
        stream.set_read_timeout(Some(HELLO));
        let hello = to_wiped_json(&Hello { keep: PROTOCOL, token })?;
        let Some(welcome) = greet(&mut stream, &hello)? else { return Ok(None) };
        stream.set_read_timeout(None);
        Ok(Some(Self { stream: Mutex::new(stream), welcome, home: home.clone(), elevate }))
    }

    /// Where the vault is.
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// Whether the daemon is still there. It closes connections that nobody uses when it has too many.
    pub fn is_open(&self) -> bool {
        // Nothing is to be read between two calls: either it would have to wait, or the other side has closed.
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).is_quiet()
    }

    /// Another handle of the connection, for ending a call that waits.
    pub(crate) fn try_clone_stream(&self) -> Option<Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).try_clone().ok()
    }

    /// The socket, after the greeting, for programs that make the calls themselves (`docs/formats/daemon.md`).
    #[cfg(unix)]
    pub fn into_socket(self) -> std::os::unix::net::UnixStream {
        self.stream.into_inner().unwrap_or_else(PoisonError::into_inner).into_socket()
    }

    /// The daemon's process.
    pub const fn pid(&self) -> u32 {
        self.welcome.pid
    }

    /// Whether the vault is the one in the reserve.
    pub const fn is_hidden(&self) -> bool {
        self.welcome.reserve
    }

    /// What the daemon's latest check of the vault had found when it was connected to.
    pub fn integrity(&self) -> IntegrityReport {
        self.welcome.report()
    }

    /// Makes a call there. Where it wants the passphrase again, whoever can say it is asked.
    ///
    /// # Errors
    /// What the call says; [`ErrorCode::Locked`] when the daemon ended meanwhile.
    pub fn call<C: Call>(&self, call: &C) -> Result<C::Reply, Fault> {
        if C::CLASS == Class::Manage {
            self.open_manage()?;
        }
        self.ask(C::NAME, call)
    }

    /// As [`call`](Self::call), with JSON parameters and a JSON reply.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_by_name(&self, entry: &CallEntry, parameters: &str) -> Result<Wiped, Fault> {
        if entry.class == Class::Manage {
            self.open_manage()?;
        }
        let parameters: &RawValue = serde_json::from_str(parameters)
            .map_err(|_| Fault::new(ErrorCode::Usage, "the parameters are no JSON"))?;
        let reply: Box<RawValue> = self.ask(entry.name, &parameters)?;
        Ok(Wiped::new(String::from(Box::<str>::from(reply)).into_bytes()))
    }

    /// How the daemon is.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn status(&self) -> Result<DaemonStatus, Fault> {
        self.ask(protocol::STATUS, &Done {})
    }

    /// Locks the vault for its owner: returns when the daemon no longer serves it. No program unlocks it again by itself.
    ///
    /// # Errors
    /// As [`call`](Self::call); when it is locked, and that the owner did it cannot be noted beside the socket.
    pub fn lock(&self) -> Result<(), Fault> {
        // Also if the daemon does not come to noting it.
        let noted = Place::of(&self.home).note_locked();
        let _: Done = self.ask(protocol::LOCK, &Done {})?;
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        // It closes the connection once nothing runs any more.
        while let Ok(Some(_)) = frame::read(&mut *stream, frame::MAX_REPLY) {}
        noted
    }

    /// Sets when the daemon locks (never, without `lifetime`), and whether it asks. A daemon that serves a bunker has no end,
    /// and keeps none. Wants the passphrase again; if that opens the other vault of the directory, nothing is done.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn extend(&self, lifetime: Option<Duration>, confirm: Option<bool>) -> Result<Extended, Fault> {
        if let Some(passphrase) = self.prove(true)? {
            return Ok(Extended::Other(passphrase));
        }
        let (seconds, forever) = (lifetime.map(|time| time.as_secs()), lifetime.is_none());
        self.ask(protocol::EXTEND, &Extend { seconds, forever, confirm }).map(Extended::This)
    }

    fn open_manage(&self) -> Result<(), Fault> {
        self.prove(false).map(drop)
    }

    /// Gives the passphrase again. If it may be that of `either` vault and opens the other one, it comes back.
    fn prove(&self, either: bool) -> Result<Option<SecretText>, Fault> {
        let Some(elevate) = &self.elevate else {
            let message = "this needs the vault's passphrase again, although it is unlocked";
            return Err(Fault::new(ErrorCode::Locked, message));
        };
        let mut other = None;
        elevate.elevate(&mut |passphrase| {
            let copy = || SecretText::new(passphrase.expose().to_owned());
            let asked = Manage { passphrase: copy(), either };
            let managed: Managed = self.ask(protocol::MANAGE, &asked)?;
            other = managed.other.then(copy);
            Ok(())
        })?;
        Ok(other)
    }

    fn ask<A: Serialize, R: DeserializeOwned>(&self, name: &str, parameters: &A) -> Result<R, Fault> {
        let answer = self.ask_json(name, &to_wiped_json(parameters)?)?;
        let reply = reply_of(&answer)?;
        serde_json::from_str(reply.get()).map_err(|_| strange())
    }

    /// The frame of the answer to a request with these parameters in JSON. Apart from [`ask`](Self::ask), because that is
    /// compiled once for each call.
    fn ask_json(&self, name: &str, parameters: &[u8]) -> Result<Wiped, Fault> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        frame::write(&mut *stream, &protocol::request(name, parameters)).map_err(|e| gone(&e))?;
        let answer = frame::read_answer(&mut *stream, frame::MAX_REPLY).map_err(|error| gone(&error))?;
        answer.ok_or_else(|| gone(&io::ErrorKind::UnexpectedEof.into()))
    }
}

/// The reply in the frame of an answer, or the fault that it carries.
fn reply_of(answer: &[u8]) -> Result<&RawValue, Fault> {
    let answer: Answered<'_> = serde_json::from_slice(answer).map_err(|_| strange())?;
    match (answer.ok, answer.error) {
        (Some(reply), None) => Ok(reply),
        (_, Some(fault)) => Err(fault.into()),
        (None, None) => Err(strange()),
    }
}

/// The daemon's greeting; `None` if it ended just now.
fn greet(stream: &mut Stream, hello: &[u8]) -> Result<Option<Welcome>, Fault> {
    let answered = frame::write(stream, &[hello]).and_then(|()| frame::read(stream, frame::MAX_REPLY));
    let answer = match answered {
        Ok(Some(answer)) => answer,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(Fault::new(ErrorCode::TimedOut, "the daemon that holds the vault does not answer")
                .with_hint("end its process; `keep status` names it"));
        }
        Err(_) => return Ok(None),
    };
    if let Ok(welcome) = serde_json::from_slice::<Welcome>(&answer) {
        return if welcome.keep == PROTOCOL { Ok(Some(welcome)) } else { Err(strange()) };
    }
    let refused: Answered<'_> = serde_json::from_slice(&answer).map_err(|_| strange())?;
    match refused.error.map(Fault::from) {
        // It locks just now: the vault can be opened without it.
        Some(fault) if fault.code() == ErrorCode::Locked => Ok(None),
        Some(fault) => Err(fault),
        None => Err(strange()),
    }
}

pub(super) fn gone(error: &io::Error) -> Fault {
    Fault::new(ErrorCode::Locked, format!("the daemon that held the vault is gone: {error}"))
        .with_hint("run the command again; `keep audit list` shows whether it was done")
}

fn strange() -> Fault {
    Fault::new(ErrorCode::Peer, "the daemon answered something that this version does not understand")
        .with_hint("it may be of another version: `keep lock`, then `keep unlock`")
}
