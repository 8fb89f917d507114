//! Keys out of the bytes that a terminal sends.

/// A key that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character, without regard to case where it is a letter.
    Char(char),
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Tab,
    BackTab,
    Enter,
    Escape,
    /// Ctrl-C and Ctrl-\
    Interrupt,
    /// Ctrl-L
    Redraw,
}

/// Longest sequence that is followed, in bytes; what is longer is no key of ours.
const MAX_SEQUENCE: usize = 16;

/// Puts sequences of bytes together.
#[derive(Debug, Default)]
pub struct Parser {
    sequence: Vec<u8>,
}

impl Parser {
    /// The next byte; a key when it completes one.
    pub fn feed(&mut self, byte: u8) -> Option<Key> {
        const ESCAPE: u8 = 0x1b;
        if self.sequence.is_empty() {
            if byte == ESCAPE {
                self.sequence.push(byte);
                return None;
            }
            return plain(byte);
        }
        self.sequence.push(byte);
        let is_whole = match self.sequence.as_slice() {
            [_, b'[' | b'O'] => false,
            [_, b'[' | b'O', .., last] => (0x40..=0x7e).contains(last),
            // An escape, and a key after it.
            _ => true,
        };
        if !is_whole && self.sequence.len() < MAX_SEQUENCE {
            return None;
        }
        let sequence = std::mem::take(&mut self.sequence);
        match sequence.as_slice() {
            [_, b'[' | b'O', rest @ ..] => named(rest),
            _ => Some(Key::Escape),
        }
    }

    /// Nothing came after an escape for a while: it was the key itself.
    pub fn settle(&mut self) -> Option<Key> {
        let alone = self.sequence.len() == 1;
        self.sequence.clear();
        alone.then_some(Key::Escape)
    }
}

fn plain(byte: u8) -> Option<Key> {
    match byte {
        0x03 | 0x1c => Some(Key::Interrupt),
        0x0c => Some(Key::Redraw),
        b'\t' => Some(Key::Tab),
        b'\r' | b'\n' => Some(Key::Enter),
        b' '..=b'~' => Some(Key::Char(char::from(byte).to_ascii_lowercase())),
        _ => None,
    }
}

fn named(sequence: &[u8]) -> Option<Key> {
    match sequence {
        b"A" => Some(Key::Up),
        b"B" => Some(Key::Down),
        b"C" => Some(Key::Right),
        b"D" => Some(Key::Left),
        b"H" | b"1~" | b"7~" => Some(Key::Home),
        b"F" | b"4~" | b"8~" => Some(Key::End),
        b"5~" => Some(Key::PageUp),
        b"6~" => Some(Key::PageDown),
        b"Z" => Some(Key::BackTab),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut parser = Parser::default();
        let mut keys: Vec<Key> = bytes.iter().filter_map(|byte| parser.feed(*byte)).collect();
        keys.extend(parser.settle());
        keys
    }

    #[test]
    fn sequences_are_one_key() {
        assert_eq!(
            keys(b"Y\x1b[A\x1bOB\x1b[6~q"),
            [Key::Char('y'), Key::Up, Key::Down, Key::PageDown, Key::Char('q')]
        );
        assert_eq!(keys(b"\x1b"), [Key::Escape]);
        assert_eq!(
            keys(b"\x03\x0c\r\t\x1b[Z"),
            [Key::Interrupt, Key::Redraw, Key::Enter, Key::Tab, Key::BackTab]
        );
    }

    #[test]
    fn what_is_no_key_does_nothing() {
        assert_eq!(keys(b"\x1b[200;300H\x00\xc3\xa9"), []);
        // The beginning of a sequence without an end is dropped; what follows is typed.
        assert_eq!(keys(&[b"\x1b[".as_slice(), &[b'1'; 14], b"y"].concat()), [Key::Char('y')]);
    }
}
