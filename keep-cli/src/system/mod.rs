//! What the command line asks of the system: files of one user, limits, signals.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

/// How much memory a process may keep out of swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// So many bytes.
    #[cfg_attr(windows, expect(dead_code, reason = "only some systems tell"))]
    Bytes(u64),
    /// As much as there is.
    #[cfg_attr(windows, expect(dead_code, reason = "only some systems tell"))]
    Any,
    /// Nothing is kept out of swap here.
    #[cfg_attr(unix, expect(dead_code, reason = "only some systems lack it"))]
    NotAsked,
}

#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;
