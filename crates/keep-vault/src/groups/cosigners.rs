//! What the owner grants to co-signers in other vaults.

use keep_audit::Action;
use keep_frost::{DevicePublic, Index};
use keep_policy::{CosignerGrant, Proposed, Ungranted};
use keep_types::{KeyId, Timestamp, VaultId, counted};

use super::GroupRecord;
use super::change::entry;
use crate::{Tx, Vault, VaultError};

impl GroupRecord {
    /// Whether the member's grant covers what it proposes in `vault`, the one that is open.
    ///
    /// # Errors
    /// Why it does not.
    pub fn judge_cosigner(
        &self,
        member: u16,
        proposed: Proposed<'_>,
        vault: VaultId,
        now: Timestamp,
    ) -> Result<(), Ungranted> {
        let grant = self.grants.iter().find(|grant| grant.member == member);
        let device = self.device_of(member);
        let device = device.as_ref().map(DevicePublic::as_bytes);
        grant.ok_or(Ungranted::Nothing(member))?.judge(proposed, device, vault, now)
    }

    /// Whether the member has the device for which the grant was given, and `vault` is the one in which it was.
    pub fn is_alive(&self, grant: &CosignerGrant, vault: VaultId) -> bool {
        let device = self.device_of(grant.member);
        grant.holds_for(device.as_ref().map(DevicePublic::as_bytes), vault)
    }

    fn device_of(&self, member: u16) -> Option<DevicePublic> {
        Index::new(member.into()).and_then(|index| self.group.device(index)).ok()
    }

    /// Counts a use of the member's grant, in the job that permits it.
    ///
    /// # Errors
    /// When the record cannot be encoded.
    pub fn count_cosigner(mut self, tx: &mut Tx<'_, '_>, member: u16) -> Result<(), VaultError> {
        if let Some(grant) = self.grants.iter_mut().find(|grant| grant.member == member) {
            grant.count();
        }
        tx.put(Self::place(self.id), &self)
    }
}

impl Vault {
    /// Gives a member in another vault a grant, in the place of the one that it has.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn grant_cosigner(&self, id: KeyId, grant: CosignerGrant) -> Result<GroupRecord, VaultError> {
        let said = described(&grant);
        self.change_grants(id, said, move |grants| {
            grants.retain(|known| known.member != grant.member);
            grants.push(grant);
            grants.sort_by_key(|grant| grant.member);
        })
    }

    /// Takes a member's grant away.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn revoke_cosigner(&self, id: KeyId, member: u16) -> Result<GroupRecord, VaultError> {
        self.change_grants(id, format!("no grant for member {member} any more"), move |grants| {
            grants.retain(|known| known.member != member);
        })
    }

    fn change_grants(
        &self,
        id: KeyId,
        said: String,
        change: impl FnOnce(&mut Vec<CosignerGrant>) + Send + 'static,
    ) -> Result<GroupRecord, VaultError> {
        let (record, _) = self
            .submit(move |tx| {
                let place = GroupRecord::place(id);
                let mut record: GroupRecord = tx.get(&place)?.ok_or(VaultError::NoSuchKey)?;
                change(&mut record.grants);
                tx.put(place, &record)?;
                tx.audit(entry(Action::GroupChanged, &record, format!("{}: {said}", record.name)));
                Ok(record)
            })
            .wait()?;
        Ok(record)
    }
}

fn described(grant: &CosignerGrant) -> String {
    let mut what = Vec::new();
    match grant.events.as_deref() {
        Some([]) => what.push("events".to_owned()),
        Some(kinds) => {
            let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
            what.push(format!("events of kinds {}", kinds.join(", ")));
        }
        None => {}
    }
    if grant.raw {
        what.push("raw bytes".to_owned());
    }
    if grant.transactions {
        what.push("transactions within the limits".to_owned());
    }
    let until = grant.until.map_or_else(String::new, |until| format!(", until {until}"));
    let uses = grant.uses_left.map_or_else(String::new, |uses| format!(", {}", counted(uses, "time")));
    format!("grant for member {}: {}{until}{uses}", grant.member, what.join(", "))
}
