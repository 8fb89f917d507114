//! The secrets of a group's members as an examination finds them, before it knows whose they are.

use keep_frost::{DeviceKey, Index, SecretShare};
use keep_types::{DisplayText, RecordId};
use zeroize::Zeroizing;

use super::keyring::{DEVICE, SHARE, secret_place};
use super::{GroupRecord, Holding};
use crate::VaultError;

/// What a secret of a group turned out to be. Wiped on drop.
pub(crate) enum HeldSecret {
    /// A share, whose device key is one if it has any.
    Share(SecretShare),
    /// A device key of a member without share.
    Device,
    /// Neither: the state of a ceremony, which is passed over by ceremonies that cannot read it, or nothing at all.
    Other,
}

/// A place where a group looks for a secret.
pub(crate) struct SecretPlace {
    pub at: RecordId,
    index: Index,
    is_share: bool,
}

impl GroupRecord {
    /// Where the shares are that this group says it has, and where device keys of its members may be.
    pub(crate) fn secret_places(&self) -> impl Iterator<Item = SecretPlace> {
        let place = |what: &[u8], index, is_share| {
            let at = secret_place(self.id, what, index);
            SecretPlace { at, index, is_share }
        };
        let shares = self.shares.iter().map(move |index| place(SHARE, *index, true));
        shares.chain(self.group.indices().map(move |index| place(DEVICE, index, false)))
    }
}

impl HeldSecret {
    pub fn of(secret: &[u8]) -> Self {
        if let Ok(bytes) = <[u8; 32]>::try_from(secret) {
            let is_key = DeviceKey::from_bytes(&mut Zeroizing::new(bytes)).is_ok();
            return if is_key { Self::Device } else { Self::Other };
        }
        Holding::from_record(secret).map_or(Self::Other, |holding| Self::Share(holding.share))
    }

    /// Whether it is what `group` looks for at `place`.
    ///
    /// # Errors
    /// [`VaultError::Record`] when it is something else, or somebody else's.
    pub fn check(&self, group: &GroupRecord, place: &SecretPlace) -> Result<(), VaultError> {
        let name = DisplayText::new(group.name.as_str());
        let bad = |what: &str, reason: &str| {
            let reason = format!("the {what} of member {} of \"{name}\" {reason}", place.index);
            Err(VaultError::Record { collection: "secrets", reason })
        };
        match (place.is_share, self) {
            (true, Self::Share(share)) => {
                if share.index() == place.index && share.check(&group.group).is_ok() {
                    return Ok(());
                }
                bad("share", "is not the one that the group's public share follows from")
            }
            (false, Self::Device) => Ok(()),
            (true, Self::Device | Self::Other) => bad("share", "is none"),
            (false, Self::Share(_) | Self::Other) => bad("device key", "is none"),
        }
    }
}
