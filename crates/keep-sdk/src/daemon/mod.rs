//! The daemon: a process that holds an unlocked vault for others of the same user, as ssh-agent does.
//!
//! `keep unlock` starts one in the background, `keep serve` is one with a bunker. Both sides check that the other runs
//! as the same user, and the socket lies in a directory that only this user can enter. That keeps other users out; it
//! cannot tell one program of the user from another.

mod choice;
mod client;
mod connections;
mod frame;
mod harden;
mod launch;
mod place;
mod protocol;
mod server;
mod session;
mod watch;

use keep_types::{ErrorCode, Fault};
use rustix::process::geteuid;

pub(crate) use choice::{be_careful, careful};
pub use client::{Connection, Elevate, Extended};
pub use harden::harden;
pub use launch::{Orders, launch, run_launched};
pub use place::Place;
pub use server::{Daemon, DaemonOptions, Farewell, Trigger, Waiting};
pub use watch::Ended;

/// The other side of a socket runs as another user.
fn check_peer(stream: &std::os::unix::net::UnixStream) -> Result<(), Fault> {
    #[cfg(target_os = "linux")]
    {
        let peer = rustix::net::sockopt::socket_peercred(stream).map_err(|error| {
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
    let _ = (stream, geteuid());
    Ok(())
}
