//! What is signed or verified.

use keep_sdk::{ErrorCode, Fault};

use super::files::read;
use crate::args::frost::Message;

/// Longest message from a file, in bytes.
const MAX: u64 = 1 << 20;
/// From so many hex digits on, a text that is hex is taken as such.
const HEX_FROM: usize = 64;

impl Message {
    /// The bytes, if any were given.
    pub fn bytes(&self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(if let Some(text) = &self.message {
            let is_hex = text.len() >= HEX_FROM
                && text.len().is_multiple_of(2)
                && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            Some(if is_hex { unhex(text)? } else { text.clone().into_bytes() })
        } else if let Some(hex) = &self.message_hex {
            Some(unhex(hex)?)
        } else if let Some(text) = &self.message_text {
            Some(text.clone().into_bytes())
        } else if let Some(file) = &self.message_file {
            Some(read(file, MAX)?)
        } else {
            None
        })
    }

    /// The bytes, which must have been given.
    pub fn expect(&self) -> Result<Vec<u8>, Fault> {
        self.bytes()?.ok_or_else(|| {
            Fault::new(ErrorCode::Usage, "there is no message")
                .with_hint("give --message, --message-hex, --message-text or --message-file")
        })
    }
}

pub fn unhex(text: &str) -> Result<Vec<u8>, Fault> {
    let bad = || {
        Fault::new(ErrorCode::InvalidInput, "the message is no hexadecimal")
            .with_hint("use --message-text to sign it as text")
    };
    if !text.len().is_multiple_of(2) {
        return Err(bad());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect::<Option<_>>().ok_or_else(bad)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(text: &str) -> Vec<u8> {
        let message = Message {
            message: Some(text.to_owned()),
            message_hex: None,
            message_text: None,
            message_file: None,
        };
        message.expect().unwrap()
    }

    #[test]
    fn what_is_hex_is_taken_as_hex() {
        assert_eq!(read_as("hello"), b"hello");
        assert_eq!(read_as("deadbeef"), b"deadbeef");
        assert_eq!(read_as(&"ab".repeat(32)), [0xab; 32]);
        assert_eq!(read_as(&"AB".repeat(40)), [0xab; 40]);
        assert_eq!(read_as(&"a".repeat(65)), "a".repeat(65).into_bytes());
        assert_eq!(unhex("0g").unwrap_err().code(), ErrorCode::InvalidInput);
        assert_eq!(unhex("abc").unwrap_err().code(), ErrorCode::InvalidInput);
        assert_eq!(hex(&unhex("00ffa0").unwrap()), "00ffa0");
    }
}
