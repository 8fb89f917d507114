//! The secrets of a group's members as an examination finds them, before it knows whose they are.

use keep_frost::ceremony::Ceremony;
use keep_frost::repair::Helper;
use keep_frost::{DeviceKey, Index, SecretShare};
use keep_types::{DisplayText, RecordId};
use zeroize::Zeroizing;

use super::keyring::{DEVICE, REFRESH, REPAIR, SHARE, repair_place, secret_place};
use super::{GroupRecord, Holding};
use crate::VaultError;

/// What a secret of a group turned out to be. Wiped on drop.
pub(crate) enum HeldSecret {
    /// A share, whose device key is one if it has any.
    Share(SecretShare),
    /// A device key of a member without share.
    Device,
    /// The state of a renewal that is under way, or was.
    Refresh,
    /// That of a member that helps with a repair.
    Repair,
    /// Nothing at all.
    Other,
}

/// A place where a group looks for a secret.
pub(crate) struct SecretPlace {
    pub at: RecordId,
    index: Index,
    what: What,
}

/// What is looked for there.
#[derive(Debug, Clone, Copy)]
enum What {
    Share,
    Device,
    Refresh,
    Repair,
}

impl GroupRecord {
    /// Where the shares are that this group says it has, and where device keys of its members and states of their ceremonies may
    /// be.
    pub(crate) fn secret_places(&self) -> impl Iterator<Item = SecretPlace> {
        let place = |what: What, index| {
            let name = match what {
                What::Share => SHARE,
                What::Device => DEVICE,
                What::Refresh => REFRESH,
                What::Repair => REPAIR,
            };
            SecretPlace { at: secret_place(self.id, name, index), index, what }
        };
        let shares = self.shares.iter().map(move |index| place(What::Share, *index));
        let others = [What::Device, What::Refresh, What::Repair];
        let others = self.group.indices().flat_map(move |index| others.map(move |what| place(what, index)));
        let repairs = self.shares.iter().flat_map(move |helper| {
            let at = move |lost| repair_place(self.id, *helper, lost);
            let place = move |lost| SecretPlace { at: at(lost), index: *helper, what: What::Repair };
            self.group.indices().map(place)
        });
        shares.chain(others).chain(repairs)
    }
}

impl HeldSecret {
    pub fn of(secret: &[u8]) -> Self {
        if let Ok(bytes) = <[u8; 32]>::try_from(secret) {
            let is_key = DeviceKey::from_bytes(&mut Zeroizing::new(bytes)).is_ok();
            return if is_key { Self::Device } else { Self::Other };
        }
        if let Ok(holding) = Holding::from_record(secret) {
            return Self::Share(holding.share);
        }
        if Ceremony::peek(secret).is_ok() {
            return Self::Refresh;
        }
        if Helper::peek(secret).is_ok() { Self::Repair } else { Self::Other }
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
        match (place.what, self) {
            (What::Share, Self::Share(share)) => {
                if share.index() == place.index && share.check(&group.group).is_ok() {
                    return Ok(());
                }
                bad("share", "is not the one that the group's public share follows from")
            }
            (What::Device, Self::Device) | (What::Refresh, Self::Refresh) | (What::Repair, Self::Repair) => {
                Ok(())
            }
            (What::Share, _) => bad("share", "is none"),
            (What::Device, _) => bad("device key", "is none"),
            (What::Refresh, _) => bad("renewal under way", "is none"),
            (What::Repair, _) => bad("help with a repair", "is none"),
        }
    }
}
