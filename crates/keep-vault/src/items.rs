//! Secrets beside the keys: passphrases, tokens, notes.

use keep_audit::{Action, Draft, Outcome};
use keep_types::{
    Collection, DisplayText, ErrorCode, Fault, KeyId, Name, Origin, Record, RecordId, SecretBytes,
    SecretText, Timestamp,
};
use minicbor::{Decode, Encode};

use crate::records::{SecretKind, SecretRecord, key_place};
use crate::{Vault, VaultError};

/// What is public about a stored secret.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SecretItem {
    /// Which one.
    #[n(0)]
    pub id: KeyId,
    /// Its name, unique among the stored secrets.
    #[n(1)]
    pub name: Name,
    /// What its owner noted about it. Not secret to whoever can list.
    #[n(2)]
    pub note: Option<String>,
    /// Since when it is in the vault.
    #[n(3)]
    pub created_at: Timestamp,
    /// When it was last replaced.
    #[n(4)]
    pub changed_at: Timestamp,
}

impl Record for SecretItem {
    const COLLECTION: Collection = Collection::Items;

    fn unique_name(&self) -> Option<&str> {
        Some(self.name.as_str())
    }
}

impl SecretItem {
    /// The longest secret, in bytes.
    pub const MAX_SECRET: usize = 64 << 10;
    /// The longest note, in characters.
    pub const MAX_NOTE: usize = 1000;
}

impl Vault {
    /// Stores a secret text under a name. Durable when this returns.
    ///
    /// # Errors
    /// [`VaultError::NameTaken`] unless `replace`; [`VaultError::TooLong`]; when the store cannot be written.
    pub fn store_secret(
        &self,
        name: Name,
        secret: &SecretText,
        note: Option<String>,
        replace: bool,
    ) -> Result<SecretItem, VaultError> {
        if secret.expose().len() > SecretItem::MAX_SECRET {
            return Err(VaultError::TooLong("a stored secret has at most 65536 bytes"));
        }
        check_note(note.as_deref())?;
        let fresh = KeyId::random()?;
        let secret = SecretBytes::new(secret.expose().as_bytes().to_vec());
        let (item, _) = self
            .submit(move |tx| {
                let now = tx.now();
                let known = tx.find::<SecretItem>(name.as_str())?.map(|(_, item)| item);
                let item = match known {
                    Some(_) if !replace => return Err(VaultError::NameTaken(name.to_string())),
                    Some(known) => SecretItem { note: note.or(known.note), changed_at: now, ..known },
                    None => SecretItem { id: fresh, name, note, created_at: now, changed_at: now },
                };
                tx.put(key_place(item.id), &item)?;
                let record = SecretRecord { kind: SecretKind::Stored, secret, public: None };
                tx.put_any(key_place(item.id), &record)?;
                tx.audit(draft(Action::SecretStored, &item));
                Ok(item)
            })
            .wait()?;
        Ok(item)
    }

    /// The stored secrets, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stored_secrets(&self) -> Result<Vec<SecretItem>, VaultError> {
        let mut items: Vec<SecretItem> =
            self.listing::<SecretItem>()?.iter().map(|(_, item)| item.clone()).collect();
        items.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(items)
    }

    /// The stored secret with this name.
    ///
    /// # Errors
    /// [`VaultError::NoSuchSecret`]; when the store cannot be read.
    pub fn stored_secret(&self, name: &str) -> Result<SecretItem, VaultError> {
        self.find_named::<SecretItem>(name)?.ok_or(VaultError::NoSuchSecret)
    }

    /// Removes a stored secret for good.
    ///
    /// # Errors
    /// [`VaultError::NoSuchSecret`]; when the store cannot be written.
    pub fn remove_secret(&self, id: KeyId) -> Result<(), VaultError> {
        self.submit(move |tx| {
            let item: SecretItem = tx.get(&key_place(id))?.ok_or(VaultError::NoSuchSecret)?;
            tx.delete::<SecretItem>(&key_place(id))?;
            tx.delete_any::<SecretRecord>(&key_place(id))?;
            tx.audit(draft(Action::SecretRemoved, &item));
            Ok(())
        })
        .wait()?;
        Ok(())
    }
}

/// Where the parts of a stored secret lie.
pub(crate) const fn item_place(id: KeyId) -> RecordId {
    key_place(id)
}

pub(crate) fn check_note(note: Option<&str>) -> Result<(), VaultError> {
    if note.is_some_and(|note| note.chars().count() > SecretItem::MAX_NOTE) {
        return Err(VaultError::TooLong("a note has at most 1000 characters"));
    }
    // What a terminal would obey, or what would deceive whoever reads it.
    if note.is_some_and(|note| DisplayText::new(note).as_str() != note) {
        let message = "a note is one line of text without control or invisible characters";
        return Err(Fault::new(ErrorCode::InvalidInput, message).into());
    }
    Ok(())
}

fn draft(action: Action, item: &SecretItem) -> Draft {
    Draft::new(action, Outcome::Allowed, &Origin::Cli).key(item.id).reason(item.name.as_str())
}
