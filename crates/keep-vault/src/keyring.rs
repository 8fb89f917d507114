//! The keys of a vault: made, imported, listed, deleted.

use std::ops::ControlFlow;

use keep_audit::{Action, Draft, Outcome};
use keep_store::{NameIndex, Scan};
use keep_types::{
    Collection, EndpointId, ErrorCode, Fault, KeyId, Name, Origin, PublicKey, Record, RecordId, SecretKey32,
};
use secp256k1::{Keypair, SECP256K1, SecretKey};

use crate::records::{SecretKind, SecretRecord, key_place};
use crate::seal::open_row;
use crate::subkeys::Subkeys;
use crate::tx::name_index;
use crate::{KeyRecord, KeySource, Tx, Vault, VaultError};

impl Vault {
    /// Makes a key with the operating system's random number generator. Durable when this returns.
    ///
    /// # Errors
    /// [`VaultError::NameTaken`]; when the store cannot be written.
    pub fn generate_key(&self, name: Name) -> Result<KeyRecord, VaultError> {
        self.add_key(name, &random_secret()?, KeySource::Generated)
    }

    /// Brings a secret key in. Durable when this returns.
    ///
    /// # Errors
    /// [`VaultError::NameTaken`], [`VaultError::KeyExists`]; when the bytes are no secret key of secp256k1, or the store
    /// cannot be written.
    pub fn import_key(&self, name: Name, secret: &SecretKey32) -> Result<KeyRecord, VaultError> {
        self.add_key(name, secret, KeySource::Imported)
    }

    fn add_key(&self, name: Name, secret: &SecretKey32, source: KeySource) -> Result<KeyRecord, VaultError> {
        let public_key = public_key(secret)?.to_bytes();
        if let Some(existing) = self.key_by_public(&public_key)? {
            return Err(VaultError::KeyExists(existing.name.to_string()));
        }
        let id = KeyId::random()?;
        let public = Some(PublicKey::from_byte_array(public_key).to_hex());
        let secret = SecretRecord::of_key(SecretKind::Identity, secret, public);
        let (record, _) = self
            .submit(move |tx| {
                let record = KeyRecord { id, name, public_key, created_at: tx.now(), source };
                tx.put(key_place(id), &record)?;
                // Checked again inside the lock: another process may have imported the same key meanwhile.
                tx.put_any(key_place(id), &secret).map_err(|error| match error {
                    VaultError::NameTaken(public) => VaultError::KeyExists(public),
                    other => other,
                })?;
                let action = match source {
                    KeySource::Generated => Action::KeyGenerated,
                    KeySource::Imported => Action::KeyImported,
                };
                tx.audit(
                    Draft::new(action, Outcome::Allowed, &Origin::Cli).key(id).reason(record.name.as_str()),
                );
                Ok(record)
            })
            .wait()?;
        Ok(record)
    }

    /// Deletes a key and its secret. What it signed stays in the audit log.
    ///
    /// # Errors
    /// [`VaultError::NoSuchKey`]; when the store cannot be written.
    pub fn delete_key(&self, id: KeyId) -> Result<(), VaultError> {
        self.submit(move |tx| {
            let record: KeyRecord = tx.get(&key_place(id))?.ok_or(VaultError::NoSuchKey)?;
            tx.delete::<KeyRecord>(&key_place(id))?;
            tx.delete_any::<SecretRecord>(&key_place(id))?;
            let draft = Draft::new(Action::KeyDeleted, Outcome::Allowed, &Origin::Cli);
            tx.audit(draft.key(id).reason(record.name.as_str()));
            Ok(())
        })
        .wait()?;
        self.secrets.forget(id);
        Ok(())
    }

    /// Every readable key, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyRecord>, VaultError> {
        let mut keys: Vec<KeyRecord> = Vec::new();
        self.scan(Scan::default(), &mut |_, key| {
            keys.push(key);
            ControlFlow::Continue(())
        })?;
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(keys)
    }

    /// The key with this name.
    ///
    /// # Errors
    /// When the store or the record cannot be read.
    pub fn key_by_name(&self, name: &str) -> Result<Option<KeyRecord>, VaultError> {
        let keys = self.shared.keys()?;
        self.find_key(&keys, &name_index::<KeyRecord>(&keys, name), Collection::Keys)
    }

    /// The key with this x-only public key (32 bytes).
    ///
    /// # Errors
    /// As [`key_by_name`](Self::key_by_name).
    pub fn key_by_public(&self, public: &[u8; 32]) -> Result<Option<KeyRecord>, VaultError> {
        let hex = PublicKey::from_byte_array(*public).to_hex();
        let keys = self.shared.keys()?;
        let found = self.find_key(&keys, &name_index::<SecretRecord>(&keys, &hex), Collection::Secrets)?;
        Ok(found.filter(|key| key.public_key == *public))
    }

    /// The key whose record, or whose secret, has this name index: both lie in the same place.
    fn find_key(
        &self,
        keys: &Subkeys,
        index: &NameIndex,
        named: Collection,
    ) -> Result<Option<KeyRecord>, VaultError> {
        let mut found = None;
        self.store.read(&mut |tx| {
            if let Some(row) = tx.find(named.number(), index)? {
                found = tx.get(Collection::Keys.number(), &row.id)?;
            }
            Ok(())
        })?;
        let Some(row) = found else { return Ok(None) };
        let identity = self.shared.identity;
        let plain = open_row(keys, identity.vault, identity.epoch, &row).map_err(|_| VaultError::Record {
            collection: "keys",
            reason: "it was changed or is damaged".into(),
        })?;
        Ok(Some(KeyRecord::from_cbor(&plain)?))
    }

    /// Makes the secret of a new bunker endpoint and gives its public key. Called from the job that writes the endpoint's
    /// own record, so that both are committed together.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new_transport_key(tx: &mut Tx<'_, '_>, endpoint: EndpointId) -> Result<PublicKey, VaultError> {
        let place = RecordId::from_bytes(*endpoint.as_bytes());
        if tx.get_any::<SecretRecord>(&place)?.is_some() {
            return Err(VaultError::Rejected(Fault::new(ErrorCode::Bug, "an endpoint's place is taken")));
        }
        let secret = random_secret()?;
        let record = SecretRecord::of_key(SecretKind::Transport, &secret, None);
        tx.put_any(place, &record)?;
        public_key(&secret)
    }

    /// Deletes the secret of a bunker endpoint, in the job that deletes the endpoint's own record.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn delete_transport_key(tx: &mut Tx<'_, '_>, endpoint: EndpointId) -> Result<(), VaultError> {
        tx.delete_any::<SecretRecord>(&RecordId::from_bytes(*endpoint.as_bytes())).map(|_| ())
    }
}

fn random_secret() -> Result<SecretKey32, VaultError> {
    loop {
        let mut bytes = [0; 32];
        getrandom::getrandom(&mut bytes)?;
        // All but about 2^-128 of the values are secret keys.
        if SecretKey::from_slice(&bytes).is_ok() {
            return Ok(SecretKey32::take(&mut bytes));
        }
    }
}

pub(crate) fn public_key(secret: &SecretKey32) -> Result<PublicKey, VaultError> {
    let mut pair =
        Keypair::from_seckey_slice(SECP256K1, secret.expose()).map_err(|_| VaultError::SecretMismatch)?;
    let public = PublicKey::from(pair.x_only_public_key().0);
    pair.non_secure_erase();
    Ok(public)
}
