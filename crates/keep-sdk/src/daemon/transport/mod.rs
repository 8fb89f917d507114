//! What carries frames between the daemon and its clients: a socket, or on Windows a named pipe. Above it everything is the same.
//!
//! On either system each side knows, before the first frame, that the other one is a process of the same user.

#[cfg(any(windows, test))]
mod proof;
#[cfg(any(windows, test))]
mod pumped;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{Listener, Stream};
#[cfg(windows)]
pub use windows::{Listener, Stream};
