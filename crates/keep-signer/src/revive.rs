//! What becomes of the records of clients and agents when a vault is made from a backup.

use keep_policy::{Grant, Session, Usage};
use keep_types::{Collection, Record, Timestamp};
use keep_vault::VaultError;
use zeroize::Zeroizing;

use crate::{Endpoint, RequestRow, RequestState};

/// A record as it comes back from a backup: connect secrets are used up, rates of the current minute, hour and day are
/// spent, requests that waited are over; and unless the old device is gone, clients, endpoints and agents' sessions are
/// suspended until the owner lets them go on. `None` leaves a record as it is.
///
/// # Errors
/// When a record does not have the form of its collection.
pub fn revive(
    collection: Collection,
    cbor: &[u8],
    now: Timestamp,
    take_over: bool,
) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    match collection {
        Collection::Grants if !take_over => {
            let mut grant = Grant::from_cbor(cbor)?;
            grant.suspended = true;
            Ok(Some(grant.to_cbor()?))
        }
        Collection::Endpoints => {
            let mut endpoint = Endpoint::from_cbor(cbor)?;
            endpoint.burn();
            endpoint.stopped |= !take_over;
            Ok(Some(endpoint.to_cbor()?))
        }
        Collection::Usage => {
            let mut usage = Usage::from_cbor(cbor)?;
            usage.exhaust(now);
            Ok(Some(usage.to_cbor()?))
        }
        Collection::Requests => {
            let mut row = RequestRow::from_cbor(cbor)?;
            if matches!(row.state, RequestState::Asking | RequestState::Granted) {
                row.state = RequestState::Done;
            }
            row.received = Vec::new();
            Ok(Some(row.to_cbor()?))
        }
        Collection::Sessions if !take_over => {
            let mut session = Session::from_cbor(cbor)?;
            session.suspended = true;
            Ok(Some(session.to_cbor()?))
        }
        _ => Ok(None),
    }
}
