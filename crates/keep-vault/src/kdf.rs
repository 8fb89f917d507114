//! From passphrase to key-encryption key: Argon2id (RFC 9106), bounded before it allocates.

use argon2::{Algorithm, Argon2, Params, Version};
use hkdf::Hkdf;
use keep_types::{SecretBytes, SecretKey32, SecretText};
use minicbor::{Decode, Encode};
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

use crate::{VaultError, effort, recovery};

/// What one guess of the passphrase costs, and the salt.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KdfParams {
    /// Memory in KiB.
    #[n(0)]
    pub memory_kib: u32,
    /// Passes over the memory.
    #[n(1)]
    pub iterations: u32,
    /// Lanes that can be computed at the same time.
    #[n(2)]
    pub lanes: u32,
    /// The salt (32 bytes), which is also the start of the reserve.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub salt: [u8; 32],
}

/// Whether a key derivation cheaper than the standard is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeakKdf {
    /// Refused. The only choice for real vaults.
    #[default]
    Refuse,
    /// Accepted, for tests.
    Allow,
}

impl KdfParams {
    /// 256 MiB.
    pub const STANDARD_MEMORY_KIB: u32 = 256 * 1024;
    /// 4 passes.
    pub const STANDARD_ITERATIONS: u32 = 4;
    /// 4 lanes.
    pub const STANDARD_LANES: u32 = 4;

    const MAX_MEMORY_KIB: u32 = 4 * 1024 * 1024;
    const MAX_ITERATIONS: u32 = 64;
    const MAX_LANES: u32 = 16;

    /// The standard cost.
    pub const fn standard(salt: [u8; 32]) -> Self {
        Self {
            memory_kib: Self::STANDARD_MEMORY_KIB,
            iterations: Self::STANDARD_ITERATIONS,
            lanes: Self::STANDARD_LANES,
            salt,
        }
    }

    /// Checks the cost before anything is allocated.
    ///
    /// # Errors
    /// [`VaultError::AbsurdKdf`] outside the format's bounds, [`VaultError::WeakKdf`] below the standard.
    pub fn check(&self, weak: WeakKdf) -> Result<(), VaultError> {
        let cost = format!("{} KiB, {} iterations, {} lanes", self.memory_kib, self.iterations, self.lanes);
        let lanes = (1..=Self::MAX_LANES).contains(&self.lanes);
        let iterations = (1..=Self::MAX_ITERATIONS).contains(&self.iterations);
        if !lanes || !iterations || !(8 * self.lanes..=Self::MAX_MEMORY_KIB).contains(&self.memory_kib) {
            return Err(VaultError::AbsurdKdf(cost));
        }
        let standard =
            self.memory_kib >= Self::STANDARD_MEMORY_KIB && self.iterations >= Self::STANDARD_ITERATIONS;
        match weak {
            WeakKdf::Refuse if !standard => Err(VaultError::WeakKdf(cost)),
            WeakKdf::Refuse | WeakKdf::Allow => Ok(()),
        }
    }

    /// Runs Argon2id once. Takes about 0.5 s at the standard cost.
    ///
    /// # Errors
    /// As [`check`](Self::check), or when the memory cannot be had.
    pub fn derive(&self, passphrase: &SecretText, weak: WeakKdf) -> Result<Derived, VaultError> {
        self.check(weak)?;
        // Room for what normalising can add, so that no part of it is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(passphrase.expose().len().saturating_mul(18)));
        text.extend(passphrase.expose().nfkc());
        let absurd = |e: argon2::Error| VaultError::AbsurdKdf(e.to_string());
        let params = Params::new(self.memory_kib, self.iterations, self.lanes, Some(64)).map_err(absurd)?;
        let mut blocks = Vec::new();
        blocks
            .try_reserve_exact(params.block_count())
            .map_err(|_| VaultError::System("not enough memory to derive the key".into()))?;
        blocks.resize(params.block_count(), argon2::Block::new());
        let mut output = Zeroizing::new([0; 64]);
        let outcome = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(text.as_bytes(), &self.salt, &mut *output, &mut blocks);
        blocks.iter_mut().for_each(Zeroize::zeroize);
        outcome.map_err(absurd)?;
        effort::derived();
        Ok(Derived { output, salt: self.salt, code: recovery::parse(passphrase) })
    }
}

/// The output of one Argon2id run.
pub struct Derived {
    output: Zeroizing<[u8; 64]>,
    salt: [u8; 32],
    /// What the text stands for if it is a recovery code.
    code: Option<SecretBytes>,
}

/// The keys that one text may unwrap stanzas with: one for each type, whatever the text is.
pub(crate) struct Keks {
    pub passphrase: SecretKey32,
    pub recovery: SecretKey32,
}

impl Derived {
    /// What the text may unwrap stanzas with.
    pub(crate) fn keks(&self) -> Keks {
        let code: &[u8] = self.code.as_ref().map_or(&*self.output, SecretBytes::expose);
        Keks { passphrase: self.outer_kek(), recovery: recovery::kek(code, &self.salt) }
    }

    /// The key that wraps the data key of the vault.
    pub fn outer_kek(&self) -> SecretKey32 {
        self.kek(b"keep v1 outer kek")
    }

    /// The key that opens the slots of the reserve.
    pub fn reserve_kek(&self) -> SecretKey32 {
        self.kek(b"keep v1 reserve kek")
    }

    fn kek(&self, info: &[u8]) -> SecretKey32 {
        let mut kek = [0; 32];
        // 32 bytes are far below the limit of HKDF-SHA-256.
        let _ = Hkdf::<Sha256>::new(Some(&self.salt), &*self.output).expand(info, &mut kek);
        SecretKey32::take(&mut kek)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(memory_kib: u32, iterations: u32, lanes: u32) -> KdfParams {
        KdfParams { memory_kib, iterations, lanes, salt: [9; 32] }
    }

    #[test]
    fn absurd_costs_are_refused_before_allocating() {
        for bad in [
            params(u32::MAX, 4, 4),
            params(5 * 1024 * 1024, 4, 4),
            params(16, 4, 4),
            params(1 << 18, 0, 4),
            params(1 << 18, 65, 4),
            params(1 << 18, 4, 0),
            params(1 << 18, 4, u32::MAX),
        ] {
            assert!(matches!(bad.check(WeakKdf::Allow), Err(VaultError::AbsurdKdf(_))), "{bad:?}");
        }
    }

    #[test]
    fn weak_costs_need_to_be_allowed() {
        let weak = params(64, 1, 1);
        assert!(matches!(weak.check(WeakKdf::Refuse), Err(VaultError::WeakKdf(_))));
        weak.check(WeakKdf::Allow).unwrap();
        KdfParams::standard([0; 32]).check(WeakKdf::Refuse).unwrap();
    }

    #[test]
    fn the_same_text_in_another_normal_form_gives_the_same_key() {
        let derive = |text: &str| {
            let derived =
                params(64, 1, 1).derive(&SecretText::from(text.to_owned()), WeakKdf::Allow).unwrap();
            *derived.outer_kek().expose()
        };
        assert_eq!(derive("Å"), derive("A\u{30a}"));
        assert_ne!(derive("a"), derive("b"));
    }
}
