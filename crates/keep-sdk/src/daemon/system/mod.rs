//! What a process in the background asks of the system.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

/// What protects an unlocked vault on some systems and not on this one, one sentence each: for those who tell the owner.
pub const fn lacking() -> &'static [&'static str] {
    LACKING
}

#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;
