//! Secret keys: the only code that touches them.

mod bitcoin;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ed25519_dalek::{Signer as _, SigningKey};
use hkdf::Hkdf;
use hmac::Mac;
use keep_audit::{Checkpoint, SignedCheckpoint};
use keep_bitcoin::Seed;
use keep_cipher::{SharedX, nip04, nip44};
use keep_policy::{Permit, PlaintextClass};
use keep_types::{
    Answer, Collection, EndpointId, ErrorCode, Event, Fault, Intent, KeyId, PublicKey, Record, RecordId,
    Request, RequestId, Scheme, SecretKey32, SecretText, UnsignedEvent, event_id,
};
use secp256k1::{Keypair, Message, SECP256K1};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::items::item_place;
use crate::memory::{EXPANDED_LEN, expand, restore};
use crate::mnemonic::natural_key;
use crate::records::{SecretKind, SecretRecord, key_place};
use crate::seal::open_row;
use crate::shield::{Lifted, Shielded};
use crate::subkeys::{AnswerKey, HmacSha256};
use crate::{Committed, Held, MnemonicSecret, Vault, VaultError};

/// Where the secret of the audit key lies: a vault has one.
pub(crate) const AUDIT_KEY: RecordId = RecordId::from_bytes(*b"keep audit key  ");

/// A new audit key.
pub(crate) fn new_audit_key() -> Result<SecretRecord, VaultError> {
    let mut seed = [0; 32];
    getrandom::getrandom(&mut seed)?;
    Ok(SecretRecord::of_key(SecretKind::Audit, &SecretKey32::take(&mut seed), None))
}

/// The public key of an audit key.
pub(crate) fn public_of(audit_key: &SecretRecord) -> Result<[u8; 32], VaultError> {
    Ok(SigningKey::from_bytes(audit_key.key32()?.expose()).verifying_key().to_bytes())
}

/// Signs a checkpoint with the audit key, which does nothing else.
pub(crate) fn sign_with(
    audit_key: &SecretRecord,
    checkpoint: Checkpoint,
) -> Result<SignedCheckpoint, VaultError> {
    let key = SigningKey::from_bytes(audit_key.key32()?.expose());
    let signature = key.sign(&checkpoint.message()).to_bytes();
    Ok(SignedCheckpoint { checkpoint, public_key: key.verifying_key().to_bytes(), signature })
}

/// Expanded key pairs, encrypted in memory, by key.
#[derive(Default)]
pub(crate) struct Secrets {
    expanded: Mutex<HashMap<KeyId, Shielded<EXPANDED_LEN>>>,
    /// Nonces of threshold signatures, each for one use.
    pub sessions: crate::groups::Sessions,
}

impl Secrets {
    pub fn forget(&self, key: KeyId) {
        self.expanded.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

/// A key pair for the length of one operation. Erased on drop.
struct Opened(Keypair);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl Vault {
    /// Uses a secret as the permit says. The result waits for its record: see [`Held`].
    ///
    /// # Errors
    /// [`VaultError::Unrecorded`] when this use needs its record first; otherwise when the secret cannot be read or the
    /// operation itself fails.
    pub fn execute(&self, permit: Permit) -> Result<Held<Answer>, VaultError> {
        if permit.record_first() {
            return Err(VaultError::Unrecorded);
        }
        self.perform(permit)
    }

    /// Uses a secret whose record is already durable: the only way to export.
    ///
    /// # Errors
    /// [`VaultError::Unrecorded`] when the record is that of another job; otherwise as [`execute`](Self::execute).
    pub fn execute_recorded(&self, permit: Permit, record: &Committed) -> Result<Held<Answer>, VaultError> {
        if !record.is_own_record_of(permit.job()) {
            return Err(VaultError::Unrecorded);
        }
        self.perform(permit)
    }

    fn perform(&self, permit: Permit) -> Result<Held<Answer>, VaultError> {
        let (job, again, releases) = (permit.job(), permit.is_repeat(), permit.releases());
        let request = permit.into_request();
        if let Intent::Group(usage) = request.intent {
            return Ok(Held::new(self.perform_group(request.key, *usage)?, job));
        }
        let lifted = self.shared.shield.lift();
        if let Some(answer) = self.hand_out(&request)? {
            return Ok(Held::new(answer, job));
        }
        let pair = self.open_pair(&lifted, request.key)?;
        let answer = match request.intent {
            Intent::GetPublicKey => Answer::PublicKey(PublicKey::from(pair.0.x_only_public_key().0)),
            Intent::SignEvent(event) => {
                let event = sign_event(&self.shared.answer_key_under(&lifted)?, &pair.0, &request.id, event)?;
                // Signing the same again is when a faulty computation could give a key away.
                if again && !event.verify_signature() {
                    return Err(VaultError::System("a signature was computed wrongly".into()));
                }
                Answer::Event(Box::new(event))
            }
            Intent::Encrypt { scheme, peer, plaintext } => {
                let keys = self.shared.answer_key_under(&lifted)?;
                Answer::Ciphertext(encrypt(
                    &keys,
                    &pair.0,
                    &request.id,
                    request.asked_at,
                    scheme,
                    &peer,
                    &plaintext,
                )?)
            }
            Intent::Decrypt { scheme, peer, ciphertext } => {
                let plaintext = decrypt(&pair.0, scheme, &peer, &ciphertext)?;
                let class = PlaintextClass::of(plaintext.expose());
                if !releases.contains(class) {
                    return Err(VaultError::Withheld(class));
                }
                Answer::Plaintext(plaintext)
            }
            Intent::Nip44V3(usage) => {
                let keys = self.shared.answer_key_under(&lifted)?;
                crate::nip44v3::answer(&keys, &pair.0, &request.id, request.asked_at, *usage, releases)?
            }
            // Is gone by now.
            Intent::Group(_) => return Err(VaultError::Unrecorded),
            Intent::Export => Answer::SecretKey(SecretKey32::take(&mut pair.0.secret_bytes())),
            Intent::ExportMnemonic | Intent::RevealSecret | Intent::Backup => {
                return Err(VaultError::Rejected(Fault::new(ErrorCode::Bug, "this needs no key pair")));
            }
            Intent::BitcoinAccount { coin_type, account } => {
                self.tree(&lifted, request.key)?.account(coin_type, account)?
            }
            Intent::SignPsbt(spend) => self.tree(&lifted, request.key)?.sign_psbt(
                &self.shared.answer_key_under(&lifted)?,
                &request.id,
                spend,
            )?,
            Intent::SignMessage(message) => self.tree(&lifted, request.key)?.sign_message(
                &self.shared.answer_key_under(&lifted)?,
                &request.id,
                message,
            )?,
        };
        Ok(Held::new(answer, job))
    }

    /// What is handed out as it lies in the vault, if that is what the request asks for.
    fn hand_out(&self, request: &Request) -> Result<Option<Answer>, VaultError> {
        match request.intent {
            Intent::ExportMnemonic => {
                let mnemonic = self.mnemonic(request.key)?.ok_or(VaultError::NoMnemonic)?;
                Ok(Some(Answer::Plaintext(mnemonic.into_text())))
            }
            Intent::RevealSecret => {
                let record = self.read_secret(&item_place(request.key), SecretKind::Stored)?;
                let record = record.ok_or(VaultError::NoSuchSecret)?;
                let text = std::str::from_utf8(record.secret.expose()).map_err(|_| VaultError::Record {
                    collection: "secrets",
                    reason: "it is no text".into(),
                })?;
                Ok(Some(Answer::Plaintext(SecretText::new(text.to_owned()))))
            }
            // A backup is more than an answer: see `Vault::archive`.
            Intent::Backup => {
                Err(VaultError::Rejected(Fault::new(ErrorCode::Bug, "a backup is made as a whole")))
            }
            Intent::GetPublicKey
            | Intent::SignEvent(_)
            | Intent::Encrypt { .. }
            | Intent::Decrypt { .. }
            | Intent::Nip44V3(_)
            | Intent::Export
            | Intent::Group(_)
            | Intent::BitcoinAccount { .. }
            | Intent::SignPsbt(_)
            | Intent::SignMessage(_) => Ok(None),
        }
    }

    /// The seed of a key's tree (BIP-32): that of its mnemonic, or the bare key itself where it has none. For uses with a
    /// permit, inside this file.
    fn seed(&self, lifted: &Lifted, key: KeyId) -> Result<Seed, VaultError> {
        match self.mnemonic(key)? {
            Some(mnemonic) => mnemonic.seed(),
            None => {
                let pair = self.open_pair(lifted, key)?;
                Ok(Seed::from_secret_key(&SecretKey32::take(&mut pair.0.secret_bytes())))
            }
        }
    }

    /// What Bitcoin signatures of a key are made with.
    fn tree(&self, lifted: &Lifted, key: KeyId) -> Result<bitcoin::Tree, VaultError> {
        let pair = self.open_pair(lifted, key)?;
        let identity = SecretKey32::take(&mut pair.0.secret_bytes());
        Ok(bitcoin::Tree { seed: self.seed(lifted, key)?, identity })
    }

    fn mnemonic(&self, key: KeyId) -> Result<Option<MnemonicSecret>, VaultError> {
        let keys = self.shared.keys()?;
        let place = keys.locate(Collection::Secrets, &natural_key(key));
        let record = self.read_secret(&place, SecretKind::Mnemonic)?;
        record.map(|record| MnemonicSecret::from_secret(&record.secret)).transpose()
    }

    fn open_pair(&self, lifted: &Lifted, key: KeyId) -> Result<Opened, VaultError> {
        let mut expanded = self.secrets.expanded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shielded) = expanded.get(&key) {
            return Ok(Opened(restore(&*lifted.open(shielded)?)?));
        }
        let record = self.read_secret(&key_place(key), SecretKind::Identity)?.ok_or(VaultError::NoSuchKey)?;
        let bytes = expand(record.key32()?.expose())?;
        expanded.insert(key, self.shared.shield.seal(&bytes)?);
        Ok(Opened(restore(&bytes)?))
    }

    /// The transport key of a bunker endpoint. It encrypts and signs envelopes and says nothing in anybody's name, so it
    /// needs no permit.
    ///
    /// # Errors
    /// When there is no such endpoint, or its key cannot be read.
    pub fn transport_key(&self, endpoint: EndpointId) -> Result<SecretKey32, VaultError> {
        let place = RecordId::from_bytes(*endpoint.as_bytes());
        let record = self.read_secret(&place, SecretKind::Transport)?.ok_or(VaultError::NoSuchKey)?;
        record.key32()
    }

    /// The public half of the key that signs the vault's checkpoints (Ed25519, 32 bytes). A vault of an older version has
    /// none until [`Vault::ensure_audit_key`] made it.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn audit_public_key(&self) -> Result<Option<[u8; 32]>, VaultError> {
        let Some(record) = self.read_secret(&AUDIT_KEY, SecretKind::Audit)? else { return Ok(None) };
        public_of(&record).map(Some)
    }

    /// Signs what the log says of itself. The audit key signs checkpoints of this vault and nothing else, in nobody's
    /// name, so it needs no permit; what is handed out is recorded by the caller.
    pub(crate) fn sign_checkpoint(&self, checkpoint: Checkpoint) -> Result<SignedCheckpoint, VaultError> {
        let record = self.read_secret(&AUDIT_KEY, SecretKind::Audit)?.ok_or(VaultError::NoSuchKey)?;
        sign_with(&record, checkpoint)
    }

    /// The Nostr event that carries an anchor to relays. Its author is a key of its own, derived from the audit key; no
    /// identity of the vault is in it.
    pub(crate) fn sign_anchor_event(&self, event: keep_types::EventTemplate) -> Result<Event, VaultError> {
        let secret = self.derive_from_audit_key(b"keep v1 anchor event")?.ok_or(VaultError::NoSuchKey)?;
        let pair = Opened(
            Keypair::from_seckey_slice(SECP256K1, secret.as_slice())
                .map_err(|_| VaultError::System("the anchor's key is none".into()))?,
        );
        let author = PublicKey::from(pair.0.x_only_public_key().0);
        let event = event.into_unsigned(author).map_err(Fault::from)?;
        let keys = self.shared.answer_key_under(&self.shared.shield.lift())?;
        sign_event(&keys, &pair.0, &RequestId::from_bytes([0; 32]), event)
    }

    /// A MAC that this vault, and any copy of it whatever its age, can check: for what is kept outside of it. `None` in a
    /// vault without an audit key.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn outside_mac(&self, message: &[u8]) -> Result<Option<[u8; 32]>, VaultError> {
        let Some(key) = self.derive_from_audit_key(b"keep v1 outside mac")? else { return Ok(None) };
        let mac = <HmacSha256 as Mac>::new_from_slice(key.as_slice());
        Ok(mac.ok().map(|mac| mac.chain_update(message).finalize().into_bytes().into()))
    }

    fn derive_from_audit_key(&self, purpose: &[u8]) -> Result<Option<Zeroizing<[u8; 32]>>, VaultError> {
        let Some(record) = self.read_secret(&AUDIT_KEY, SecretKind::Audit)? else { return Ok(None) };
        let mut key = Zeroizing::new([0; 32]);
        // 32 bytes are far below the limit of HKDF-SHA-256.
        let _ = Hkdf::<Sha256>::new(None, record.key32()?.expose()).expand(purpose, &mut *key);
        Ok(Some(key))
    }

    pub(crate) fn read_secret(
        &self,
        place: &RecordId,
        kind: SecretKind,
    ) -> Result<Option<SecretRecord>, VaultError> {
        let mut row = None;
        self.read(&mut |tx| {
            row = tx.get(Collection::Secrets.number(), place)?;
            Ok(())
        })?;
        let Some(row) = row else { return Ok(None) };
        let identity = self.shared.identity;
        let plain = open_row(&self.shared.keys()?, identity.vault, identity.epoch, &row).map_err(|_| {
            VaultError::Record { collection: "secrets", reason: "it was changed or is damaged".into() }
        })?;
        let record = SecretRecord::from_cbor(&plain)?;
        Ok((record.kind == kind).then_some(record))
    }
}

/// Signs an event with BIP-340. The auxiliary randomness follows from request and message, so that a repeated request
/// gives the same bytes again.
fn sign_event(
    keys: &AnswerKey,
    pair: &Keypair,
    request: &RequestId,
    event: UnsignedEvent,
) -> Result<Event, VaultError> {
    let author = PublicKey::from(pair.x_only_public_key().0);
    if event.pubkey != author {
        return Err(VaultError::SecretMismatch);
    }
    let id = event_id(&event);
    let aux = keys.derive(b"aux", &[request.as_bytes(), id.as_bytes()]);
    let signature = SECP256K1.sign_schnorr_with_aux_rand(&Message::from_digest(id.to_bytes()), pair, &aux);
    Ok(Event::new(id, event.pubkey, event.created_at, event.kind, event.tags, event.content, signature))
}

/// Encrypts with a nonce that follows from request and plaintext: a repeated request gives the same bytes again, and
/// another text never shares a nonce.
fn encrypt(
    keys: &AnswerKey,
    pair: &Keypair,
    request: &RequestId,
    asked_at: keep_types::Timestamp,
    scheme: Scheme,
    peer: &PublicKey,
    plaintext: &SecretText,
) -> Result<String, VaultError> {
    let digest = Sha256::digest(plaintext.expose());
    let label: &[u8] = match scheme {
        Scheme::Nip44 => b"n44",
        Scheme::Nip04 => b"n04",
    };
    let nonce = keys
        .derive(label, &[request.as_bytes(), &asked_at.as_secs().to_be_bytes(), &peer.to_bytes(), &digest]);
    let shared = shared_x(pair, peer)?;
    match scheme {
        Scheme::Nip44 => {
            nip44::encrypt(&keep_cipher::ConversationKey::from_shared(&shared), plaintext.expose(), &nonce)
        }
        Scheme::Nip04 => {
            let mut iv = [0; 16];
            iv.copy_from_slice(&nonce[..16]);
            nip04::encrypt(&shared, plaintext.expose(), &iv)
        }
    }
    .map_err(payload)
}

fn decrypt(
    pair: &Keypair,
    scheme: Scheme,
    peer: &PublicKey,
    ciphertext: &str,
) -> Result<SecretText, VaultError> {
    let shared = shared_x(pair, peer)?;
    match scheme {
        Scheme::Nip44 => nip44::decrypt(&keep_cipher::ConversationKey::from_shared(&shared), ciphertext),
        Scheme::Nip04 => nip04::decrypt(&shared, ciphertext),
    }
    .map_err(payload)
}

pub(crate) fn shared_x(pair: &Keypair, peer: &PublicKey) -> Result<SharedX, VaultError> {
    let mut secret = pair.secret_key();
    let shared = SharedX::derive(&secret, peer);
    secret.non_secure_erase();
    shared.map_err(payload)
}

pub(crate) fn payload(error: keep_cipher::CipherError) -> VaultError {
    VaultError::Payload(error.to_string())
}
