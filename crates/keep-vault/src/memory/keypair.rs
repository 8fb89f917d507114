//! Key pairs in the expanded form that libsecp256k1 signs with. Keeping it halves the cost of a signature, because
//! the public key need not be computed again from the secret.

use std::sync::OnceLock;

use secp256k1::ffi::{self, CPtr};
use secp256k1::{Keypair, SECP256K1, SecretKey};
use zeroize::Zeroizing;

use crate::VaultError;

/// The length of an expanded key pair in bytes.
pub(crate) const EXPANDED_LEN: usize = 96;

/// The expanded form of a secret key.
pub(crate) fn expand(secret: &[u8; 32]) -> Result<Zeroizing<[u8; EXPANDED_LEN]>, VaultError> {
    let secret = SecretKey::from_slice(secret).map_err(|_| VaultError::SecretMismatch)?;
    let mut pair = Keypair::from_secret_key(SECP256K1, &secret);
    // SAFETY: the pointer is to the pair's own 96 bytes.
    let bytes = Zeroizing::new(*unsafe { &*pair.as_c_ptr() }.as_ref());
    pair.non_secure_erase();
    Ok(bytes)
}

/// The key pair of an expanded form that [`expand`] made.
pub(crate) fn restore(bytes: &[u8; EXPANDED_LEN]) -> Result<Keypair, VaultError> {
    static BLANK: OnceLock<Option<Keypair>> = OnceLock::new();
    let blank = BLANK.get_or_init(|| Keypair::from_seckey_slice(SECP256K1, &[1; 32]).ok());
    let mut pair = blank.ok_or(VaultError::SecretMismatch)?;
    // SAFETY: both sides are 96 bytes of a valid key pair: `bytes` came out of one in `expand` and was authenticated since.
    unsafe { *pair.as_mut_c_ptr() = ffi::Keypair::from_array_unchecked(*bytes) };
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expanded_pair_signs_like_the_original() {
        let secret = [0x42; 32];
        let pair = restore(&expand(&secret).unwrap()).unwrap();
        let original = Keypair::from_seckey_slice(SECP256K1, &secret).unwrap();
        assert_eq!(pair, original);
        let message = secp256k1::Message::from_digest([1; 32]);
        let sign = |pair| SECP256K1.sign_schnorr_with_aux_rand(&message, pair, &[2; 32]);
        assert_eq!(sign(&pair), sign(&original));
    }
}
