//! Threshold keys: what is public about them, and the only use of their shares.
//!
//! As with keys, a share is used only against a [`Permit`](keep_policy::Permit), and here always after its record is
//! durable: the nonces of a signature are burnt in the same commit. What needs no permit says nothing in anybody's name:
//! making nonces ahead of a session, and the device keys that authenticate messages between members.

mod ceremony;
mod change;
mod cosigners;
mod held_secret;
mod holding;
mod incoming;
mod keyring;
mod perform;
mod record;
mod repair;
mod sessions;
mod sorting;
mod spend;
mod under_way;

pub(crate) use held_secret::HeldSecret;
pub use holding::Holding;
pub use incoming::{Accept, IncomingShares, Proof};
pub use keyring::GroupSession;
pub use perform::{group_key_path, group_message};
pub use record::{BurnRecord, GroupRecord};
pub use sessions::MAX_SESSIONS;
pub(crate) use sessions::Sessions;
pub use sorting::Sorted;
pub use spend::{attach_group_signatures, group_account, group_spend_jobs};

use keep_frost::FrostError;
use keep_types::{ErrorCode, Fault, KeyId, Timestamp};

use crate::{Tx, VaultError};

/// Burns a nonce in the job that permits its use.
///
/// # Errors
/// [`FrostError::UnknownNonce`] when it was burnt before.
pub fn burn(tx: &mut Tx<'_, '_>, group: KeyId, nonce: &[u8; 32]) -> Result<(), VaultError> {
    let place = tx.locate::<BurnRecord>(nonce);
    if tx.get::<BurnRecord>(&place)?.is_some() {
        return Err(FrostError::UnknownNonce.into());
    }
    let at: Timestamp = tx.now();
    tx.put(place, &BurnRecord { group, nonce: *nonce, at })
}

/// A group that came here with a restored vault, and whose shares may have been renewed since.
fn unconfirmed(name: &str) -> VaultError {
    let message = format!(
        "the shares of \"{name}\" came from a backup; whether they are the present ones is not known"
    );
    Fault::new(ErrorCode::RefusedByPolicy, message)
        .with_hint("if the group was not refreshed since that backup, say so with `keep frost confirm`")
        .into()
}

/// What was read here is no longer what lies in the vault.
fn changed_meanwhile() -> VaultError {
    Fault::new(ErrorCode::StorageBusy, "the group was changed by another process meanwhile")
        .with_hint("try again")
        .into()
}
