//! JSON that may hold secrets, written without leaving copies behind.

use keep_types::SecretText;
use zeroize::Zeroizing;

/// Writes JSON into one buffer that is wiped whenever it is outgrown or dropped.
pub(crate) struct JsonWriter(Zeroizing<String>);

impl JsonWriter {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(String::with_capacity(capacity)))
    }

    /// Appends JSON as it stands.
    pub(crate) fn raw(&mut self, json: &str) -> &mut Self {
        self.make_room(json.len());
        self.0.push_str(json);
        self
    }

    /// Appends `text` as a JSON string (RFC 8259, section 7).
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.make_room(text.len() + 2);
        self.0.push('"');
        let mut rest = text;
        while let Some(at) = rest.bytes().position(needs_escape) {
            // Room for what is left, this escape and the closing quote.
            self.make_room(rest.len() + 8);
            self.0.push_str(&rest[..at]);
            self.escape(rest.as_bytes()[at]);
            rest = &rest[at + 1..];
        }
        self.make_room(rest.len() + 1);
        self.0.push_str(rest);
        self.0.push('"');
        self
    }

    pub(crate) fn finish(mut self) -> SecretText {
        SecretText::new(std::mem::take(&mut *self.0))
    }

    fn escape(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match byte {
            b'"' => self.0.push_str("\\\""),
            b'\\' => self.0.push_str("\\\\"),
            b'\n' => self.0.push_str("\\n"),
            b'\r' => self.0.push_str("\\r"),
            b'\t' => self.0.push_str("\\t"),
            control => {
                self.0.push_str("\\u00");
                self.0.push(char::from(HEX[usize::from(control >> 4)]));
                self.0.push(char::from(HEX[usize::from(control & 15)]));
            }
        }
    }

    /// Grows into a new buffer and wipes the old one, which growing in place would leave behind.
    fn make_room(&mut self, more: usize) {
        if self.0.capacity() - self.0.len() < more {
            let mut larger = Zeroizing::new(String::with_capacity(2 * (self.0.len() + more)));
            larger.push_str(&self.0);
            self.0 = larger;
        }
    }
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>(), control in "[\u{0}-\u{1f}\"\\\\]{0,20}", room in 0_usize..40) {
            let text = text + &control;
            let mut json = JsonWriter::with_capacity(room);
            json.raw("[").text(&text).raw("]");
            let read: Vec<String> = serde_json::from_str(json.finish().expose()).unwrap();
            prop_assert_eq!(read, vec![text]);
        }
    }
}
