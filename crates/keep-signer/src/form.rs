//! Where the records of clients and agents lie, by what they say themselves.

use keep_policy::{Grant, Policy, Session, Usage};
use keep_types::{Collection, Record};
use keep_vault::{Form, VaultError};

use crate::policies::person_key;
use crate::{Endpoint, PolicyRow, RequestRow, sessions};

/// Where a record belongs, for those who were given it and not found it. `None` for a collection whose records are not read here.
///
/// # Errors
/// When a record does not have the form of its collection.
pub fn form(collection: Collection, cbor: &[u8]) -> Result<Option<Form>, VaultError> {
    Ok(Some(match collection {
        Collection::Grants => {
            let grant = Grant::from_cbor(cbor)?;
            Form::by(&grant, &Grant::natural_key(&grant.client_key(), grant.endpoint))
        }
        // Counters are found by those whom they count.
        Collection::Usage => Form::anywhere(&Usage::from_cbor(cbor)?),
        Collection::Requests => {
            let row = RequestRow::from_cbor(cbor)?;
            Form::by(&row, row.id.as_bytes())
        }
        Collection::Endpoints => {
            let endpoint = Endpoint::from_cbor(cbor)?;
            let form = Form::at(&endpoint, Endpoint::place(endpoint.id));
            form.with_transport(endpoint.id, Some(endpoint.transport))
        }
        Collection::Policies => {
            let row = PolicyRow::from_cbor(cbor)?;
            let natural = match &row {
                PolicyRow::Policy(policy, _) => Policy::natural_key(&policy.name),
                PolicyRow::Person(person) => person_key(&person.name),
            };
            Form::by(&row, &natural)
        }
        Collection::Sessions => {
            let session = Session::from_cbor(cbor)?;
            Form::at(&session, sessions::place(session.id))
        }
        _ => return Ok(None),
    }))
}
