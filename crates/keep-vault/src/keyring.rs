//! The keys of a vault: made, imported, listed, deleted.

use std::collections::HashMap;

use keep_audit::{Action, Draft, Outcome};
use keep_policy::{Grant, Usage};
use keep_store::{NameIndex, Row};
use keep_types::{
    Collection, EndpointId, ErrorCode, Fault, KeyId, Name, Origin, PublicKey, Record, RecordId, SecretKey32,
    Timestamp,
};
use secp256k1::{Keypair, SECP256K1, SecretKey};

use crate::items::check_note;
use crate::mnemonic::natural_key;
use crate::records::{SecretKind, SecretRecord, key_place};
use crate::seal::open_row;
use crate::subkeys::Subkeys;
use crate::tx::name_index;
use crate::{Derivation, KeyRecord, KeySource, MnemonicSecret, Tx, Vault, VaultError, WalletRow};

/// Refuses a name that reads as a public key. Wherever a key is named, such a text means the key whose public key it is: a
/// key with that name could not be reached, and whoever tries would reach the other one.
///
/// # Errors
/// [`VaultError::NameReadsAsKey`].
pub fn check_name(name: &Name) -> Result<(), VaultError> {
    let name = name.as_str();
    let digits = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits || PublicKey::parse(name).is_ok() {
        return Err(VaultError::NameReadsAsKey(name.to_owned()));
    }
    Ok(())
}

impl Vault {
    /// Makes a key with the operating system's random number generator. Durable when this returns.
    ///
    /// # Errors
    /// [`VaultError::NameTaken`], [`VaultError::NameReadsAsKey`]; when the store cannot be written.
    pub fn generate_key(&self, name: Name) -> Result<KeyRecord, VaultError> {
        self.add_key(name, &random_secret()?, KeySource::Generated, None)
    }

    /// Brings a secret key in. Durable when this returns.
    ///
    /// # Errors
    /// [`VaultError::NameTaken`], [`VaultError::NameReadsAsKey`], [`VaultError::KeyExists`]; when the bytes are no secret
    /// key of secp256k1, or the store cannot be written.
    pub fn import_key(&self, name: Name, secret: &SecretKey32) -> Result<KeyRecord, VaultError> {
        self.add_key(name, secret, KeySource::Imported, None)
    }

    /// Makes or brings in the key that follows from a mnemonic, and keeps the mnemonic. Durable when this returns.
    ///
    /// # Errors
    /// As [`import_key`](Self::import_key); [`VaultError::Mnemonic`] when there is no such key.
    pub fn add_mnemonic(
        &self,
        name: Name,
        mnemonic: &MnemonicSecret,
        derivation: Derivation,
        source: KeySource,
    ) -> Result<KeyRecord, VaultError> {
        let secret = derivation.key(&mnemonic.seed()?)?;
        let record = SecretRecord { kind: SecretKind::Mnemonic, secret: mnemonic.to_secret()?, public: None };
        self.add_key(name, &secret, source, Some((derivation, record)))
    }

    fn add_key(
        &self,
        name: Name,
        secret: &SecretKey32,
        source: KeySource,
        mnemonic: Option<(Derivation, SecretRecord)>,
    ) -> Result<KeyRecord, VaultError> {
        check_name(&name)?;
        let public_key = public_key(secret)?.to_bytes();
        if let Some(existing) = self.key_by_public(&public_key)? {
            return Err(VaultError::KeyExists(existing.name.to_string()));
        }
        let id = KeyId::random()?;
        let public = Some(PublicKey::from_byte_array(public_key).to_hex());
        let secret = SecretRecord::of_key(SecretKind::Identity, secret, public);
        let (record, _) = self
            .submit(move |tx| {
                let derivation = mnemonic.as_ref().map(|(derivation, _)| *derivation);
                let created_at = tx.now();
                let record = KeyRecord { id, name, public_key, created_at, source, note: None, derivation };
                tx.put(key_place(id), &record)?;
                // Checked again inside the lock: another process may have imported the same key meanwhile.
                tx.put_any(key_place(id), &secret).map_err(taken_key)?;
                if let Some((_, mnemonic)) = &mnemonic {
                    tx.put_any(tx.locate::<SecretRecord>(&natural_key(id)), mnemonic)?;
                }
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
        let wallets: Vec<RecordId> = self
            .all::<WalletRow>()?
            .into_iter()
            .filter(|(_, row)| row.key() == id)
            .map(|(place, _)| place)
            .collect();
        self.submit(move |tx| {
            let record: KeyRecord = tx.get(&key_place(id))?.ok_or(VaultError::NoSuchKey)?;
            tx.delete::<KeyRecord>(&key_place(id))?;
            for place in &wallets {
                tx.delete::<WalletRow>(place)?;
            }
            tx.delete_any::<SecretRecord>(&key_place(id))?;
            tx.delete_any::<SecretRecord>(&tx.locate::<SecretRecord>(&natural_key(id)))?;
            tx.delete::<Usage>(&tx.locate::<Usage>(&Usage::owner_key(id)))?;
            let draft = Draft::new(Action::KeyDeleted, Outcome::Allowed, &Origin::Cli);
            tx.audit(draft.key(id).reason(record.name.as_str()));
            Ok(())
        })
        .wait()?;
        self.secrets.forget(id);
        Ok(())
    }

    /// Gives a key another name. It stays the same key, with the same clients.
    ///
    /// # Errors
    /// [`VaultError::NoSuchKey`], [`VaultError::NameTaken`], [`VaultError::NameReadsAsKey`]; when the store cannot be
    /// written.
    pub fn rename_key(&self, id: KeyId, name: Name) -> Result<KeyRecord, VaultError> {
        check_name(&name)?;
        let what = format!("renamed to {name}");
        self.change_key(id, what, move |key| key.name = name)
    }

    /// Notes something about a key; nothing takes the note away.
    ///
    /// # Errors
    /// [`VaultError::NoSuchKey`], [`VaultError::TooLong`]; when the store cannot be written.
    pub fn note_key(&self, id: KeyId, note: Option<String>) -> Result<KeyRecord, VaultError> {
        check_note(note.as_deref())?;
        self.change_key(id, "note".to_owned(), move |key| key.note = note)
    }

    fn change_key(
        &self,
        id: KeyId,
        what: String,
        change: impl FnOnce(&mut KeyRecord) + Send + 'static,
    ) -> Result<KeyRecord, VaultError> {
        let (record, _) = self
            .submit(move |tx| {
                let mut record: KeyRecord = tx.get(&key_place(id))?.ok_or(VaultError::NoSuchKey)?;
                change(&mut record);
                tx.put(key_place(id), &record)?;
                tx.audit(Draft::new(Action::KeyChanged, Outcome::Allowed, &Origin::Cli).key(id).reason(what));
                Ok(record)
            })
            .wait()?;
        Ok(record)
    }

    /// When each of `keys` was last used, by anybody: `None` where it never was. Reads counters only, not the log.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last_used(&self, keys: &[KeyRecord]) -> Result<Vec<Option<Timestamp>>, VaultError> {
        let usage = self.listing::<Usage>()?;
        let used: HashMap<RecordId, Timestamp> = usage
            .iter()
            .filter(|(_, usage)| usage.total > 0)
            .map(|(place, usage)| (*place, usage.last))
            .collect();
        let subkeys = self.shared.keys()?;
        let mut latest: HashMap<KeyId, Timestamp> = HashMap::new();
        let mut note = |key: KeyId, natural: &[u8]| {
            let time = used.get(&subkeys.locate(Collection::Usage, natural)).copied();
            if let Some(time) = time.filter(|time| *time > Timestamp::ZERO) {
                latest.entry(key).and_modify(|known| *known = time.max(*known)).or_insert(time);
            }
        };
        keys.iter().for_each(|key| note(key.id, &Usage::owner_key(key.id)));
        for (_, grant) in self.listing::<Grant>()?.iter() {
            let client = PublicKey::from_byte_array(grant.client);
            note(grant.key, &Grant::natural_key(&client, grant.endpoint));
        }
        Ok(keys.iter().map(|key| latest.get(&key.id).copied()).collect())
    }

    /// Every readable key, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyRecord>, VaultError> {
        let listing = self.listing::<KeyRecord>()?;
        let mut keys: Vec<KeyRecord> = listing.iter().map(|(_, key)| key.clone()).collect();
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

    /// The record of a collection that has this unique name.
    ///
    /// # Errors
    /// When the store or the record cannot be read.
    pub(crate) fn find_named<R: Record>(&self, name: &str) -> Result<Option<R>, VaultError> {
        let keys = self.shared.keys()?;
        let index = name_index::<R>(&keys, name);
        let mut found = None;
        self.read(&mut |tx| {
            found = tx.find(R::COLLECTION.number(), &index)?;
            Ok(())
        })?;
        let Some(row) = found else { return Ok(None) };
        let identity = self.shared.identity;
        let plain = open_row(&keys, identity.vault, identity.epoch, &row)
            .map_err(|_| R::error("it was changed or is damaged"))?;
        Ok(Some(R::from_cbor(&plain)?))
    }

    /// The key with this identifier.
    ///
    /// # Errors
    /// As [`key_by_name`](Self::key_by_name).
    pub fn key_by_id(&self, id: KeyId) -> Result<Option<KeyRecord>, VaultError> {
        let mut found = None;
        self.store.read(&mut |tx| {
            found = tx.get(Collection::Keys.number(), &key_place(id))?;
            Ok(())
        })?;
        found.map(|row| self.open_key(&self.shared.keys()?, &row)).transpose()
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
        self.read(&mut |tx| {
            if let Some(row) = tx.find(named.number(), index)? {
                found = tx.get(Collection::Keys.number(), &row.id)?;
            }
            Ok(())
        })?;
        found.map(|row| self.open_key(keys, &row)).transpose()
    }

    fn open_key(&self, keys: &Subkeys, row: &Row) -> Result<KeyRecord, VaultError> {
        let identity = self.shared.identity;
        let plain = open_row(keys, identity.vault, identity.epoch, row).map_err(|_| VaultError::Record {
            collection: "keys",
            reason: "it was changed or is damaged".into(),
        })?;
        Ok(KeyRecord::from_cbor(&plain)?)
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

    /// Says that the transport key of `endpoint` stands for the key `public` of another bunker: no key of the vault is the same,
    /// and none becomes the same for as long as the transport key is there. Called from the job that writes the record of that key.
    ///
    /// # Errors
    /// [`VaultError::KeyExists`] when the vault has the key; [`VaultError::NoSuchKey`] without that transport key.
    pub fn claim_public_key(
        tx: &mut Tx<'_, '_>,
        endpoint: EndpointId,
        public: &PublicKey,
    ) -> Result<(), VaultError> {
        let place = RecordId::from_bytes(*endpoint.as_bytes());
        let mut record = tx.get_any::<SecretRecord>(&place)?.ok_or(VaultError::NoSuchKey)?;
        record.public = Some(public.to_hex());
        tx.put_any(place, &record).map_err(taken_key)
    }

    /// Deletes the secret of a bunker endpoint, in the job that deletes the endpoint's own record.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn delete_transport_key(tx: &mut Tx<'_, '_>, endpoint: EndpointId) -> Result<(), VaultError> {
        tx.delete_any::<SecretRecord>(&RecordId::from_bytes(*endpoint.as_bytes())).map(|_| ())
    }
}

/// The unique name of a secret is the public key that it stands for.
fn taken_key(error: VaultError) -> VaultError {
    match error {
        VaultError::NameTaken(public) => VaultError::KeyExists(public),
        other => other,
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
