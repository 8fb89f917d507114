//! Keys and stored secrets of which something else than Keep left a half.

use std::collections::{BTreeMap, BTreeSet};

use keep_store::Row;
use keep_types::{Collection, DisplayText, KeyId, Name, Record, RecordId, Timestamp};

use crate::batch::Change;
use crate::batch::Changes;
use crate::keyring::public_key;
use crate::records::{SecretKind, SecretRecord};
use crate::seal::open_row;
use crate::subkeys::Subkeys;
use crate::tx::name_index;
use crate::vault::Identity;
use crate::{KeyRecord, KeySource, SecretItem, VaultError};

/// Which halves are there, by the place that both have.
#[derive(Default)]
pub(crate) struct Halves {
    keys: BTreeMap<RecordId, Name>,
    items: BTreeMap<RecordId, Name>,
    /// Secrets of keys, with the public keys that follow from them.
    identities: BTreeMap<RecordId, [u8; 32]>,
    stored: BTreeSet<RecordId>,
}

impl Halves {
    pub fn of(rows: &[Row], keys: &Subkeys, identity: Identity) -> Self {
        let mut halves = Self::default();
        for row in rows {
            let collection = Collection::from_number(row.collection);
            if !matches!(collection, Some(Collection::Keys | Collection::Secrets | Collection::Items)) {
                continue;
            }
            let Ok(plain) = open_row(keys, identity.vault, identity.epoch, row) else { continue };
            match collection {
                Some(Collection::Keys) => {
                    halves.keys.extend(KeyRecord::from_cbor(&plain).ok().map(|key| (row.id, key.name)));
                }
                Some(Collection::Items) => {
                    halves.items.extend(SecretItem::from_cbor(&plain).ok().map(|item| (row.id, item.name)));
                }
                _ => halves.note_secret(row.id, SecretRecord::from_cbor(&plain).ok()),
            }
        }
        halves
    }

    fn note_secret(&mut self, place: RecordId, secret: Option<SecretRecord>) {
        match secret {
            Some(secret) if secret.kind == SecretKind::Identity => {
                let public = secret.key32().and_then(|key| public_key(&key));
                self.identities.extend(public.ok().map(|public| (place, public.to_bytes())));
            }
            Some(secret) if secret.kind == SecretKind::Stored => {
                self.stored.insert(place);
            }
            Some(_) | None => {}
        }
    }

    /// Whether the record in this row speaks of a secret that is gone.
    pub fn is_hollow(&self, row: &Row) -> bool {
        match Collection::from_number(row.collection) {
            Some(Collection::Keys) => !self.identities.contains_key(&row.id),
            Some(Collection::Items) => !self.stored.contains(&row.id),
            _ => false,
        }
    }

    /// What is lost by that, one sentence each.
    pub fn losses(&self) -> Vec<String> {
        let gone = |what: &str, name: &Name| {
            format!("the secret of the {what} \"{}\" is missing", DisplayText::new(name.as_str()))
        };
        let keys = self.keys.iter().filter(|(place, _)| !self.identities.contains_key(*place));
        let items = self.items.iter().filter(|(place, _)| !self.stored.contains(*place));
        keys.map(|(_, name)| gone("key", name))
            .chain(items.map(|(_, name)| gone("stored secret", name)))
            .collect()
    }

    /// Gives secrets that lost their names other ones, so that they can be used and exported.
    pub fn name_again(
        &self,
        keys: &Subkeys,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Result<(), VaultError> {
        for (place, public) in self.identities.iter().filter(|(place, _)| !self.keys.contains_key(*place)) {
            let record = KeyRecord {
                id: KeyId::from_bytes(*place.as_bytes()),
                name: found_again(place)?,
                public_key: *public,
                created_at: now,
                source: KeySource::Imported,
                note: None,
                derivation: None,
            };
            put(keys, *place, &record, changes)?;
        }
        for place in self.stored.iter().filter(|place| !self.items.contains_key(*place)) {
            let (id, name) = (KeyId::from_bytes(*place.as_bytes()), found_again(place)?);
            let item = SecretItem { id, name, note: None, created_at: now, changed_at: now };
            put(keys, *place, &item, changes)?;
        }
        Ok(())
    }
}

/// A name that nothing else has: the place's own.
fn found_again(place: &RecordId) -> Result<Name, VaultError> {
    Name::new(&format!("recovered {place}")).map_err(|error| VaultError::System(error.to_string()))
}

fn put<R: Record>(
    keys: &Subkeys,
    place: RecordId,
    record: &R,
    changes: &mut Changes,
) -> Result<(), VaultError> {
    let name = record.unique_name().map(|name| name_index::<R>(keys, name));
    let change = Change::Put { plain: record.to_cbor()?, name };
    changes.records.insert((R::COLLECTION.number(), place), change);
    Ok(())
}
