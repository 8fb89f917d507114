//! The one-time secret of a connection.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use keep_types::SecretText;
use subtle::ConstantTimeEq;

/// The one-time secret of a `bunker://` URI that Keep makes: only letters, digits, `-` and `_`, because clients take
/// URIs apart in ways that break on anything else. `Debug` shows nothing of it.
pub struct ConnectSecret(SecretText);

impl ConnectSecret {
    /// The longest secret that is read, in characters.
    pub const MAX_LEN: usize = 128;

    /// A secret of 32 characters from 24 random bytes (192 bits).
    pub fn from_random(random: &[u8; 24]) -> Self {
        Self(SecretText::new(URL_SAFE_NO_PAD.encode(random)))
    }

    /// A secret that was made before.
    ///
    /// Returns nothing when `text` is empty, too long, or has other characters than `[A-Za-z0-9_-]`.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= Self::MAX_LEN && text.bytes().all(is_plain);
        fits.then(|| Self(SecretText::new(text.to_owned())))
    }

    /// Whether `given` is this secret, in constant time for a given length.
    pub fn matches(&self, given: &str) -> bool {
        same_secret(self.expose(), given)
    }

    /// The secret itself. Keep the borrow short.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for ConnectSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectSecret(…)")
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Whether two secrets are equal; for equal lengths the time does not tell where they differ.
pub(crate) fn same_secret(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_secrets_are_plain_and_match_only_themselves() {
        let secret = ConnectSecret::from_random(&[0xfb; 24]);
        assert_eq!(secret.expose().len(), 32);
        assert!(secret.expose().bytes().all(is_plain));
        assert!(secret.matches(secret.expose()));
        assert!(!secret.matches(&secret.expose()[1..]));
        assert!(!secret.matches(""));
        assert!(!secret.matches(ConnectSecret::from_random(&[0xfa; 24]).expose()));
        assert_eq!(format!("{secret:?}"), "ConnectSecret(…)");
    }

    #[test]
    fn other_characters_are_refused() {
        for text in ["", "a b", "a&b", "a%20b", "a+b", "ž", &"a".repeat(129)] {
            assert!(ConnectSecret::parse(text).is_none(), "{text}");
        }
        assert!(ConnectSecret::parse("0s8j2djs_-A").is_some());
    }
}
