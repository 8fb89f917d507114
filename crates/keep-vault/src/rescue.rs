//! Taking keys out of a vault that is too damaged to be opened.

use std::collections::{BTreeMap, BTreeSet};

use keep_audit::{Action, Batch};
use keep_store::{Found, Row, salvage};
use keep_types::{Collection, KeyId, Name, Record, SecretKey32, SecretText, Timestamp};

use crate::header::Header;
use crate::keyring::public_key;
use crate::records::{SecretKind, SecretRecord, key_place};
use crate::seal::open_row;
use crate::shield::{Shield, Shielded};
use crate::subkeys::{SUBKEYS_LEN, Subkeys};
use crate::vault::Identity;
use crate::{Environment, KeyRecord, KeySource, VaultError};

/// So many damaged headers are looked at.
const MAX_HEADERS: usize = 16;

/// The keys that could be read from the bytes of a damaged vault.
///
/// This is the one place where a secret is reached without a [`Permit`](keep_policy::Permit) and without a record: there is
/// nothing left in which the export could be recorded. It needs the passphrase, reads only, and gives keys to the owner
/// and to nobody else; it does not sign. What it shows is authentic, each by itself: whether something is missing, and
/// whether a key was deleted before the damage, is told only as far as the log can still be read.
pub struct Rescue {
    identity: Identity,
    shield: Shield,
    subkeys: Shielded<SUBKEYS_LEN>,
    keys: Vec<KeyRecord>,
    secrets: BTreeMap<[u8; 16], Row>,
}

impl std::fmt::Debug for Rescue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rescue").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// What was read, by key.
#[derive(Default)]
struct Read {
    keys: BTreeMap<[u8; 16], (Row, KeyRecord)>,
    secrets: BTreeMap<[u8; 16], Row>,
    deleted: BTreeSet<[u8; 16]>,
}

impl Rescue {
    /// Searches `files` (the database and its write-ahead log, as bytes) for the header and for keys.
    ///
    /// # Errors
    /// [`VaultError::Header`] when no header can be read; [`VaultError::WrongPassphrase`].
    pub fn open(
        files: &[Vec<u8>],
        passphrase: &SecretText,
        environment: &Environment,
    ) -> Result<Self, VaultError> {
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        for file in files {
            salvage(file, &mut |found| match found {
                Found::Row(row) => rows.push(row),
                Found::Value(value) => values.push(value),
            });
        }
        let mut outcome = Err(VaultError::Header("nothing is left of it".into()));
        for header in headers(files, &values) {
            let derived = header.kdf.derive(passphrase, environment.weak_kdf)?;
            match header.unwrap_key(&derived.keks()) {
                Ok((data_key, _)) => return Self::read(&header, &data_key, &rows),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    fn read(header: &Header, data_key: &SecretKey32, rows: &[Row]) -> Result<Self, VaultError> {
        let identity = Identity { vault: header.vault, epoch: header.epoch };
        let subkeys = Subkeys::derive(data_key, identity.vault, identity.epoch);
        let mut read = Read::default();
        for row in rows {
            read.take(&subkeys, identity, row);
        }
        let shield = Shield::new()?;
        let sealed = shield.seal(subkeys.as_bytes())?;
        let mut rescue = Self { identity, shield, subkeys: sealed, keys: Vec::new(), secrets: read.secrets };
        for id in rescue.secrets.keys().filter(|id| !read.keys.contains_key(*id)) {
            let nameless = rescue.nameless(KeyId::from_bytes(*id))?;
            rescue.keys.push(nameless);
        }
        rescue.keys.extend(read.keys.into_values().map(|(_, key)| key));
        rescue.keys.retain(|key| !read.deleted.contains(key.id.as_bytes()));
        rescue.keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rescue)
    }

    /// Every key that can be read, by name. One of which only the secret is left is named after its id.
    pub fn keys(&self) -> &[KeyRecord] {
        &self.keys
    }

    /// The secret of a key. The export is not recorded.
    ///
    /// # Errors
    /// [`VaultError::NoSuchKey`]; [`VaultError::Record`] when the secret is lost.
    pub fn export(&self, id: KeyId) -> Result<SecretKey32, VaultError> {
        let key = self.keys.iter().find(|key| key.id == id).ok_or(VaultError::NoSuchKey)?;
        let secret = self.secret(id)?;
        if public_key(&secret)?.to_bytes() != key.public_key {
            return Err(VaultError::SecretMismatch);
        }
        Ok(secret)
    }

    fn secret(&self, id: KeyId) -> Result<SecretKey32, VaultError> {
        let lost = || VaultError::Record { collection: "secrets", reason: "it is lost or damaged".into() };
        let row = self.secrets.get(id.as_bytes()).ok_or_else(lost)?;
        let subkeys = Subkeys::from_bytes(self.shield.open(&self.subkeys)?);
        let plain = open_row(&subkeys, self.identity.vault, self.identity.epoch, row).map_err(|_| lost())?;
        SecretRecord::from_cbor(&plain)?.key32()
    }

    fn nameless(&self, id: KeyId) -> Result<KeyRecord, VaultError> {
        let text: String = id.to_string().chars().take(16).collect();
        Ok(KeyRecord {
            id,
            name: Name::new(&format!("nameless {text}"))
                .map_err(|e| VaultError::System(format!("no name for a rescued key: {e}")))?,
            public_key: public_key(&self.secret(id)?)?.to_bytes(),
            created_at: Timestamp::ZERO,
            source: KeySource::Imported,
            note: None,
            derivation: None,
        })
    }
}

impl Read {
    /// Keeps a row that opens; of several versions the latest.
    fn take(&mut self, subkeys: &Subkeys, identity: Identity, row: &Row) {
        let Ok(plain) = open_row(subkeys, identity.vault, identity.epoch, row) else { return };
        let id = *row.id.as_bytes();
        match Collection::from_number(row.collection) {
            Some(Collection::Keys) => {
                let Ok(key) = KeyRecord::from_cbor(&plain) else { return };
                let newer = self.keys.get(&id).is_none_or(|(known, _)| known.revision < row.revision);
                if newer && key_place(key.id) == row.id {
                    self.keys.insert(id, (row.clone(), key));
                }
            }
            Some(Collection::Secrets) => {
                let identity =
                    SecretRecord::from_cbor(&plain).is_ok_and(|record| record.kind == SecretKind::Identity);
                if identity && self.secrets.get(&id).is_none_or(|known| known.revision < row.revision) {
                    self.secrets.insert(id, row.clone());
                }
            }
            Some(Collection::Audit) => {
                let Ok(batch) = Batch::from_cbor(&plain) else { return };
                let deleted = batch.entries().iter().filter(|entry| entry.action == Action::KeyDeleted);
                self.deleted.extend(deleted.filter_map(|entry| entry.key).map(|key| *key.as_bytes()));
            }
            Some(
                Collection::Grants
                | Collection::Usage
                | Collection::Requests
                | Collection::Endpoints
                | Collection::Wallets
                | Collection::Items
                | Collection::Sessions
                | Collection::Groups
                | Collection::Burns
                | Collection::Unanswered
                | Collection::Bundles
                | Collection::Policies
                | Collection::RemoteKeys
                | Collection::Settings
                | Collection::Checkpoints,
            )
            | None => {}
        }
    }
}

/// The headers that can be read, whole ones first; otherwise those in which one byte is wrong.
fn headers(files: &[Vec<u8>], values: &[Vec<u8>]) -> Vec<Header> {
    let mut headers: Vec<Header> = files.iter().flat_map(|file| Header::search(file)).collect();
    if headers.is_empty() {
        headers = values.iter().take(MAX_HEADERS).filter_map(|value| Header::repair(value)).collect();
    }
    let mut distinct: Vec<Header> = Vec::new();
    for header in headers {
        if distinct.len() < MAX_HEADERS && !distinct.contains(&header) {
            distinct.push(header);
        }
    }
    distinct
}
