//! Secret keys as people have them.

use keep_cipher::nip49::Ncryptsec;
use keep_types::{ErrorCode, Fault, SecretKey32, SecretText};
use nostr::FromBech32;
use zeroize::Zeroize;

/// A secret key as text: `nsec1…` (NIP-19), 64 hexadecimal digits, or `ncryptsec1…` (NIP-49).
#[derive(Debug)]
pub enum SecretInput {
    /// The key itself.
    Plain(SecretKey32),
    /// The key under a passphrase of its own.
    Encrypted(Box<Ncryptsec>),
}

impl SecretInput {
    /// Reads any of the three forms. Spaces around it are ignored.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidKey`]; never with any part of the text.
    pub fn parse(text: &SecretText) -> Result<Self, Fault> {
        let text = text.expose().trim();
        if text.is_empty() {
            return Err(invalid("no key was given"));
        }
        if text.starts_with("ncryptsec1") {
            return Ok(Self::Encrypted(Box::new(Ncryptsec::parse(text)?)));
        }
        if text.starts_with("npub1") {
            return Err(invalid("this is a public key (npub); importing needs the secret key"));
        }
        if text.starts_with("nsec1") {
            let key = nostr::SecretKey::from_bech32(text).map_err(|_| invalid("this nsec is damaged"))?;
            return Ok(Self::Plain(SecretKey32::take(&mut key.to_secret_bytes())));
        }
        let mut bytes = [0; 32];
        if hex::decode_to_slice(text, &mut bytes).is_err() {
            bytes.zeroize();
            return Err(invalid("this is not a secret key"));
        }
        let key = SecretKey32::take(&mut bytes);
        secp256k1::SecretKey::from_slice(key.expose())
            .map(|mut copy| copy.non_secure_erase())
            .map_err(|_| invalid("these 32 bytes are not a secret key of secp256k1"))?;
        Ok(Self::Plain(key))
    }

    /// Whether a passphrase is needed to open it.
    pub const fn is_encrypted(&self) -> bool {
        matches!(self, Self::Encrypted(_))
    }

    /// The key. `passphrase` is that of the `ncryptsec`, if it is one.
    ///
    /// # Errors
    /// [`ErrorCode::WrongPassphrase`] and [`ErrorCode::InvalidKey`].
    pub fn open(self, passphrase: Option<&SecretText>) -> Result<SecretKey32, Fault> {
        match (self, passphrase) {
            (Self::Plain(key), _) => Ok(key),
            (Self::Encrypted(sealed), Some(passphrase)) => Ok(sealed.open(passphrase)?),
            (Self::Encrypted(_), None) => {
                Err(Fault::new(ErrorCode::Locked, "the ncryptsec needs its passphrase")
                    .with_hint("set KEEP_PASSPHRASE or pass --passphrase-file"))
            }
        }
    }
}

fn invalid(message: &str) -> Fault {
    Fault::new(ErrorCode::InvalidKey, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SecretKey32, Fault> {
        SecretInput::parse(&SecretText::from(text.to_owned()))?.open(None)
    }

    #[test]
    fn reads_nsec_and_hex() {
        let hex = "67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa";
        let nsec = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5";
        assert_eq!(parse(hex).unwrap().expose(), parse(&format!(" {nsec}\n")).unwrap().expose());
    }

    #[test]
    fn refuses_everything_else_without_repeating_it() {
        let nsec = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe6";
        let zero = "00".repeat(32);
        for bad in ["", "main", nsec, &zero, &"ff".repeat(32), "npub1xxx", &"ab".repeat(31)] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidKey);
            assert!(bad.is_empty() || !format!("{error:?}").contains(bad), "{error:?}");
        }
    }
}
