//! Device keys: what authenticates and encrypts the messages between members.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use keep_types::SecretKey32;
use minicbor::{Decode, Encode};
use rand_core::{CryptoRng, RngCore};
use secp256k1::{Keypair, Message, Parity, PublicKey, SECP256K1, SecretKey, XOnlyPublicKey, ecdh, schnorr};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::FrostError;

/// The public half of a [`DeviceKey`]: an x-only secp256k1 key (BIP-340).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct DevicePublic(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

impl DevicePublic {
    /// From its bytes. Whether they are a key shows when it is used.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` (BIP-340) is this device's over `digest`.
    pub fn verifies(&self, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
        let (Ok(key), Ok(signature)) =
            (XOnlyPublicKey::from_slice(&self.0), schnorr::Signature::from_slice(signature))
        else {
            return false;
        };
        SECP256K1.verify_schnorr(&signature, &Message::from_digest(*digest), &key).is_ok()
    }

    /// Encrypts `plaintext` so that only this device reads it; `context` must be the same when it is opened.
    /// The form is: ephemeral x-only key (32 bytes) ‖ XChaCha20-Poly1305 under HKDF-SHA256 of the ECDH x coordinate.
    pub(crate) fn seal(
        &self,
        context: &[u8],
        plaintext: &[u8],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Vec<u8>, FrostError> {
        let ephemeral = DeviceKey::generate(rng)?;
        let (cipher, nonce) = ephemeral.channel(self, ephemeral.public(), *self)?;
        let body = cipher
            .encrypt(&nonce, Payload { msg: plaintext, aad: context })
            .map_err(|_| FrostError::Internal("sealing"))?;
        Ok([ephemeral.public().0.as_slice(), &body].concat())
    }
}

impl fmt::Display for DevicePublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for DevicePublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DevicePublic({self})")
    }
}

/// The secret key of one device in one group. Random, never derived from anything public; wiped on drop.
pub struct DeviceKey {
    secret: SecretKey32,
    public: DevicePublic,
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.public)
    }
}

impl DeviceKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`FrostError::Random`] when the generator gives nothing usable.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Result<Self, FrostError> {
        for _ in 0..4 {
            let mut bytes = Zeroizing::new([0; 32]);
            rng.try_fill_bytes(&mut *bytes).map_err(|_| FrostError::Random)?;
            if let Ok(key) = Self::from_bytes(&mut bytes) {
                return Ok(key);
            }
        }
        Err(FrostError::Random)
    }

    /// From its 32 secret bytes, which are wiped.
    ///
    /// # Errors
    /// [`FrostError::Malformed`] unless they are a secp256k1 secret key.
    pub fn from_bytes(bytes: &mut [u8; 32]) -> Result<Self, FrostError> {
        let secret = SecretKey32::take(bytes);
        let mut keypair = keypair(&secret)?;
        let public = DevicePublic(keypair.x_only_public_key().0.serialize());
        keypair.non_secure_erase();
        Ok(Self { secret, public })
    }

    /// The public half.
    pub const fn public(&self) -> DevicePublic {
        self.public
    }

    /// The secret bytes, for the vault and for share exports. Keep the borrow short.
    pub fn expose(&self) -> &[u8; 32] {
        self.secret.expose()
    }

    /// A BIP-340 signature over a digest (deterministic: no auxiliary randomness).
    pub(crate) fn sign(&self, digest: &[u8; 32]) -> Result<[u8; 64], FrostError> {
        let mut keypair = keypair(&self.secret)?;
        let signature = SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(*digest), &keypair);
        keypair.non_secure_erase();
        Ok(signature.serialize())
    }

    /// Opens what was sealed to this device, if it is whole and for this context.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (ephemeral, body) = sealed.split_first_chunk::<32>()?;
        let ephemeral = DevicePublic(*ephemeral);
        let (cipher, nonce) = self.channel(&ephemeral, ephemeral, self.public).ok()?;
        cipher.decrypt(&nonce, Payload { msg: body, aad: context }).ok().map(Zeroizing::new)
    }

    fn channel(
        &self,
        peer: &DevicePublic,
        from: DevicePublic,
        to: DevicePublic,
    ) -> Result<(XChaCha20Poly1305, XNonce), FrostError> {
        let x = XOnlyPublicKey::from_slice(&peer.0)
            .map_err(|_| FrostError::malformed("device key", "not a point of secp256k1"))?;
        let point = PublicKey::from_x_only_public_key(x, Parity::Even);
        let mut secret =
            SecretKey::from_slice(self.secret.expose()).map_err(|_| FrostError::Internal("device key"))?;
        let shared = Zeroizing::new(ecdh::shared_secret_point(&point, &secret));
        secret.non_secure_erase();
        let mut okm = Zeroizing::new([0; 56]);
        let info = [b"keep/frost/seal".as_slice(), &from.0, &to.0].concat();
        Hkdf::<Sha256>::new(None, &shared[..32])
            .expand(&info, &mut *okm)
            .map_err(|_| FrostError::Internal("sealing"))?;
        let cipher =
            XChaCha20Poly1305::new_from_slice(&okm[..32]).map_err(|_| FrostError::Internal("sealing"))?;
        Ok((cipher, *XNonce::from_slice(&okm[32..])))
    }
}

fn keypair(secret: &SecretKey32) -> Result<Keypair, FrostError> {
    Keypair::from_seckey_slice(SECP256K1, secret.expose())
        .map_err(|_| FrostError::malformed("device key", "not a secp256k1 secret key"))
}

#[cfg(test)]
mod tests {
    use rand_core::OsRng;

    use super::*;

    #[test]
    fn seals_for_one_device_and_context() {
        let (alice, eve) =
            (DeviceKey::generate(&mut OsRng).unwrap(), DeviceKey::generate(&mut OsRng).unwrap());
        let sealed = alice.public().seal(b"session", b"delta", &mut OsRng).unwrap();
        assert_eq!(&*alice.open(b"session", &sealed).unwrap(), b"delta");
        assert!(alice.open(b"other", &sealed).is_none());
        assert!(eve.open(b"session", &sealed).is_none());
        for at in [0, 40, sealed.len() - 1] {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(alice.open(b"session", &bent).is_none());
        }
        assert!(alice.open(b"session", &sealed[..31]).is_none());
    }

    #[test]
    fn signatures_are_of_the_device() {
        let (alice, eve) =
            (DeviceKey::generate(&mut OsRng).unwrap(), DeviceKey::generate(&mut OsRng).unwrap());
        let signature = alice.sign(&[7; 32]).unwrap();
        assert!(alice.public().verifies(&[7; 32], &signature));
        assert!(!alice.public().verifies(&[8; 32], &signature));
        assert!(!eve.public().verifies(&[7; 32], &signature));
        assert!(!DevicePublic::from_bytes([0xff; 32]).verifies(&[7; 32], &signature));
    }
}
