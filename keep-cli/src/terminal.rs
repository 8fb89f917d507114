//! The terminal: questions, hidden answers, single keys.

#[cfg_attr(unix, path = "terminal/unix.rs")]
#[cfg_attr(windows, path = "terminal/windows.rs")]
mod device;

use std::io::{self, IsTerminal, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keep_sdk::{DisplayText, SecretText};
use zeroize::Zeroizing;

use self::device::Mode;
pub use self::device::{Device, columns};
use crate::ending::Ending;

/// Longest answer, in bytes.
const MAX_ANSWER: usize = 4096;

/// The terminal of this process, with a person in front of it.
pub struct Terminal(Device);

impl Terminal {
    /// The terminal, if somebody can be asked: stdin or stderr leads there, and this process is in its foreground.
    pub fn open() -> Option<Self> {
        if !io::stdin().is_terminal() && !io::stderr().is_terminal() {
            return None;
        }
        Device::open().map(Self)
    }

    /// Shows lines that belong to a question.
    pub fn show(&mut self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Asks for a text that is not shown while it is typed.
    pub fn ask_hidden(&mut self, question: &str) -> Result<SecretText, Ending> {
        self.ask(question, false)
    }

    /// Asks for a text.
    pub fn ask_line(&mut self, question: &str) -> Result<String, Ending> {
        Ok(self.ask(question, true)?.expose().trim().to_owned())
    }

    /// Asks a question whose answer is yes or no; Enter alone means no.
    pub fn ask_yes(&mut self, question: &str) -> Result<bool, Ending> {
        let answer = self.ask_line(&format!("{question} [y/N] "))?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    fn ask(&mut self, question: &str, shown: bool) -> Result<SecretText, Ending> {
        let raw = RawMode::enter(&self.0, Signals::AsKeys).map_err(|_| Ending::Interrupted)?;
        self.write(question);
        let mut line = Line::default();
        let mut byte = [0];
        let ended = loop {
            match self.0.read(&mut byte) {
                Ok(1) => {}
                Ok(_) => break Err(Ending::Interrupted),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break Err(Ending::Interrupted),
            }
            match line.take(byte[0]) {
                Typed::More(echo) if shown => self.write(echo.as_str()),
                Typed::More(_) => {}
                Typed::Done => break Ok(()),
                Typed::Interrupted => break Err(Ending::Interrupted),
            }
        };
        self.write("\r\n");
        drop(raw);
        ended?;
        line.into_text()
    }

    fn write(&mut self, text: &str) {
        // A terminal that cannot be written to cannot be read from either.
        let _ = self.0.write_all(text.as_bytes()).and_then(|()| self.0.flush());
    }

    /// Reads single keys until the result is dropped. Ctrl-C and the like still are signals.
    pub fn keys(&self) -> io::Result<Keys> {
        let device = self.0.try_clone()?;
        Ok(Keys { _raw: RawMode::enter(&device, Signals::Delivered)?, device })
    }
}

/// The terminal as one screen, until this is dropped. What is written to the log meanwhile is held back.
pub struct FullScreen {
    keys: Keys,
}

/// How to give the terminal back when there is no time to drop anything.
static BORROWED: Mutex<Option<(Device, Mode)>> = Mutex::new(None);
/// Log lines that would spoil the screen.
static HELD: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Log lines that are held; later ones are lost.
const MAX_HELD: usize = 200;

const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";

impl Terminal {
    /// Takes the whole screen, and single keys; Ctrl-C is one of them.
    pub fn full_screen(&self) -> io::Result<FullScreen> {
        let mut device = self.0.try_clone()?;
        let raw = RawMode::enter(&device, Signals::AsKeys)?;
        *lock(&BORROWED) = Some((device.try_clone()?, raw.before.clone()));
        device.write_all(ENTER)?;
        device.flush()?;
        Ok(FullScreen { keys: Keys { _raw: raw, device } })
    }
}

impl FullScreen {
    /// The keys that are pressed.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What to draw on.
    pub fn device(&self) -> io::Result<Device> {
        self.keys.device.try_clone()
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        give_back();
        held_lines().iter().for_each(|line| {
            let _ = writeln!(io::stderr(), "{line}");
        });
    }
}

/// Gives the terminal back, if it was taken: also where a bug ends the program.
pub fn give_back() {
    let borrowed = BORROWED.try_lock().ok().and_then(|mut borrowed| borrowed.take());
    if let Some((mut device, before)) = borrowed {
        let _ = device.write_all(LEAVE).and_then(|()| device.flush());
        device.set_mode(&before);
    }
}

/// What was written to the log while the screen was taken.
pub fn held_lines() -> Vec<String> {
    std::mem::take(&mut *lock(&HELD))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the log goes: to stderr, or aside while the screen is taken.
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if lock(&BORROWED).is_none() {
            return io::stderr().write(bytes);
        }
        let mut held = lock(&HELD);
        if held.len() < MAX_HELD {
            let text = String::from_utf8_lossy(bytes);
            held.push(DisplayText::truncated(text.trim_end(), 400).to_string());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Single keys from the terminal.
pub struct Keys {
    _raw: RawMode,
    device: Device,
}

impl Keys {
    /// Forgets what was typed and not yet read, so that a key that was meant for something else answers nothing.
    pub fn forget_typed(&self) {
        self.device.forget_typed();
    }

    /// Starts a thread that hands each key to `take` until that says stop or the terminal is gone.
    pub fn spawn(&self, mut take: impl FnMut(u8) -> bool + Send + 'static) -> io::Result<()> {
        let mut device = self.device.try_clone()?;
        std::thread::Builder::new().name("keys".into()).spawn(move || {
            let mut byte = [0];
            while device.read(&mut byte).is_ok_and(|read| read == 1) {
                if !take(byte[0]) {
                    return;
                }
            }
        })?;
        Ok(())
    }
}

/// What Ctrl-C does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signals {
    Delivered,
    AsKeys,
}

/// The terminal without line editing and echo, until this is dropped.
struct RawMode {
    device: Device,
    before: Mode,
}

impl RawMode {
    fn enter(device: &Device, signals: Signals) -> io::Result<Self> {
        let device = device.try_clone()?;
        let before = device.take_keys(signals == Signals::AsKeys)?;
        Ok(Self { device, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.device.set_mode(&self.before);
    }
}

/// A line being typed.
struct Line(Zeroizing<Vec<u8>>);

impl Default for Line {
    fn default() -> Self {
        // Never grows, so that no copy of a passphrase stays behind.
        Self(Zeroizing::new(Vec::with_capacity(MAX_ANSWER)))
    }
}

/// What a byte did to the line.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    More(Echo),
    Done,
    Interrupted,
}

/// What to show for it.
#[derive(Debug, PartialEq, Eq)]
struct Echo(String);

impl Echo {
    fn as_str(&self) -> &str {
        &self.0
    }
}

impl Line {
    fn take(&mut self, byte: u8) -> Typed {
        const CTRL_C: u8 = 0x03;
        const CTRL_D: u8 = 0x04;
        const BACKSPACE: u8 = 0x08;
        const CTRL_U: u8 = 0x15;
        const CTRL_BACKSLASH: u8 = 0x1c;
        const DELETE: u8 = 0x7f;
        match byte {
            b'\r' | b'\n' => Typed::Done,
            CTRL_C | CTRL_BACKSLASH => Typed::Interrupted,
            CTRL_D if self.0.is_empty() => Typed::Interrupted,
            CTRL_D => Typed::Done,
            BACKSPACE | DELETE => self.rub_out(1),
            CTRL_U => self.rub_out(usize::MAX),
            0..0x20 => Typed::More(Echo(String::new())),
            _ if self.0.len() == MAX_ANSWER => Typed::More(Echo("\x07".into())),
            _ => {
                self.0.push(byte);
                // Bytes of one character are echoed together, once it is whole.
                let start = self.0.iter().rposition(|b| b & 0xc0 != 0x80).unwrap_or(0);
                Typed::More(Echo(std::str::from_utf8(&self.0[start..]).unwrap_or_default().to_owned()))
            }
        }
    }

    fn rub_out(&mut self, characters: usize) -> Typed {
        let mut gone = 0;
        while gone < characters && !self.0.is_empty() {
            while self.0.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            gone += 1;
        }
        Typed::More(Echo("\x08 \x08".repeat(gone)))
    }

    fn into_text(mut self) -> Result<SecretText, Ending> {
        match String::from_utf8(std::mem::take(&mut *self.0)) {
            Ok(text) => Ok(SecretText::new(text)),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                Err(keep_sdk::Fault::new(
                    keep_sdk::ErrorCode::InvalidInput,
                    "what was typed is not UTF-8 text",
                )
                .into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> (String, Option<Typed>) {
        let mut line = Line::default();
        let last = keys.iter().map(|key| line.take(*key)).last();
        (line.into_text().unwrap().expose().to_owned(), last)
    }

    #[test]
    fn lines_can_be_corrected() {
        assert_eq!(typed("pä\x7fass\x1b\r".as_bytes()), ("pass".into(), Some(Typed::Done)));
        assert_eq!(typed(b"wrong\x15right\n").0, "right");
        assert_eq!(typed(b"\x7f\x7fa").0, "a");
    }

    #[test]
    fn control_keys_end_it() {
        assert_eq!(typed(b"x\x03").1, Some(Typed::Interrupted));
        assert_eq!(typed(b"\x04").1, Some(Typed::Interrupted));
        assert_eq!(typed(b"x\x04"), ("x".into(), Some(Typed::Done)));
    }

    #[test]
    fn characters_are_echoed_whole() {
        let mut line = Line::default();
        assert_eq!(line.take("ž".as_bytes()[0]), Typed::More(Echo(String::new())));
        assert_eq!(line.take("ž".as_bytes()[1]), Typed::More(Echo("ž".into())));
    }

    #[test]
    fn the_buffer_of_a_secret_never_moves() {
        let mut line = Line::default();
        let place = line.0.as_ptr();
        for _ in 0..2 * MAX_ANSWER {
            line.take(b'x');
        }
        assert_eq!((line.0.len(), line.0.as_ptr()), (MAX_ANSWER, place));
    }
}
