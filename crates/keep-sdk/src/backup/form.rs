//! Where every record of a backup belongs.

use keep_types::{Collection, Record as _};
use keep_vault::{Form, VaultError};

use crate::daemon::Choice;
use crate::remote::RemoteKey;

/// Where a record belongs that the vault itself does not read.
pub fn form(collection: Collection, cbor: &[u8]) -> Result<Option<Form>, VaultError> {
    Ok(match collection {
        Collection::Settings => Some(Form::at(&Choice::from_cbor(cbor)?, Choice::PLACE)),
        Collection::RemoteKeys => {
            let key = RemoteKey::from_cbor(cbor)?;
            Some(Form::at(&key, RemoteKey::place(key.id)).with_transport(key.client, None))
        }
        _ => keep_signer::form(collection, cbor)?,
    })
}
