//! Randomness from a seed: a machine that is restored from its snapshot makes the very same messages again.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use hkdf::Hkdf;
use keep_types::SecretKey32;
use rand_core::{CryptoRng, RngCore};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{FrostError, SecretShare, SessionId};

/// A fresh seed.
pub(crate) fn seed(rng: &mut (impl RngCore + CryptoRng)) -> Result<SecretKey32, FrostError> {
    let mut bytes = Zeroizing::new([0; 32]);
    rng.try_fill_bytes(&mut *bytes).map_err(|_| FrostError::Random)?;
    Ok(SecretKey32::take(&mut bytes))
}

/// The ChaCha20 stream under a key for one purpose in one session, so that a seed used elsewhere gives other numbers.
pub(crate) struct SeedRng(ChaCha20);

impl SeedRng {
    pub(crate) fn new(seed: &SecretKey32, session: SessionId, purpose: &str) -> Result<Self, FrostError> {
        Self::derive(seed.expose(), session, purpose)
    }

    /// The same from a share: for what only its holder may know, and always says in the same way.
    pub(crate) fn of_share(
        share: &SecretShare,
        session: SessionId,
        purpose: &str,
    ) -> Result<Self, FrostError> {
        Self::derive(share.secret(), session, purpose)
    }

    fn derive(seed: &[u8; 32], session: SessionId, purpose: &str) -> Result<Self, FrostError> {
        let mut key = Zeroizing::new([0; 32]);
        let info = [session.as_bytes().as_slice(), purpose.as_bytes()].concat();
        Hkdf::<Sha256>::new(None, seed).expand(&info, &mut *key).map_err(|_| FrostError::Internal("seed"))?;
        Ok(Self(ChaCha20::new((&*key).into(), &[0; 12].into())))
    }
}

impl RngCore for SeedRng {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        out.fill(0);
        self.0.apply_keystream(out);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl CryptoRng for SeedRng {}
