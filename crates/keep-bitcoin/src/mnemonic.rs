//! Mnemonics (BIP-39).

use bip39::Language;
use keep_types::{SecretBytes, SecretText};
use zeroize::Zeroizing;

use crate::{BitcoinError, Seed};

/// A BIP-39 mnemonic in any of its languages. Wiped on drop, never shown.
pub struct Mnemonic(Zeroizing<bip39::Mnemonic>);

impl Mnemonic {
    /// Reads the words. The language is found by its word list; the checksum must hold.
    ///
    /// # Errors
    /// [`BitcoinError::Mnemonic`], without any of the words.
    pub fn parse(words: &SecretText) -> Result<Self, BitcoinError> {
        let parsed = match bip39::Mnemonic::parse(words.expose()) {
            // Both Chinese lists hold these words. The seed depends on the words alone, the checksum on the list.
            Err(bip39::Error::AmbiguousLanguages(lists)) => lists
                .iter()
                .find_map(|list| bip39::Mnemonic::parse_in(list, words.expose()).ok())
                .ok_or(bip39::Error::InvalidChecksum),
            parsed => parsed,
        };
        Ok(Self(Zeroizing::new(parsed.map_err(why)?)))
    }

    /// The English mnemonic of 16, 20, 24, 28 or 32 bytes of entropy.
    ///
    /// # Errors
    /// [`BitcoinError::Mnemonic`] for any other length.
    pub fn from_entropy(entropy: &SecretBytes) -> Result<Self, BitcoinError> {
        let made = bip39::Mnemonic::from_entropy_in(Language::English, entropy.expose()).map_err(why)?;
        Ok(Self(Zeroizing::new(made)))
    }

    /// The entropy, which together with the language gives the words again.
    pub fn entropy(&self) -> SecretBytes {
        SecretBytes::new(self.0.to_entropy())
    }

    /// The words, separated by single spaces.
    pub fn words(&self) -> SecretText {
        SecretText::new(self.0.to_string())
    }

    /// The seed under `passphrase`, which is the empty text for most people.
    pub fn seed(&self, passphrase: &SecretText) -> Seed {
        let seed = Zeroizing::new(self.0.to_seed(passphrase.expose()));
        Seed::from_mnemonic_bytes(&seed)
    }
}

/// The reason, without the words themselves.
fn why(error: bip39::Error) -> BitcoinError {
    BitcoinError::Mnemonic(match error {
        bip39::Error::BadWordCount(_) => "it must have 12, 15, 18, 21 or 24 words",
        bip39::Error::UnknownWord(_) => "a word is not in the word list",
        bip39::Error::BadEntropyBitCount(_) => "it must have 128, 160, 192, 224 or 256 bits",
        bip39::Error::InvalidChecksum => "the checksum does not match; check each word and their order",
        bip39::Error::AmbiguousLanguages(_) => "its words fit more than one language",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_do_not_repeat_words() {
        let bad = SecretText::from("zoo ".repeat(11) + "hunter2");
        let Err(error) = Mnemonic::parse(&bad) else { panic!("parsed") };
        assert_eq!(error.to_string(), "not a valid mnemonic: a word is not in the word list");
        for count in [0, 1, 11, 13, 25] {
            let words = SecretText::from(vec!["abandon"; count].join(" "));
            assert!(Mnemonic::parse(&words).is_err(), "{count}");
        }
    }
}
