//! Counters of what is done with a key by those who have no grant of their own. Where there are none, there may have been some.

use keep_policy::Usage;
use keep_types::{Collection, KeyId, Record, RecordId, Timestamp};
use keep_vault::{GroupRecord, KeyRecord, Tx, VaultError};
use minicbor::{Decode, Encode};

/// What identifies the counters that stand for all that a later state of the vault had, or that damage took away. Their rates
/// are spent, and their time is when that was accepted.
pub(crate) const LOST: &[u8] = b"lost";

/// A key that another bunker holds: all of its record that counts here.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Elsewhere {
    #[n(6)]
    created_at: Timestamp,
}

impl Record for Elsewhere {
    const COLLECTION: Collection = Collection::RemoteKeys;
}

/// The counters under `natural`, of uses of `key`, and where they lie. Where there are none, their rates are spent if they may have
/// been lost.
pub(crate) fn of_key(
    tx: &mut Tx<'_, '_>,
    natural: &[u8],
    key: KeyId,
) -> Result<(RecordId, Usage), VaultError> {
    let place = tx.locate::<Usage>(natural);
    let usage = match tx.get::<Usage>(&place)? {
        Some(usage) => usage,
        None => lost(tx, key)?.unwrap_or_default(),
    };
    Ok((place, usage))
}

/// When counters of uses of `key` may have been lost, if they may.
pub(crate) fn lost_at(tx: &mut Tx<'_, '_>, key: KeyId) -> Result<Option<Timestamp>, VaultError> {
    Ok(lost(tx, key)?.map(|lost| lost.last))
}

/// The counters that stand for lost ones. Of a key that came later nothing was lost; a group that a key was split into is that
/// key, whenever that was.
fn lost(tx: &mut Tx<'_, '_>, key: KeyId) -> Result<Option<Usage>, VaultError> {
    let place = tx.locate::<Usage>(LOST);
    let Some(lost) = tx.get::<Usage>(&place)? else { return Ok(None) };
    let came = created_at(tx, key)?;
    Ok(Some(lost).filter(|lost| came.is_none_or(|came| came <= lost.last)))
}

fn created_at(tx: &mut Tx<'_, '_>, key: KeyId) -> Result<Option<Timestamp>, VaultError> {
    let place = RecordId::from_bytes(*key.as_bytes());
    if let Some(key) = tx.get_shared::<KeyRecord>(&place)? {
        return Ok(Some(key.created_at));
    }
    if let Some(key) = tx.get::<Elsewhere>(&place)? {
        return Ok(Some(key.created_at));
    }
    let group = tx.get::<GroupRecord>(&GroupRecord::place(key))?;
    let group = group.filter(|group| !group.was_split());
    Ok(group.map(|group| group.created_at))
}
