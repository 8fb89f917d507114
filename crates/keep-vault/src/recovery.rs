//! The recovery code: 24 words that unlock a vault like a passphrase, and are too random to be guessed.

use hkdf::Hkdf;
use keep_bitcoin::Mnemonic;
use keep_types::{SecretBytes, SecretKey32, SecretText};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::VaultError;

/// How many words a code has.
const WORDS: usize = 24;
/// How many random bytes it stands for.
const ENTROPY: usize = 32;

/// A new code: its entropy, and its words as they are printed.
pub(crate) fn generate() -> Result<(SecretBytes, SecretText), VaultError> {
    let mut bytes = Zeroizing::new(vec![0; ENTROPY]);
    getrandom::getrandom(&mut bytes)?;
    let entropy = SecretBytes::new(std::mem::take(&mut *bytes));
    let words = Mnemonic::from_entropy(&entropy)?.words();
    Ok((entropy, words))
}

/// The entropy of what may be a code as somebody typed it: in any case, with any spaces, with or without numbers before
/// the words.
pub(crate) fn parse(text: &SecretText) -> Option<SecretBytes> {
    let is_word = |part: &&str| !part.trim_end_matches(['.', ')', ':']).bytes().all(|b| b.is_ascii_digit());
    let count = text.expose().split_whitespace().filter(is_word).count();
    if count != WORDS {
        return None;
    }
    let mut words = Zeroizing::new(String::with_capacity(text.expose().len() + WORDS));
    for word in text.expose().split_whitespace().filter(is_word) {
        if !words.is_empty() {
            words.push(' ');
        }
        words.extend(word.chars().map(|c| c.to_ascii_lowercase()));
    }
    let entropy = Mnemonic::parse(&SecretText::new(std::mem::take(&mut *words))).ok()?.entropy();
    (entropy.expose().len() == ENTROPY).then_some(entropy)
}

/// The key that wraps the data key. Needs no costly derivation: there are 2^256 codes.
pub(crate) fn kek(entropy: &[u8], salt: &[u8; 32]) -> SecretKey32 {
    let mut kek = [0; 32];
    // 32 bytes are far below the limit of HKDF-SHA-256.
    let _ = Hkdf::<Sha256>::new(Some(salt), entropy).expand(b"keep v1 recovery kek", &mut kek);
    SecretKey32::take(&mut kek)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let (entropy, words) = generate().unwrap();
        let numbered: Vec<String> = words
            .expose()
            .split(' ')
            .enumerate()
            .map(|(n, w)| format!("{}. {}", n + 1, w.to_uppercase()))
            .collect();
        for text in [words.expose().to_owned(), format!("  {}\n", words.expose()), numbered.join("\n")] {
            let read = parse(&SecretText::new(text)).unwrap();
            assert_eq!(read.expose(), entropy.expose());
        }
        for other in ["", "correct horse", &"abandon ".repeat(24), &("abandon ".repeat(11) + "about")] {
            assert!(parse(&SecretText::from(other.to_owned())).is_none(), "{other}");
        }
    }
}
