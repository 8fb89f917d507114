//! Secrets at rest in memory: encrypted under a key that exists only as the hash of a large random block.
//!
//! The idea is that of OpenSSH's key shielding: whoever reads memory through a side channel must read the whole block
//! without one wrong bit. Ascon-AEAD128 (NIST SP 800-232) encrypts, the block lies in locked memory.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use ascon_aead::aead::{AeadInOut, KeyInit};
use ascon_aead::{AsconAead128, AsconAead128Key, AsconAead128Nonce, AsconAead128Tag};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::VaultError;
use crate::memory::LockedBytes;

/// Hashed once per lifting: large enough to be hard to read without error, small enough for one per signature.
const BLOCK_LEN: usize = 4096;

/// The random block. One per unlocked vault.
pub(crate) struct Shield {
    block: LockedBytes,
    /// What operations that go on at this time have lifted.
    lifted: Mutex<Weak<Lifted>>,
}

/// A secret of `N` bytes, encrypted. Useless without its shield.
pub(crate) struct Shielded<const N: usize> {
    nonce: [u8; 16],
    body: Box<[u8; N]>,
    tag: [u8; 16],
}

impl Shield {
    pub fn new() -> Result<Self, VaultError> {
        let mut block = LockedBytes::zeroed(BLOCK_LEN)?;
        getrandom::getrandom(block.as_mut_slice())?;
        Ok(Self { block, lifted: Mutex::default() })
    }

    /// Whether the block is kept out of swap.
    pub const fn is_locked(&self) -> bool {
        self.block.is_locked()
    }

    pub fn seal<const N: usize>(&self, secret: &[u8; N]) -> Result<Shielded<N>, VaultError> {
        let mut nonce = [0; 16];
        getrandom::getrandom(&mut nonce)?;
        let mut body = Box::new(*secret);
        let tag = self
            .lift()
            .0
            .encrypt_inout_detached(&AsconAead128Nonce::from(nonce), b"", body.as_mut_slice().into())
            .map_err(|_| VaultError::System("a key cannot be shielded".into()))?;
        Ok(Shielded { nonce, body, tag: tag.into() })
    }

    pub fn open<const N: usize>(&self, shielded: &Shielded<N>) -> Result<Zeroizing<[u8; N]>, VaultError> {
        self.lift().open(shielded)
    }

    /// Whether no operation goes on.
    #[cfg(test)]
    pub fn is_down(&self) -> bool {
        self.lifted.lock().unwrap().upgrade().is_none()
    }

    /// Hashes the block for an operation, or shares what another one that still goes on has hashed: of many requests at
    /// once, each would hash the same.
    pub fn lift(&self) -> Arc<Lifted> {
        let mut shared = self.lifted.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let lifted = Arc::new(Lifted::under(self.block.as_slice()));
            *shared = Arc::downgrade(&lifted);
            lifted
        })
    }
}

/// A shield that is lifted for the length of the operations that hold it. Wiped when the last of them drops it, as what
/// it opens is.
pub(crate) struct Lifted(AsconAead128);

impl Lifted {
    fn under(block: &[u8]) -> Self {
        let mut hash = Sha256::digest(block);
        let mut key = AsconAead128Key::default();
        key.copy_from_slice(&hash[..16]);
        hash.zeroize();
        let cipher = AsconAead128::new(&key);
        key.zeroize();
        Self(cipher)
    }

    pub fn open<const N: usize>(&self, shielded: &Shielded<N>) -> Result<Zeroizing<[u8; N]>, VaultError> {
        let mut secret = Zeroizing::new(*shielded.body);
        self.0
            .decrypt_inout_detached(
                &AsconAead128Nonce::from(shielded.nonce),
                b"",
                secret.as_mut_slice().into(),
                &AsconAead128Tag::from(shielded.tag),
            )
            .map_err(|_| VaultError::System("a key in memory was damaged".into()))?;
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use keep_store::MemoryStore;
    use keep_types::{Name, SecretText, SystemClock};

    use super::*;
    use crate::{Environment, KdfCost, Vault};

    #[test]
    fn shielded_secrets_are_not_in_clear_and_come_back() {
        let shield = Shield::new().unwrap();
        let sealed = shield.seal(&[0x5a; 64]).unwrap();
        assert!(!sealed.body.windows(4).any(|w| w == [0x5a; 4]));
        assert_eq!(*shield.open(&sealed).unwrap(), [0x5a; 64]);
        let other = Shield::new().unwrap();
        assert!(other.open(&sealed).is_err());
    }

    #[test]
    fn it_is_lifted_once_for_those_who_need_it_at_one_time_and_down_afterwards() {
        let shield = Shield::new().unwrap();
        let (first, second) = (shield.lift(), shield.lift());
        assert!(Arc::ptr_eq(&first, &second));
        drop(first);
        let sealed = shield.seal(&[7; 32]).unwrap();
        assert_eq!(*second.open(&sealed).unwrap(), [7; 32]);
        drop(second);
        assert!(shield.is_down());
        assert_eq!(*shield.open(&sealed).unwrap(), [7; 32]);
    }

    /// For the jobs of a commit it is lifted, and down when they are told of it.
    #[test]
    fn a_commit_leaves_it_down() {
        let environment = Environment::new(SystemClock).allow_weak_kdf();
        let cost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
        let passphrase = SecretText::from("correct horse battery staple".to_owned());
        let store = Arc::new(MemoryStore::new());
        let vault = Vault::create(store, &passphrase, [7; 32], cost, &environment).unwrap();
        let shared = Arc::clone(&vault.shared);
        let down = vault.submit(move |_| Ok(shared.shield.is_down())).wait().unwrap().0;
        assert!(!down);
        assert!(vault.shared.shield.is_down());
        vault.generate_key(Name::new("main").unwrap()).unwrap();
        assert!(vault.shared.shield.is_down());
    }
}
