//! A socket in a directory that only its user can enter.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use keep_types::{ErrorCode, Fault};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use rustix::process::geteuid;

use crate::daemon::Place;

/// One end of a connection.
#[derive(Debug)]
pub struct Stream(UnixStream);

impl Stream {
    /// Connects to whoever listens at a place; `None` if nobody does.
    ///
    /// # Errors
    /// [`ErrorCode::Peer`] when it is somebody else's process; when the socket cannot be reached.
    pub fn connect(place: &Place) -> Result<Option<Self>, Fault> {
        let stream = match UnixStream::connect(place.socket()) {
            Ok(stream) => Self(stream),
            // What an ended daemon left.
            Err(error) if is_nobody(&error) => return Ok(None),
            Err(error) => return Err(super::super::client::gone(&error)),
        };
        stream.check_peer()?;
        Ok(Some(stream))
    }

    /// The other side of a socket runs as another user.
    fn check_peer(&self) -> Result<(), Fault> {
        #[cfg(target_os = "linux")]
        {
            let peer = rustix::net::sockopt::socket_peercred(&self.0).map_err(|error| {
                Fault::new(ErrorCode::Peer, format!("who is at the socket is unknown: {error}"))
            })?;
            if peer.uid != geteuid() {
                return Err(Fault::new(
                    ErrorCode::Peer,
                    "somebody else's process is at the other end of the socket",
                )
                .with_hint("look who it is, and remove the socket; nothing was sent"));
            }
        }
        // Elsewhere the directory, which only this user can enter, has to do.
        let _ = geteuid();
        Ok(())
    }

    /// Two ends of one connection within this process.
    #[cfg(test)]
    pub fn pair() -> io::Result<(Self, Self)> {
        UnixStream::pair().map(|(one, other)| (Self(one), Self(other)))
    }

    /// Another handle of the same connection. It stays open for as long as there is one.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Ends the connection for every handle.
    pub fn close(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// How long reading waits for the first byte; for ever without it.
    pub fn set_read_timeout(&self, time: Option<Duration>) {
        let _ = self.0.set_read_timeout(time);
    }

    /// How long writing waits for the other side; for ever without it.
    pub fn set_write_timeout(&self, time: Option<Duration>) {
        let _ = self.0.set_write_timeout(time);
    }

    /// Whether the connection is open and nothing is there to be read.
    pub fn is_quiet(&self) -> bool {
        self.peek().is_err_and(|error| error == rustix::io::Errno::AGAIN)
    }

    /// Whether nobody is at the other end any more.
    pub fn has_hung_up(&self) -> bool {
        self.peek().is_ok_and(|length| length == 0)
    }

    fn peek(&self) -> rustix::io::Result<usize> {
        recv(&self.0, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT).map(|(length, _)| length)
    }

    /// The socket itself.
    pub fn into_socket(self) -> UnixStream {
        self.0
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
pub struct Listener(UnixListener);

impl Listener {
    /// Listens at a place. Whoever does it has its lock.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn bind(place: &Place) -> Result<Self, Fault> {
        let socket = place.socket();
        let listen = || {
            let listener = UnixListener::bind(&socket)?;
            std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            Ok(Self(listener))
        };
        listen().map_err(|error: io::Error| {
            Fault::new(ErrorCode::Storage, format!("cannot listen on {}: {error}", socket.display()))
        })
    }

    /// The next connection; `None` when none came in this time. Somebody else's process is turned away.
    ///
    /// # Errors
    /// When the system gives no more of them just now.
    pub fn accept(&self, within: Duration) -> io::Result<Option<Stream>> {
        let pause = Timespec {
            tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(within.subsec_nanos()),
        };
        let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&pause));
        let stream = match self.0.accept() {
            Ok((stream, _)) => Stream(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        stream.0.set_nonblocking(false)?;
        if stream.check_peer().is_err() {
            tracing::warn!("a process of another user was turned away");
            return Ok(None);
        }
        Ok(Some(stream))
    }

    /// Wakes the thread that waits for connections at a place.
    pub fn wake(place: &Place) {
        let _ = UnixStream::connect(place.socket());
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}
