//! The console of Windows. Its keys come as events, and are handed on as the bytes that a terminal of a Unix sends.
//!
//! What is typed passes through the console's own memory, which nobody wipes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode, size};

/// How the console treats what is typed: whether that was changed.
#[derive(Debug, Clone)]
pub struct Mode {
    changed: bool,
}

/// What keys come from and text goes to.
#[derive(Debug)]
pub struct Device {
    screen: File,
    /// The bytes of a key that are left.
    typed: VecDeque<u8>,
}

impl Device {
    /// The console of this process.
    pub fn open() -> Option<Self> {
        File::options().read(true).write(true).open("CONIN$").ok()?;
        let screen = File::options().read(true).write(true).open("CONOUT$").ok()?;
        Some(Self { screen, typed: VecDeque::new() })
    }

    /// Another handle of it.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { screen: self.screen.try_clone()?, typed: VecDeque::new() })
    }

    /// Gives each key at once and shows none of them; also Ctrl-C, if `signals_too`. Answers with the mode before.
    pub fn take_keys(&self, signals_too: bool) -> io::Result<Mode> {
        self.forget_typed();
        // Events are neither gathered into lines nor shown: only Ctrl-C is treated in another way without this.
        if signals_too {
            enable_raw_mode()?;
        }
        Ok(Mode { changed: signals_too })
    }

    /// Sets the mode back.
    pub fn set_mode(&self, mode: &Mode) {
        if mode.changed {
            let _ = disable_raw_mode();
        }
    }

    /// Forgets what was typed and not yet read.
    pub fn forget_typed(&self) {
        while poll(Duration::ZERO).unwrap_or(false) && read().is_ok() {}
    }

    /// Columns and rows, where it tells them.
    pub fn size(&self) -> Option<(u16, u16)> {
        size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0)
    }
}

impl Read for Device {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(first) = into.first_mut() else { return Ok(0) };
        loop {
            if let Some(byte) = self.typed.pop_front() {
                *first = byte;
                return Ok(1);
            }
            if let Event::Key(key) = read()?
                && key.kind != KeyEventKind::Release
            {
                self.typed.extend(bytes(key));
            }
        }
    }
}

impl Write for Device {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.screen.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.screen.flush()
    }
}

/// What a terminal sends for a key; nothing for those that mean nothing here.
fn bytes(key: KeyEvent) -> Vec<u8> {
    let fixed: &[u8] = match key.code {
        KeyCode::Char(character) => return character_bytes(character, key.modifiers),
        KeyCode::Enter => b"\r",
        KeyCode::Tab => b"\t",
        KeyCode::BackTab => b"\x1b[Z",
        KeyCode::Backspace => b"\x7f",
        KeyCode::Esc => b"\x1b",
        KeyCode::Up => b"\x1b[A",
        KeyCode::Down => b"\x1b[B",
        KeyCode::Right => b"\x1b[C",
        KeyCode::Left => b"\x1b[D",
        KeyCode::Home => b"\x1b[H",
        KeyCode::End => b"\x1b[F",
        KeyCode::PageUp => b"\x1b[5~",
        KeyCode::PageDown => b"\x1b[6~",
        _ => b"",
    };
    fixed.to_vec()
}

/// With Ctrl the control character; Ctrl and Alt together are AltGr, which is in the character already.
fn character_bytes(character: char, modifiers: KeyModifiers) -> Vec<u8> {
    let is_control = modifiers.contains(KeyModifiers::CONTROL) && !modifiers.contains(KeyModifiers::ALT);
    match u8::try_from(character) {
        Ok(letter @ (b'@'..=b'_' | b'a'..=b'z')) if is_control => vec![letter & 0x1f],
        Ok(_) | Err(_) if is_control => Vec::new(),
        Ok(_) | Err(_) => character.to_string().into_bytes(),
    }
}

/// Columns of the console, if stderr leads there.
pub fn columns() -> Option<usize> {
    let (columns, _) = io::stderr().is_terminal().then(size)?.ok()?;
    (columns > 0).then_some(usize::from(columns))
}
