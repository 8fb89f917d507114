//! Keys for other purposes out of the same seed: NIP-06 and BIP-85.

use bitcoin::bip32::ChildNumber;
use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha512};
use bitcoin::secp256k1::SecretKey;
use keep_types::{SecretBytes, SecretKey32};
use zeroize::{Zeroize, Zeroizing};

use crate::hd::hardened;
use crate::{BitcoinError, Mnemonic, SecretNode};

/// The Nostr key of a mnemonic by NIP-06: `m/44'/1237'/account'/0/0`.
///
/// # Errors
/// [`BitcoinError::Derivation`] for an account of 2³¹ or more.
pub fn nip06(master: &SecretNode, account: u32) -> Result<SecretKey32, BitcoinError> {
    let first = ChildNumber::Normal { index: 0 };
    let path = [hardened(44)?, hardened(1237)?, hardened(account)?, first, first];
    Ok(master.descend(&path)?.secret_key())
}

/// The entropy that BIP-85 derives at `m/83696968'/path…'`; every element of `path` is hardened. 64 bytes.
///
/// # Errors
/// [`BitcoinError::Derivation`] for an element of 2³¹ or more.
pub fn bip85_entropy(master: &SecretNode, path: &[u32]) -> Result<SecretBytes, BitcoinError> {
    let mut steps = vec![hardened(83_696_968)?];
    for element in path {
        steps.push(hardened(*element)?);
    }
    let leaf = master.descend(&steps)?.secret_key();
    let mut engine = HmacEngine::<sha512::Hash>::new(b"bip-entropy-from-k");
    engine.input(leaf.expose());
    let mut entropy = Hmac::<sha512::Hash>::from_engine(engine).to_byte_array();
    let bytes = SecretBytes::new(entropy.to_vec());
    entropy.zeroize();
    Ok(bytes)
}

/// A Nostr key by BIP-85, application 128002': `m/83696968'/128002'/identity'/account'`.
///
/// # Errors
/// [`BitcoinError::Derivation`] when `identity` or `account` is 0 (reserved) or 2³¹ or more.
pub fn bip85_nostr(master: &SecretNode, identity: u32, account: u32) -> Result<SecretKey32, BitcoinError> {
    if identity == 0 || account == 0 {
        return Err(BitcoinError::Derivation("BIP-85 counts Nostr identities and accounts from 1"));
    }
    let entropy = bip85_entropy(master, &[128_002, identity, account])?;
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&entropy.expose()[..32]);
    // One entropy in 2¹²⁸ is not a key.
    SecretKey::from_slice(&*key)
        .map_err(|_| BitcoinError::Derivation("there is no key at this index; use the next"))?
        .non_secure_erase();
    Ok(SecretKey32::take(&mut key))
}

/// A child mnemonic in English by BIP-85, application 39': `m/83696968'/39'/0'/words'/index'`.
///
/// # Errors
/// [`BitcoinError::Mnemonic`] unless `words` is 12, 15, 18, 21 or 24; [`BitcoinError::Derivation`] for an index of
/// 2³¹ or more.
pub fn bip85_mnemonic(master: &SecretNode, words: u32, index: u32) -> Result<Mnemonic, BitcoinError> {
    if !matches!(words, 12 | 15 | 18 | 21 | 24) {
        return Err(BitcoinError::Mnemonic("it must have 12, 15, 18, 21 or 24 words"));
    }
    let entropy = bip85_entropy(master, &[39, 0, words, index])?;
    // 32 bits of entropy for every three words (BIP-39).
    let bytes = entropy.expose().iter().copied().take(words as usize * 4 / 3).collect();
    Mnemonic::from_entropy(&SecretBytes::new(bytes))
}
