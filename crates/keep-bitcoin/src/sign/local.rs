//! Signing with a key in this process.

use std::collections::HashMap;

use bitcoin::bip32::{ChildNumber, DerivationPath, Fingerprint};
use bitcoin::key::TapTweak;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message, Parity, PublicKey, SECP256K1, SecretKey};
use bitcoin::taproot::{TapNodeHash, TapTweakHash};
use keep_types::SecretKey32;

use super::{KeyTweak, SignJob, SignerError, TaprootSigner};
use crate::{Account, BitcoinError, Inspection, KeyLocation, SecretNode};

/// A key tree and, if there is one, the identity key, held for the length of an operation. Wiped on drop; no `Debug`,
/// no `Clone`, no `Serialize`.
///
/// ```compile_fail
/// fn shown<T: std::fmt::Debug>() {}
/// shown::<keep_bitcoin::LocalSigner>();
/// ```
pub struct LocalSigner {
    master: SecretNode,
    fingerprint: Fingerprint,
    identity: Option<SecretKey>,
    aux_rand: [u8; 32],
}

impl LocalSigner {
    /// A signer over the tree below `master`. `aux_rand` is mixed into every nonce (BIP-340): fresh random bytes
    /// protect against side channels, fixed ones make signatures repeatable, and neither endangers the key.
    pub fn new(master: SecretNode, aux_rand: [u8; 32]) -> Self {
        let fingerprint = master.fingerprint();
        Self { master, fingerprint, identity: None, aux_rand }
    }

    /// Adds the identity key.
    ///
    /// # Errors
    /// [`BitcoinError::Derivation`] when the bytes are not a secret key.
    pub fn with_identity(mut self, secret: &SecretKey32) -> Result<Self, BitcoinError> {
        let key = SecretKey::from_slice(secret.expose())
            .map_err(|_| BitcoinError::Derivation("the identity key is not a valid secret key"))?;
        self.identity = Some(key);
        Ok(self)
    }

    /// Checks that `inspection` was made as the owner of what this signer holds, so that what counted as ours, and as
    /// change, is.
    ///
    /// # Errors
    /// [`SignerError::ForeignWallet`].
    pub fn check_owner(&self, inspection: &Inspection) -> Result<(), SignerError> {
        let owns = |account: &Account| {
            let node = self.master.descend(account.path().as_ref()).ok()?;
            let same =
                account.fingerprint() == self.fingerprint && node.xpub(account.network()) == *account.xpub();
            same.then_some(())
        };
        let identity = self.identity.map(|key| key.x_only_public_key(SECP256K1).0);
        let accounts = inspection.accounts.iter().all(|account| owns(account).is_some());
        if accounts && inspection.identity.is_none_or(|key| identity == Some(key)) {
            Ok(())
        } else {
            Err(SignerError::ForeignWallet)
        }
    }
}

impl Drop for LocalSigner {
    fn drop(&mut self) {
        if let Some(key) = &mut self.identity {
            key.non_secure_erase();
        }
    }
}

impl TaprootSigner for LocalSigner {
    fn sign_taproot(&self, jobs: &[SignJob]) -> Result<Vec<Signature>, SignerError> {
        // Sized beforehand, so that no copy of a key is left behind by growing.
        let mut keys = Keys {
            signer: self,
            parents: HashMap::with_capacity(jobs.len()),
            ready: HashMap::with_capacity(jobs.len()),
        };
        jobs.iter()
            .map(|job| {
                let keypair = keys.get(job)?;
                let message = Message::from(job.sighash);
                Ok(SECP256K1.sign_schnorr_with_aux_rand(&message, keypair, &self.aux_rand))
            })
            .collect()
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

/// The keys of one batch, each derived and tweaked once. Wiped on drop.
struct Keys<'s, 'j> {
    signer: &'s LocalSigner,
    parents: HashMap<&'j [ChildNumber], SecretNode>,
    ready: HashMap<(&'j KeyLocation, KeyTweak), Keypair>,
}

impl<'j> Keys<'_, 'j> {
    fn get(&mut self, job: &'j SignJob) -> Result<&Keypair, SignerError> {
        let id = (&job.location, job.tweak);
        if !self.ready.contains_key(&id) {
            let keypair = self.make(job)?;
            self.ready.insert(id, keypair);
        }
        let keypair = self.ready.get(&id).ok_or(SignerError::UnknownKey(job.input))?;
        if keypair.x_only_public_key().0 == job.public_key {
            Ok(keypair)
        } else {
            Err(SignerError::KeyMismatch(job.input))
        }
    }

    fn make(&mut self, job: &'j SignJob) -> Result<Keypair, SignerError> {
        let mut secret = match &job.location {
            KeyLocation::Identity => self.signer.identity.ok_or(SignerError::UnknownKey(job.input))?,
            KeyLocation::Child { fingerprint, path } if *fingerprint == self.signer.fingerprint => {
                self.derive(path).map_err(|_| SignerError::UnknownKey(job.input))?
            }
            KeyLocation::Child { .. } => return Err(SignerError::UnknownKey(job.input)),
        };
        let ready = match job.tweak {
            KeyTweak::None => Keypair::from_secret_key(SECP256K1, &secret),
            KeyTweak::Taproot(root) => tweaked(&secret, root, job.untweaked),
        };
        secret.non_secure_erase();
        Ok(ready)
    }

    fn derive(&mut self, path: &'j DerivationPath) -> Result<SecretKey, BitcoinError> {
        let Some((last, parent)) = path.as_ref().split_last() else {
            return Ok(*self.signer.master.secp_key());
        };
        if !self.parents.contains_key(parent) {
            let node = self.signer.master.descend(parent)?;
            self.parents.insert(parent, node);
        }
        let node = self.parents.get(parent).ok_or(BitcoinError::Derivation("no such key"))?;
        Ok(*node.child_unlinked(*last)?.secp_key())
    }
}

/// The key pair of `secret` as internal key (BIP-341, `taproot_tweak_seckey`).
///
/// With the public key at hand, which tells the sign and the tweak, only the result's own public key is computed.
fn tweaked(secret: &SecretKey, root: Option<TapNodeHash>, untweaked: Option<PublicKey>) -> Keypair {
    let with_hint = untweaked.and_then(|public| {
        let (internal, parity) = public.x_only_public_key();
        let mut even = if parity == Parity::Odd { secret.negate() } else { *secret };
        let tweak = TapTweakHash::from_key_and_tweak(internal, root).to_scalar();
        let sum = even.add_tweak(&tweak);
        even.non_secure_erase();
        let mut sum = sum.ok()?;
        let ready = Keypair::from_secret_key(SECP256K1, &sum);
        sum.non_secure_erase();
        Some(ready)
    });
    with_hint.unwrap_or_else(|| {
        let mut pair = Keypair::from_secret_key(SECP256K1, secret);
        let ready = pair.tap_tweak(SECP256K1, root).to_keypair();
        pair.non_secure_erase();
        ready
    })
}

impl Drop for Keys<'_, '_> {
    fn drop(&mut self) {
        self.ready.values_mut().for_each(Keypair::non_secure_erase);
    }
}
