//! A named pipe that only its user can open, whose name and secret stand in a file that only this user can read.
//!
//! The name is random, the first instance must be ours, clients of other machines are refused, and both sides show that they
//! read the file before anything else is said: a pipe of the same name that somebody else made after the daemon ended is told
//! from it. Clients let nobody act in their name beyond learning who they are.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use interprocess::os::windows::named_pipe::tokio::PipeListener;
use interprocess::os::windows::named_pipe::{PipeListenerOptions, pipe_mode};
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use keep_types::{ErrorCode, Fault};
use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use widestring::u16cstr;
use zeroize::{Zeroize, Zeroizing};

use super::proof::{self, Secret};
use super::pumped::Pumped;
use crate::daemon::Place;

/// The owner of the pipe may do everything, and nobody else anything.
const OWNER_ONLY: &widestring::U16CStr = u16cstr!("D:P(A;;GA;;;OW)");
/// What every name begins with.
const PREFIX: &str = r"\\.\pipe\keep-";
/// How long the two sides may take to show each other who they are.
const PROOF: Duration = Duration::from_secs(10);
/// How many may do that at a time.
const PROVING: usize = 64;
/// What the system answers while every instance of a pipe is taken.
const PIPE_BUSY: i32 = 231;
/// The size of the system's buffers, in bytes.
const BUFFER: u32 = 64 << 10;

type Pipe = PipeListener<pipe_mode::Bytes, pipe_mode::Bytes>;

/// One end of a connection.
#[derive(Debug)]
pub struct Stream(Pumped);

impl Stream {
    /// Connects to whoever listens at a place; `None` if nobody does.
    ///
    /// # Errors
    /// [`ErrorCode::Peer`] when it is somebody else's process; when the pipe cannot be reached.
    pub fn connect(place: &Place) -> Result<Option<Self>, Fault> {
        let Some(address) = Address::read(&place.socket())? else { return Ok(None) };
        let runtime = runtime()?;
        let Some(mut pipe) = open(runtime, &address.pipe)? else { return Ok(None) };
        let (tell, told) = mpsc::channel();
        runtime.spawn(async move {
            let proven = timeout(PROOF, proof::as_client(&mut pipe, &address.secret)).await;
            let _ = tell.send(proven.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(|()| pipe));
        });
        match told.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())) {
            Ok(pipe) => Ok(Some(Self(Pumped::new(pipe, runtime)))),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(strange()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(Fault::new(ErrorCode::TimedOut, "the daemon that holds the vault does not answer")
                    .with_hint("end its process; `keep status` names it"))
            }
            // It ended just now.
            Err(_) => Ok(None),
        }
    }

    /// Another handle of the same connection. It stays open for as long as there is one.
    ///
    /// # Errors
    /// None here.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    /// Ends the connection for every handle.
    pub fn close(&self) {
        self.0.close();
    }

    /// How long reading waits for the first byte; for ever without it.
    pub fn set_read_timeout(&self, time: Option<Duration>) {
        self.0.set_read_timeout(time);
    }

    /// How long writing waits for the other side; for ever without it.
    pub fn set_write_timeout(&self, time: Option<Duration>) {
        self.0.set_write_timeout(time);
    }

    /// Whether the connection is open and nothing is there to be read.
    pub fn is_quiet(&self) -> bool {
        self.0.is_quiet()
    }

    /// Whether nobody is at the other end any more.
    pub fn has_hung_up(&self) -> bool {
        self.0.has_hung_up()
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Takes connections in.
#[derive(Debug)]
pub struct Listener {
    queue: Arc<Queue>,
    accepting: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Connections that have shown who they are.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<VecDeque<Pumped>>,
    changed: Condvar,
}

impl Listener {
    /// Listens at a place. Whoever does it has its lock.
    ///
    /// # Errors
    /// When the pipe or the file with its name cannot be made.
    pub fn bind(place: &Place) -> Result<Self, Fault> {
        let runtime = runtime()?;
        let address = Address::fresh()?;
        let pipe = listen(runtime, &address.pipe).map_err(|error| cannot_listen(&error))?;
        address.write(&place.socket())?;
        let queue = Arc::<Queue>::default();
        let accepting = runtime.spawn(accept_all(pipe, Arc::new(address.secret), Arc::clone(&queue)));
        Ok(Self { queue, accepting })
    }

    /// The next connection; `None` when none came in this time.
    ///
    /// # Errors
    /// None here: the pipe is opened anew until there is a client.
    pub fn accept(&self, within: Duration) -> io::Result<Option<Stream>> {
        let waiting = self.queue.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.queue.changed.wait_timeout_while(waiting, within, |waiting| waiting.is_empty());
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Ok(waiting.pop_front().map(Stream))
    }

    /// Nothing wakes the thread that waits for connections: it looks up by itself.
    pub const fn wake(_place: &Place) {}
}

/// Makes the first instance of a pipe.
fn listen(runtime: &Handle, name: &str) -> io::Result<Pipe> {
    let _inside = runtime.enter();
    PipeListenerOptions::new()
        .path(Path::new(name))
        .accept_remote(false)
        .input_buffer_size_hint(BUFFER)
        .output_buffer_size_hint(BUFFER)
        .security_descriptor(Some(SecurityDescriptor::deserialize(OWNER_ONLY)?))
        .create_tokio_duplex()
}

async fn accept_all(pipe: Pipe, secret: Arc<Secret>, queue: Arc<Queue>) {
    let proving = Arc::new(Semaphore::new(PROVING));
    loop {
        let Ok(place) = Arc::clone(&proving).acquire_owned().await else { return };
        let mut stream = match pipe.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection was not taken in");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (secret, queue) = (Arc::clone(&secret), Arc::clone(&queue));
        tokio::spawn(async move {
            match timeout(PROOF, proof::as_daemon(&mut stream, &secret)).await {
                Ok(Ok(())) => {
                    let stream = Pumped::new(stream, &Handle::current());
                    queue.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(stream);
                    queue.changed.notify_one();
                }
                Ok(Err(_)) | Err(_) => tracing::warn!("a process that is not the owner's was turned away"),
            }
            drop(place);
        });
    }
}

/// Opens a pipe; `None` if there is none.
fn open(runtime: &Handle, name: &str) -> Result<Option<NamedPipeClient>, Fault> {
    let _inside = runtime.enter();
    let began = Instant::now();
    loop {
        match ClientOptions::new().open(name) {
            Ok(pipe) => return Ok(Some(pipe)),
            Err(error) if error.raw_os_error() == Some(PIPE_BUSY) && began.elapsed() < PROOF => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(strange()),
            Err(error) => return Err(super::super::client::gone(&error)),
        }
    }
}

/// What carries the bytes of every pipe of this process.
fn runtime() -> Result<&'static Handle, Fault> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(1).thread_name("pipes").enable_all().build().ok()
    });
    let none = || Fault::new(ErrorCode::Bug, "the system gives no thread for the daemon's pipe");
    made.as_ref().map(Runtime::handle).ok_or_else(none)
}

/// The name of a pipe, and what both sides must have read beside it.
struct Address {
    pipe: String,
    secret: Secret,
}

impl Address {
    fn fresh() -> Result<Self, Fault> {
        let (mut name, mut secret) = ([0; 16], Zeroizing::new([0; 32]));
        getrandom::getrandom(&mut name)
            .and_then(|()| getrandom::getrandom(&mut *secret))
            .map_err(|_| Fault::new(ErrorCode::Bug, "the system gives no random bytes"))?;
        Ok(Self { pipe: format!("{PREFIX}{}", hex::encode(name)), secret })
    }

    /// Replaces the file as a whole.
    fn write(&self, path: &Path) -> Result<(), Fault> {
        let unfinished = path.with_extension("new");
        let secret = Zeroizing::new(hex::encode(self.secret.as_slice()));
        let text = Zeroizing::new(format!("{}\n{}\n", self.pipe, *secret));
        std::fs::write(&unfinished, text.as_bytes())
            .and_then(|()| std::fs::rename(&unfinished, path))
            .map_err(|error| cannot_listen(&error))
    }

    /// What the file says; `None` if there is none, or it is of nobody.
    fn read(path: &Path) -> Result<Option<Self>, Fault> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(super::super::client::gone(&error)),
        };
        let mut lines = text.lines();
        let (Some(pipe), Some(digits)) = (lines.next(), lines.next()) else { return Ok(None) };
        let mut secret = Zeroizing::new([0; 32]);
        let is_name = pipe
            .strip_prefix(PREFIX)
            .is_some_and(|name| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !is_name || hex::decode_to_slice(digits, &mut *secret).is_err() {
            secret.zeroize();
            return Ok(None);
        }
        Ok(Some(Self { pipe: pipe.to_owned(), secret }))
    }
}

fn cannot_listen(error: &io::Error) -> Fault {
    Fault::new(ErrorCode::Storage, format!("cannot listen on a pipe: {error}"))
}

fn strange() -> Fault {
    Fault::new(ErrorCode::Peer, "somebody else's process is at the other end of the pipe")
        .with_hint("look who it is, and end it; nothing was sent")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Home;

    const LONG: Duration = Duration::from_secs(60);

    fn place(root: &Path) -> Place {
        let place = Place::within(&Home::new(root.join("vault")).unwrap(), root.join("run"));
        place.prepare().unwrap();
        place
    }

    #[test]
    fn both_ends_of_a_pipe_meet_and_part() {
        let root = tempfile::tempdir().unwrap();
        let place = place(root.path());
        assert!(Stream::connect(&place).unwrap().is_none());
        let listener = Listener::bind(&place).unwrap();
        for _ in 0..3 {
            let mut client = Stream::connect(&place).unwrap().unwrap();
            let mut daemon = listener.accept(LONG).unwrap().unwrap();
            client.write_all(b"a question").unwrap();
            let mut question = [0; 10];
            daemon.read_exact(&mut question).unwrap();
            assert_eq!(&question, b"a question");
            assert!(client.is_quiet() && daemon.is_quiet());
            daemon.write_all(&[7; 300_000]).unwrap();
            let mut answer = vec![0; 300_000];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [7; 300_000]);
            client.close();
            assert_eq!(daemon.read(&mut [0; 8]).unwrap(), 0);
            assert!(daemon.has_hung_up());
        }
        assert!(listener.accept(Duration::from_millis(1)).unwrap().is_none());
        drop(listener);
        let began = Instant::now();
        while Stream::connect(&place).unwrap().is_some() {
            assert!(began.elapsed() < LONG);
        }
    }

    #[test]
    fn who_does_not_know_the_secret_is_told_nothing() {
        let root = tempfile::tempdir().unwrap();
        let place = place(root.path());
        let listener = Listener::bind(&place).unwrap();
        let mut address = Address::read(&place.socket()).unwrap().unwrap();
        address.secret[0] ^= 1;
        address.write(&place.socket()).unwrap();
        assert_eq!(Stream::connect(&place).unwrap_err().code(), ErrorCode::Peer);
        assert!(listener.accept(Duration::from_millis(1)).unwrap().is_none());
        address.secret[0] ^= 1;
        address.write(&place.socket()).unwrap();
        assert!(Stream::connect(&place).unwrap().is_some());
    }

    #[test]
    fn a_name_that_is_taken_is_not_shared() {
        let root = tempfile::tempdir().unwrap();
        let place = place(root.path());
        let _listener = Listener::bind(&place).unwrap();
        let address = Address::read(&place.socket()).unwrap().unwrap();
        assert!(listen(runtime().unwrap(), &address.pipe).is_err());
    }
}
