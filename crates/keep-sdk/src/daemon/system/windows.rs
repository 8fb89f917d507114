//! What a process in the background asks of Windows.

use std::fs::Metadata;
use std::io;
use std::os::windows::process::CommandExt;
use std::process::Command;

/// See [`lacking`](super::lacking).
pub const LACKING: &[&str] = &[
    "keys in memory, and what is typed, are not kept out of the page file",
    "debuggers of the same user, and crash dumps, can read the process that holds the vault",
    "which user is at the other end of the pipe is not asked of the system: the pipe's permissions and a secret in a file of the \
     profile tell it",
    "who may enter the directories of the vault and of the pipe is not looked at: they have the permissions of the profile",
    "a sleep of the machine is told by the clock of the day, which can be set",
];

/// Without a console, and not ended with the console of whoever starts it.
const IN_BACKGROUND: u32 = 0x0000_0008 | 0x0000_0200;
/// What the system itself needs of the environment.
const NEEDED: [&str; 4] = ["SystemRoot", "SystemDrive", "LOCALAPPDATA", "USERPROFILE"];

/// Prepares a program for running in the background, with an environment of nothing but what the system needs.
pub fn prepare(program: &mut Command) {
    let kept = NEEDED.map(|name| (name, std::env::var_os(name)));
    program.env_clear().creation_flags(IN_BACKGROUND);
    for (name, value) in kept {
        if let Some(value) = value {
            program.env(name, value);
        }
    }
}

/// There is no session to leave: see [`prepare`].
pub const fn leave_session() {}

/// Pipes stay open until the process ends; nobody writes to them any more.
///
/// # Errors
/// None here.
pub const fn leave_terminal() -> io::Result<()> {
    Ok(())
}

/// Says that the system has no such promise to give: whoever runs as the same user can read this process.
pub const fn harden() -> bool {
    false
}

/// A file that is open as a database cannot be replaced here: it is there, or it is not.
pub const fn identity(_found: &Metadata) -> (u64, u64) {
    (0, 0)
}
