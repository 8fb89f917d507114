//! What a process in the background asks of a Unix.

use std::fs::{Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};

/// See [`lacking`](super::lacking).
pub const LACKING: &[&str] = if cfg!(target_os = "linux") {
    &[]
} else {
    &[
        "which user is at the other end of the socket is not asked: only the directory keeps others out",
        "debuggers of the same user can read the process that holds the vault",
        "a sleep of the machine is told by the clock of the day, which can be set",
    ]
};

/// Prepares a program for running in the background: with an empty environment and without files that this process inherited
/// and does not know of, which would stay open for as long as it lives.
pub fn prepare(program: &mut Command) {
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
    program.env_clear().current_dir("/");
}

/// Leaves the session of the terminal: its signals do not come here any more. Files are made for their user only.
pub fn leave_session() {
    let _ = rustix::process::setsid();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Nothing of the terminal stays open.
pub fn leave_terminal() -> io::Result<()> {
    let nothing = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(())
}

/// Refuses core dumps and debuggers of the same user. Says whether the system agreed.
pub fn harden() -> bool {
    let no_core = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_ok();
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let hidden = {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
    };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let hidden = false;
    no_core && hidden
}

/// What tells a file from every other one that may take its place.
pub fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}
