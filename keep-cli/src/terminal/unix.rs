//! A terminal of a Unix.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr, tcgetpgrp,
    tcgetwinsize, tcsetattr,
};

/// How a terminal treats what is typed.
pub type Mode = Termios;

/// What keys come from and text goes to.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// The terminal of this process, which is in its foreground.
    pub fn open() -> Option<Self> {
        let device = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let foreground = tcgetpgrp(&device).ok()? == rustix::process::getpgrp();
        foreground.then_some(Self(device))
    }

    /// Another handle of it.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Gives each key at once and shows none of them; also those that would be signals, if `signals_too`. Answers with the mode before.
    pub fn take_keys(&self, signals_too: bool) -> io::Result<Mode> {
        let before = tcgetattr(&self.0)?;
        let mut raw = before.clone();
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHONL);
        if signals_too {
            raw.local_modes.remove(LocalModes::ISIG);
        }
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&self.0, OptionalActions::Flush, &raw)?;
        Ok(before)
    }

    /// Sets the mode back.
    pub fn set_mode(&self, mode: &Mode) {
        let _ = tcsetattr(&self.0, OptionalActions::Drain, mode);
    }

    /// Forgets what was typed and not yet read.
    pub fn forget_typed(&self) {
        let _ = tcflush(&self.0, QueueSelector::IFlush);
    }

    /// Columns and rows, where it tells them.
    pub fn size(&self) -> Option<(u16, u16)> {
        let size = tcgetwinsize(&self.0).ok()?;
        (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
    }
}

impl Read for Device {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Device {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Columns of the terminal that stderr leads to.
pub fn columns() -> Option<usize> {
    tcgetwinsize(io::stderr()).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
