//! The groups of a vault: made, brought in, changed, deleted.

use std::collections::{BTreeMap, BTreeSet};

use keep_audit::{Action, Draft, Outcome};
use keep_frost::wire::{Envelope, Kind};
use keep_frost::{
    DeviceKey, DevicePublic, FrostError, Group, Index, SecretShare, SessionId, SharingId, Status, Suite,
    dealer,
};
use keep_types::{ErrorCode, Fault, KeyId, Name, Origin, SecretBytes};
use rand_core::OsRng;

use super::keyring::{DEVICE, REFRESH, REPAIR, SHARE, repair_place, secret_place};
use super::under_way::{expect_none_certified, give_up, make_way};
use super::{GroupRecord, Holding, IncomingShares};
use crate::keyring::check_name;
use crate::records::{SecretKind, SecretRecord};
use crate::{Spending, Tx, Vault, VaultError, WalletRow};

/// Writes a member's share and device key.
pub(super) fn put_holding(
    tx: &mut Tx<'_, '_>,
    id: KeyId,
    index: Index,
    secret: SecretBytes,
) -> Result<(), VaultError> {
    let place = secret_place(id, SHARE, index);
    tx.put_any(place, &SecretRecord { kind: SecretKind::Share, secret, public: None })
}

/// Removes everything secret about a member of a group.
pub(super) fn forget_member(
    tx: &mut Tx<'_, '_>,
    id: KeyId,
    group: &Group,
    index: Index,
) -> Result<(), VaultError> {
    let places = [SHARE, DEVICE, REFRESH, REPAIR].map(|what| secret_place(id, what, index));
    let repairs = group.indices().map(|lost| repair_place(id, index, lost));
    for place in places.into_iter().chain(repairs) {
        tx.delete_any::<SecretRecord>(&place)?;
    }
    Ok(())
}

pub(super) fn entry(action: Action, record: &GroupRecord, reason: String) -> Draft {
    Draft::new(action, Outcome::Allowed, &Origin::Cli).key(record.id).reason(reason)
}

/// What may be spent does not become more by a split.
fn inherit_limits(tx: &mut Tx<'_, '_>, key: KeyId, group: KeyId) -> Result<(), VaultError> {
    let place = |tx: &mut Tx<'_, '_>, id| tx.locate::<WalletRow>(&WalletRow::spending_key(id));
    let at = place(tx, key);
    if let Some(WalletRow::Spending(spending)) = tx.get::<WalletRow>(&at)? {
        let at = place(tx, group);
        tx.put(at, &WalletRow::Spending(Spending { key: group, ..spending }))?;
    }
    Ok(())
}

fn exists(record: &GroupRecord) -> VaultError {
    Fault::new(
        ErrorCode::AlreadyExists,
        format!("this group is already in the vault, as \"{}\"", record.name),
    )
    .with_hint("see it with `keep frost show`")
    .into()
}

impl Vault {
    /// Makes a fresh key and shares it out; all shares are in this vault then. Durable when this returns.
    ///
    /// # Errors
    /// [`FrostError::Threshold`]; [`VaultError::NameTaken`], [`VaultError::NameReadsAsKey`]; when the store cannot be
    /// written.
    pub fn deal_group(
        &self,
        name: Name,
        suite: Suite,
        threshold: u16,
        members: u16,
    ) -> Result<GroupRecord, VaultError> {
        let dealt = dealer::generate(suite, threshold, members, &mut OsRng)?;
        self.add_dealt(name, dealt, None)
    }

    /// `of`: the key that was split. Its limits on spending, with what was spent, are those of the group.
    pub(super) fn add_dealt(
        &self,
        name: Name,
        dealt: dealer::Dealt,
        of: Option<KeyId>,
    ) -> Result<GroupRecord, VaultError> {
        let dealer::Dealt { group, shares, devices } = dealt;
        let pairs = shares.into_iter().zip(devices);
        let holdings = pairs.map(|(share, device)| Holding { share, device: Some(device) }).collect();
        self.add(name, IncomingShares { group, endorsement: None, holdings }, of)
    }

    /// Brings a group in that is not here yet, with some of its shares. Durable when this returns.
    ///
    /// # Errors
    /// Those of [`Group::check`] and [`SecretShare::check`]; [`VaultError::NameTaken`], [`VaultError::NameReadsAsKey`]; when
    /// the group is here already, or the store cannot be written.
    pub fn add_group(&self, name: Name, incoming: IncomingShares) -> Result<GroupRecord, VaultError> {
        self.add(name, incoming, None)
    }

    fn add(
        &self,
        name: Name,
        incoming: IncomingShares,
        of: Option<KeyId>,
    ) -> Result<GroupRecord, VaultError> {
        let IncomingShares { group, endorsement, holdings } = incoming;
        check_name(&name)?;
        group.check()?;
        endorsement.as_ref().map_or(Ok(()), |word| word.check(&group))?;
        if let Some(known) = self.groups()?.into_iter().find(|known| known.group.id() == group.id()) {
            return Err(exists(&known));
        }
        let (indices, secrets) = checked(&group, &holdings)?;
        let vault = self.id();
        let (record, _) = self
            .submit(move |tx| {
                let place = tx.locate::<GroupRecord>(group.id().as_bytes());
                if let Some(record) = tx.get::<GroupRecord>(&place)? {
                    return Err(exists(&record));
                }
                let id = KeyId::from_bytes(*place.as_bytes());
                for (index, secret) in indices.iter().zip(secrets) {
                    put_holding(tx, id, *index, secret)?;
                }
                let record = GroupRecord {
                    id,
                    name,
                    group,
                    shares: indices,
                    created_at: tx.now(),
                    confirmed_in: vault,
                    last_refresh: None,
                    endorsement,
                    grants: Vec::new(),
                    given_up: Vec::new(),
                };
                tx.put(place, &record)?;
                if let Some(key) = of {
                    inherit_limits(tx, key, id)?;
                }
                tx.audit(entry(Action::GroupCreated, &record, described(&record)));
                Ok(record)
            })
            .wait()?;
        Ok(record)
    }

    /// Deletes a share for good. What is public about the group stays, and with it the epoch that older shares are
    /// refused by. With `abandon` also while a renewal is under way that was certified here: what the member has of it goes
    /// with the share.
    ///
    /// # Errors
    /// [`FrostError::NotHere`]; while a member here has certified a renewal that is not done; when the store cannot be
    /// written.
    pub fn delete_share(&self, id: KeyId, index: Index, abandon: bool) -> Result<GroupRecord, VaultError> {
        let (record, _) = self
            .submit(move |tx| {
                let place = GroupRecord::place(id);
                let mut record: GroupRecord = tx.get(&place)?.ok_or(VaultError::NoSuchKey)?;
                record.expect_share(index)?;
                if !abandon {
                    expect_none_certified(tx, &record)?;
                }
                // The same share may come back.
                give_up(tx, &mut record, |begun| begun.index == index)?;
                forget_member(tx, id, &record.group, index)?;
                record.shares.retain(|held| *held != index);
                tx.put(place, &record)?;
                tx.audit(entry(Action::ShareDeleted, &record, format!("{}: member {index}", record.name)));
                Ok(record)
            })
            .wait()?;
        self.secrets.sessions.forget(id);
        Ok(record)
    }

    /// Says that the group's epoch is the present one, after a restore. The owner's word.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn confirm_group(&self, id: KeyId) -> Result<GroupRecord, VaultError> {
        let vault = self.id();
        let (record, _) = self
            .submit(move |tx| {
                let place = GroupRecord::place(id);
                let mut record: GroupRecord = tx.get(&place)?.ok_or(VaultError::NoSuchKey)?;
                record.confirmed_in = vault;
                tx.put(place, &record)?;
                let reason = format!("{}: epoch {} confirmed", record.name, record.group.epoch());
                tx.audit(entry(Action::GroupChanged, &record, reason));
                Ok(record)
            })
            .wait()?;
        Ok(record)
    }

    /// Gives a member whose share is here a new device key. If it had one, the message with which the others take the new
    /// one is given back, signed with the old one. With `abandon` also in the middle of renewals among vaults, which are given
    /// up here: with another device key they could not be gone on with.
    ///
    /// # Errors
    /// [`FrostError::NotHere`]; while a member here has begun a renewal with the device key that this one has now, and that
    /// is not done; when the store cannot be written.
    pub fn rotate_device(
        &self,
        id: KeyId,
        index: Index,
        abandon: bool,
    ) -> Result<(DevicePublic, Option<Envelope>), VaultError> {
        let record = self.group(id)?;
        let Holding { share, device: old } = self.holding(&record, index)?;
        let device = DeviceKey::generate(&mut OsRng)?;
        let public = device.public();
        let notice = match old {
            Some(old) => {
                let session = device_session(&record.group);
                Some(Envelope::sign(Kind::Device, session, index, &old, &public)?)
            }
            None => None,
        };
        let secret = Holding { share, device: Some(device) }.to_record()?;
        let own = OwnDevice { index, secret, sharing: record.group.sharing() };
        self.change_devices(id, BTreeMap::from([(index, public)]), Some(own), abandon)?;
        Ok((public, notice))
    }

    /// Takes device keys of members on the owner's word. With `abandon` also in the middle of renewals among vaults, which are
    /// given up here: with other device keys they could not be gone on with.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`]; while a member here has begun a renewal with the device keys of before, and that is not
    /// done; when the store cannot be written.
    pub fn trust_devices(
        &self,
        id: KeyId,
        devices: BTreeMap<Index, DevicePublic>,
        abandon: bool,
    ) -> Result<GroupRecord, VaultError> {
        self.change_devices(id, devices, None, abandon)
    }

    fn change_devices(
        &self,
        id: KeyId,
        devices: BTreeMap<Index, DevicePublic>,
        own: Option<OwnDevice>,
        abandon: bool,
    ) -> Result<GroupRecord, VaultError> {
        let (record, _) = self
            .submit(move |tx| {
                let place = GroupRecord::place(id);
                let mut record: GroupRecord = tx.get(&place)?.ok_or(VaultError::NoSuchKey)?;
                if let Some(here) = devices.keys().find(|index| {
                    record.shares.contains(index) && own.as_ref().is_none_or(|own| own.index != **index)
                }) {
                    let message =
                        format!("the share of member {here} is in this vault; its device key is known");
                    return Err(Fault::new(ErrorCode::InvalidInput, message).into());
                }
                let named: Vec<Index> = devices.keys().copied().collect();
                let roster = record.group.clone().with_devices(&devices)?;
                make_way(tx, &mut record, &roster, abandon)?;
                record.group = roster;
                if let Some(own) = own {
                    // With the device key the share is written again: it must still be the share.
                    if record.group.sharing() != own.sharing {
                        return Err(FrostError::WrongSharing.into());
                    }
                    record.expect_share(own.index)?;
                    put_holding(tx, id, own.index, own.secret)?;
                }
                tx.put(place, &record)?;
                let reason = format!("{}: device keys of members {}", record.name, list(&named));
                tx.audit(entry(Action::GroupChanged, &record, reason));
                Ok(record)
            })
            .wait()?;
        Ok(record)
    }
}

/// A new device key of a member in this vault, with the share that lies in the same record, and of which sharing that is.
struct OwnDevice {
    index: Index,
    secret: SecretBytes,
    sharing: SharingId,
}

impl GroupRecord {
    /// The new device key of another member, in the message that its old one signed.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`]; [`FrostError::NotAuthentic`]; [`FrostError::WrongSession`] for a message of another sharing
    /// of the key.
    pub fn noticed_device(&self, notice: &Envelope) -> Result<DevicePublic, FrostError> {
        let old = self.group.device(notice.from())?;
        notice.read(Kind::Device, device_session(&self.group), &old)
    }
}

/// What signs for a change of device keys is bound to this very sharing.
fn device_session(group: &Group) -> SessionId {
    SessionId::from_bytes(*group.sharing().as_bytes())
}

/// The shares that fit the group, each once, as they are written.
pub(super) fn checked(
    group: &Group,
    holdings: &[Holding],
) -> Result<(Vec<Index>, Vec<SecretBytes>), VaultError> {
    let (mut indices, mut secrets) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for Holding { share, .. } in holdings {
        SecretShare::check(share, group)?;
        if !seen.insert(share.index()) {
            return Err(FrostError::Duplicate(share.index()).into());
        }
    }
    let mut sorted: Vec<&Holding> = holdings.iter().collect();
    sorted.sort_by_key(|holding| holding.share.index());
    for holding in sorted {
        indices.push(holding.share.index());
        secrets.push(holding.to_record()?);
    }
    Ok((indices, secrets))
}

fn described(record: &GroupRecord) -> String {
    let group = &record.group;
    let status = match group.status() {
        Status::Active => "",
        Status::MustReshare => ", must be re-shared",
    };
    format!(
        "{}: {} of {}, {}, shares of members {} here{status}",
        record.name,
        group.threshold(),
        group.members().len(),
        group.suite(),
        list(&record.shares),
    )
}

/// Members, for a person.
pub(super) fn list(indices: &[Index]) -> String {
    if indices.is_empty() {
        return "none".to_owned();
    }
    indices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
