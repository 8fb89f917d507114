//! Hierarchical keys (BIP-32), secret and public.

use std::cell::OnceCell;
use std::fmt;

use bitcoin::base58;
use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpriv, Xpub};
use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, hash160, sha512};
use bitcoin::secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};
use keep_types::{SecretKey32, SecretText};
use zeroize::{Zeroize, Zeroizing};

use crate::{BitcoinError, Mnemonic, Network};

/// The seed of a key tree: 64 bytes from a mnemonic, or any 16 to 64 bytes. Wiped on drop, never shown.
///
/// ```compile_fail
/// fn shown<T: std::fmt::Debug>() {}
/// shown::<keep_bitcoin::Seed>();
/// ```
pub struct Seed(Zeroizing<Vec<u8>>);

impl Seed {
    /// The seed of `mnemonic` under `passphrase` (BIP-39).
    ///
    /// # Errors
    /// [`BitcoinError::Mnemonic`].
    pub fn from_mnemonic(words: &SecretText, passphrase: &SecretText) -> Result<Self, BitcoinError> {
        Ok(Mnemonic::parse(words)?.seed(passphrase))
    }

    /// A bare 32-byte secret (an `nsec`) as BIP-32 seed. So a person who has only the `nsec` has a whole wallet.
    pub fn from_secret_key(secret: &SecretKey32) -> Self {
        Self(Zeroizing::new(secret.expose().to_vec()))
    }

    /// Any other seed.
    ///
    /// # Errors
    /// [`BitcoinError::SeedLength`] unless it has 16 to 64 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BitcoinError> {
        if !(16..=64).contains(&bytes.len()) {
            return Err(BitcoinError::SeedLength);
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    pub(crate) fn from_mnemonic_bytes(bytes: &[u8; 64]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The root of the key tree.
    ///
    /// # Errors
    /// [`BitcoinError::Derivation`] for the one seed in 2¹²⁷ that has no root.
    pub fn master(&self) -> Result<SecretNode, BitcoinError> {
        let mut engine = HmacEngine::<sha512::Hash>::new(b"Bitcoin seed");
        engine.input(&self.0);
        let (left, right) = split(engine);
        let key = SecretKey::from_slice(&*left).map_err(|_| NO_KEY)?;
        Ok(SecretNode::new(key, right, 0, Fingerprint::default(), ChildNumber::Normal { index: 0 }))
    }
}

const NO_KEY: BitcoinError = BitcoinError::Derivation("there is no key at this step (BIP-32)");

/// The two halves of `I` in BIP-32.
fn split(engine: HmacEngine<sha512::Hash>) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let mut whole = Hmac::<sha512::Hash>::from_engine(engine).to_byte_array();
    let (mut left, mut right) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    left.copy_from_slice(&whole[..32]);
    right.copy_from_slice(&whole[32..]);
    whole.zeroize();
    (left, right)
}

/// A secret key with its chain code, somewhere in a key tree. Wiped on drop; no `Debug`, no `Clone`, no `Serialize`.
///
/// ```compile_fail
/// fn copied<T: Clone>() {}
/// copied::<keep_bitcoin::SecretNode>();
/// ```
/// ```compile_fail
/// fn shown<T: std::fmt::Debug>() {}
/// shown::<keep_bitcoin::SecretNode>();
/// ```
pub struct SecretNode {
    key: SecretKey,
    chain_code: Zeroizing<[u8; 32]>,
    depth: u8,
    parent: Fingerprint,
    step: ChildNumber,
    public: OnceCell<PublicKey>,
}

impl SecretNode {
    fn new(
        key: SecretKey,
        chain_code: Zeroizing<[u8; 32]>,
        depth: u8,
        parent: Fingerprint,
        step: ChildNumber,
    ) -> Self {
        Self { key, chain_code, depth, parent, step, public: OnceCell::new() }
    }

    /// Reads a serialised extended private key (`xprv…`, `tprv…`).
    ///
    /// # Errors
    /// [`BitcoinError::Derivation`] when it is not one.
    pub fn from_xprv(text: &SecretText) -> Result<Self, BitcoinError> {
        const INVALID: BitcoinError = BitcoinError::Derivation("not an extended private key");
        let bytes = Zeroizing::new(base58::decode_check(text.expose()).map_err(|_| INVALID)?);
        let mut xprv = Xpriv::decode(&bytes).map_err(|_| INVALID)?;
        // What the decoder does not look at: the byte before the key, and that a root has no parent.
        let consistent = is_consistent(xprv.depth, xprv.parent_fingerprint, xprv.child_number);
        if bytes.get(45) != Some(&0) || !consistent {
            return Err(INVALID);
        }
        let chain_code = Zeroizing::new(xprv.chain_code.to_bytes());
        let node =
            Self::new(xprv.private_key, chain_code, xprv.depth, xprv.parent_fingerprint, xprv.child_number);
        xprv.private_key.non_secure_erase();
        Ok(node)
    }

    /// The public key.
    pub fn public_key(&self) -> PublicKey {
        *self.public.get_or_init(|| self.key.public_key(SECP256K1))
    }

    /// The first four bytes of HASH160 of the public key, by which PSBTs and descriptors name a key tree.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.public_key())
    }

    /// The secret key itself.
    pub fn secret_key(&self) -> SecretKey32 {
        let mut bytes = self.key.secret_bytes();
        SecretKey32::take(&mut bytes)
    }

    pub(crate) const fn secp_key(&self) -> &SecretKey {
        &self.key
    }

    /// The public side with the serialisation fields of BIP-32.
    pub fn xpub(&self, network: Network) -> Xpub {
        Xpub {
            network: network.kind(),
            depth: self.depth,
            parent_fingerprint: self.parent,
            child_number: self.step,
            public_key: self.public_key(),
            chain_code: ChainCode::from(*self.chain_code),
        }
    }

    /// One step down (`CKDpriv`).
    ///
    /// # Errors
    /// [`BitcoinError::Derivation`] at depth 255 and for the one index in 2¹²⁷ that has no key.
    pub fn child(&self, step: ChildNumber) -> Result<Self, BitcoinError> {
        let mut child = self.child_unlinked(step)?;
        child.parent = self.fingerprint();
        Ok(child)
    }

    /// The same without the parent's fingerprint, which only a serialised key needs: for a hardened step it spares
    /// the public key of the parent.
    pub(crate) fn child_unlinked(&self, step: ChildNumber) -> Result<Self, BitcoinError> {
        let depth = self.depth.checked_add(1).ok_or(BitcoinError::Derivation("the path is too long"))?;
        let mut engine = HmacEngine::<sha512::Hash>::new(&*self.chain_code);
        if step.is_hardened() {
            let bytes = Zeroizing::new(self.key.secret_bytes());
            engine.input(&[0]);
            engine.input(&*bytes);
        } else {
            engine.input(&self.public_key().serialize());
        }
        engine.input(&u32::from(step).to_be_bytes());
        let (left, right) = split(engine);
        let mut tweak = Scalar::from_be_bytes(*left).map_err(|_| NO_KEY)?;
        let key = self.key.add_tweak(&tweak);
        tweak.non_secure_erase();
        Ok(Self::new(key.map_err(|_| NO_KEY)?, right, depth, Fingerprint::default(), step))
    }

    /// Several steps down.
    ///
    /// # Errors
    /// As [`SecretNode::child`].
    pub fn descend(&self, path: &[ChildNumber]) -> Result<Self, BitcoinError> {
        let mut node = self.copy();
        for step in path {
            node = node.child(*step)?;
        }
        Ok(node)
    }

    /// A second copy, for this crate only.
    fn copy(&self) -> Self {
        Self {
            key: self.key,
            chain_code: self.chain_code.clone(),
            depth: self.depth,
            parent: self.parent,
            step: self.step,
            public: self.public.clone(),
        }
    }
}

impl Drop for SecretNode {
    fn drop(&mut self) {
        self.key.non_secure_erase();
    }
}

/// A public key with its chain code: what addresses are derived from.
#[derive(Clone)]
pub(crate) struct PublicNode {
    key: PublicKey,
    /// The HMAC keyed with the chain code, so that the key schedule is done once.
    hmac: HmacEngine<sha512::Hash>,
}

impl PublicNode {
    pub(crate) fn from_xpub(xpub: &Xpub) -> Self {
        Self { key: xpub.public_key, hmac: HmacEngine::new(xpub.chain_code.as_bytes()) }
    }

    /// One unhardened step down (`CKDpub`), with the chain code.
    pub(crate) fn child(&self, index: u32) -> Result<Self, BitcoinError> {
        let (key, chain_code) = self.derive(index)?;
        Ok(Self { key, hmac: HmacEngine::new(&chain_code) })
    }

    /// The public key one unhardened step down.
    pub(crate) fn child_key(&self, index: u32) -> Result<PublicKey, BitcoinError> {
        self.derive(index).map(|(key, _)| key)
    }

    fn derive(&self, index: u32) -> Result<(PublicKey, [u8; 32]), BitcoinError> {
        if index >= HARDENED {
            return Err(BitcoinError::Derivation("a public key has no hardened children"));
        }
        let mut engine = self.hmac.clone();
        engine.input(&self.key.serialize());
        engine.input(&index.to_be_bytes());
        let (left, right) = split(engine);
        let tweak = Scalar::from_be_bytes(*left).map_err(|_| NO_KEY)?;
        let key = self.key.add_exp_tweak(SECP256K1, &tweak).map_err(|_| NO_KEY)?;
        Ok((key, *right))
    }
}

impl fmt::Debug for PublicNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicNode({})", self.key)
    }
}

/// Whether a serialised key does not claim both to be a root and to have a parent (BIP-32, test vector 5).
pub(crate) fn is_consistent(depth: u8, parent: Fingerprint, step: ChildNumber) -> bool {
    depth != 0 || (parent == Fingerprint::default() && step == ChildNumber::Normal { index: 0 })
}

/// The first hardened index.
pub(crate) const HARDENED: u32 = 1 << 31;

/// A hardened step.
///
/// # Errors
/// [`BitcoinError::Derivation`] from 2³¹ on.
pub(crate) fn hardened(index: u32) -> Result<ChildNumber, BitcoinError> {
    ChildNumber::from_hardened_idx(index).map_err(|_| INDEX)
}

const INDEX: BitcoinError = BitcoinError::Derivation("an index must be below 2147483648");

pub(crate) fn fingerprint(key: &PublicKey) -> Fingerprint {
    let hash = hash160::Hash::hash(&key.serialize()).to_byte_array();
    Fingerprint::from([hash[0], hash[1], hash[2], hash[3]])
}
