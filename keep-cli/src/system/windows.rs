//! As Windows answers it. Files and directories get the permissions of the directory around them; nothing here asks for those.

use std::fs::{Metadata, OpenOptions};
use std::io;
use std::path::Path;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_logoff,
    ctrl_shutdown,
};

use super::MemoryLimit;

/// Who reads a file is not looked at.
pub const READERS: &str = ", with the permissions of the directory around it";

/// Lets the console show colours.
pub fn prepare_console() {
    crossterm::ansi_support::supports_ansi();
}

/// Makes a directory.
pub fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)
}

/// Files get the permissions of their directory.
pub const fn privately(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Not looked at.
pub const fn is_ours(_found: &Metadata) -> bool {
    true
}

/// Not looked at.
pub const fn open_to_others(_found: &Metadata) -> Option<u32> {
    None
}

/// Nothing is kept out of the page file.
pub const fn memory_limit() -> MemoryLimit {
    MemoryLimit::NotAsked
}

/// What asks a process to end.
#[derive(Debug)]
pub struct EndSignals {
    interrupt: CtrlC,
    break_off: CtrlBreak,
    close: CtrlClose,
    log_off: CtrlLogoff,
    shut_down: CtrlShutdown,
}

impl EndSignals {
    /// Takes them over. Needs the runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: ctrl_c()?,
            break_off: ctrl_break()?,
            close: ctrl_close()?,
            log_off: ctrl_logoff()?,
            shut_down: ctrl_shutdown()?,
        })
    }

    /// Waits for one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.break_off.recv() => {}
            _ = self.close.recv() => {}
            _ = self.log_off.recv() => {}
            _ = self.shut_down.recv() => {}
        }
    }
}

/// Nothing tells that the console has another size: whoever draws looks at it each time.
#[derive(Debug)]
pub struct Resizes;

impl Resizes {
    /// # Errors
    /// None here.
    #[expect(clippy::unnecessary_wraps, reason = "the other systems' form can fail")]
    pub const fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for ever.
    pub async fn next(&mut self) {
        std::future::pending().await
    }
}
