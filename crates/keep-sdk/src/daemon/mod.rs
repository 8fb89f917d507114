//! The daemon: a process that holds an unlocked vault for others of the same user, as ssh-agent does.
//!
//! `keep unlock` starts one in the background, `keep serve` is one with a bunker. Both sides check that the other runs
//! as the same user, and the socket lies in a directory that only this user can enter. That keeps other users out; it
//! cannot tell one program of the user from another. On Windows a named pipe carries the same frames.

mod choice;
mod client;
mod connections;
mod frame;
mod launch;
mod lock;
mod place;
mod protocol;
mod server;
mod session;
mod system;
mod transport;
mod watch;

pub(crate) use choice::{Choice, be_careful, careful};
pub use client::{Connection, Elevate, Extended};
pub use launch::{Orders, launch, run_launched};
pub use lock::{Locked, Opening, lock};
pub use place::Place;
pub use server::{Daemon, DaemonOptions, Farewell, Trigger, Waiting};
pub use system::{harden, lacking};
pub(crate) use transport::Stream;
pub use watch::Ended;
