//! Secret values: wiped when dropped, never shown.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// Secret bytes of any length. Wiped on drop; `Debug` shows nothing of them; not `Clone`, not serialisable.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership of `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself. Keep the borrow short.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(…)")
    }
}

/// Secret UTF-8 text: a passphrase, an `nsec`, a decrypted message. Wiped on drop; `Debug` shows nothing of it.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes ownership of `text`.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself. Keep the borrow short.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// A 32-byte secret key. Wiped on drop; `Debug` shows nothing of it.
///
/// It stays at one place: moving the value leaves no copies on the stack.
pub struct SecretKey32(Box<Zeroizing<[u8; 32]>>);

impl SecretKey32 {
    /// Copies `bytes` in and wipes the source.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        key.copy_from_slice(bytes);
        bytes.zeroize();
        Self(key)
    }

    /// The secret itself. Keep the borrow short.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretKey32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey32(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let mut raw = [7; 32];
        let key = SecretKey32::take(&mut raw);
        assert_eq!(raw, [0; 32]);
        let shown =
            format!("{:?} {:?} {:?}", key, SecretText::from("hunter2".to_owned()), SecretBytes::new(vec![7]));
        assert_eq!(shown, "SecretKey32(…) SecretText(…) SecretBytes(…)");
    }
}
