//! From a passphrase to a key: Argon2id, with bounded cost.

use argon2::{Algorithm, Argon2, Params, Version};
use keep_types::SecretText;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::FrostError;

/// The cost of an Argon2id run. Always within bounds, so that a forged file cannot exhaust memory or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfCost {
    memory_kib: u32,
    passes: u8,
    lanes: u8,
}

impl KdfCost {
    /// 256 MiB, 4 passes, 4 lanes: as for a vault.
    pub const DEFAULT: Self = Self { memory_kib: 256 * 1024, passes: 4, lanes: 4 };
    /// The least memory: 8 MiB.
    pub const MIN_MEMORY_KIB: u32 = 8 * 1024;
    /// The most memory: 1 GiB.
    pub const MAX_MEMORY_KIB: u32 = 1024 * 1024;
    /// The most work: memory times passes, in KiB (16 GiB).
    const MAX_WORK_KIB: u64 = 16 * 1024 * 1024;

    /// A cost: memory in KiB, passes over it, lanes.
    ///
    /// # Errors
    /// [`FrostError::KdfCost`] outside 8 MiB to 1 GiB, 1 to 64 passes, 1 to 16 lanes, or 16 GiB of memory × passes.
    pub const fn new(memory_kib: u32, passes: u8, lanes: u8) -> Result<Self, FrostError> {
        if memory_kib < Self::MIN_MEMORY_KIB {
            return Err(FrostError::KdfCost("less than 8 MiB of memory"));
        }
        if memory_kib > Self::MAX_MEMORY_KIB {
            return Err(FrostError::KdfCost("more than 1 GiB of memory"));
        }
        if passes == 0 || passes > 64 || lanes == 0 || lanes > 16 {
            return Err(FrostError::KdfCost("passes or lanes out of range"));
        }
        if memory_kib as u64 * passes as u64 > Self::MAX_WORK_KIB {
            return Err(FrostError::KdfCost("too much work"));
        }
        Ok(Self { memory_kib, passes, lanes })
    }

    /// Memory in KiB.
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    pub const fn passes(self) -> u8 {
        self.passes
    }

    /// Lanes.
    pub const fn lanes(self) -> u8 {
        self.lanes
    }

    /// 32 bytes of key and 8 bytes that only tell a wrong passphrase from a damaged text. The passphrase is taken in
    /// Unicode NFKC.
    pub(crate) fn derive(self, passphrase: &SecretText, salt: &[u8; 16]) -> Result<Stretched, FrostError> {
        let failed = |_| FrostError::KdfCost("Argon2id refuses it");
        let params =
            Params::new(self.memory_kib, self.passes.into(), self.lanes.into(), Some(40)).map_err(failed)?;
        let normal = Zeroizing::new(passphrase.expose().nfkc().collect::<String>());
        let mut out = Zeroizing::new([0; 40]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(normal.as_bytes(), salt, &mut *out)
            .map_err(failed)?;
        let (mut key, mut check) = (Zeroizing::new([0; 32]), [0; 8]);
        key.copy_from_slice(&out[..32]);
        check.copy_from_slice(&out[32..]);
        Ok(Stretched { key, check })
    }
}

pub(crate) struct Stretched {
    pub(crate) key: Zeroizing<[u8; 32]>,
    pub(crate) check: [u8; 8],
}
