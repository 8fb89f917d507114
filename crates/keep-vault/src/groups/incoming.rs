//! Shares of a group that is here already: what may take the place of what.
//!
//! Two things must not be taken on the word of whoever made a share. That a later epoch is the group's: public shares that
//! fit a public key, and t−1 secret ones, can be made up by anybody, and the shares that are here are deleted for them. And
//! which device keys the other members have: whoever plants one speaks for that member, and is helped with a repair.

use std::collections::BTreeMap;

use keep_audit::Action;
use keep_frost::{DevicePublic, Endorsement, FrostError, Group, Index, Status};
use keep_types::{ErrorCode, Fault, KeyId};

use super::change::{checked, entry, forget_member, list, put_holding};
use super::under_way::{RightOfWay, make_way};
use super::{GroupRecord, Holding, changed_meanwhile};
use crate::{Vault, VaultError};

/// What comes in.
#[derive(Debug)]
pub struct IncomingShares {
    /// The group as whoever made the shares describes it.
    pub group: Group,
    /// Its own word for this sharing.
    pub endorsement: Option<Endorsement>,
    /// The shares.
    pub holdings: Vec<Holding>,
}

/// What the owner allows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accept {
    /// Shares of a later epoch may take the place of those that are here.
    pub replace: bool,
    /// Even if nothing proves that they are the group's.
    pub unproved: bool,
    /// Device keys that are not known here are taken on the word of whoever made the shares.
    pub roster: bool,
    /// Renewals that are under way here are given up: those that shares of a later epoch are not the end of, and those that
    /// could not be gone on with because of a device key that comes with a share.
    pub abandon: bool,
}

/// What shows that shares of a later epoch are the group's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// There are enough of them to sign.
    Threshold,
    /// The group itself signed for them.
    Endorsed,
    /// The owner's word.
    Owner,
}

impl Proof {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Endorsed => "endorsed",
            Self::Owner => "owner",
        }
    }
}

impl Vault {
    /// Brings shares in of a group that is here. Shares of an earlier epoch are refused. Those of a later one replace the
    /// group's record and make the shares that are here useless: only with `accept.replace`, and only when it is proved that
    /// they are the group's, or the owner vouches for them. Gives the proof, if there was a later epoch.
    ///
    /// # Errors
    /// [`FrostError::WrongEpoch`], [`FrostError::WrongSharing`], [`FrostError::Unproved`], [`FrostError::NotEndorsed`],
    /// [`FrostError::StrangeDevices`], [`FrostError::Changed`], and those of [`add_group`](Self::add_group); while a member
    /// here has certified another renewal that is not done, or has begun one that a device key that comes along does not fit.
    pub fn add_shares(
        &self,
        id: KeyId,
        incoming: IncomingShares,
        accept: Accept,
    ) -> Result<(GroupRecord, Option<Proof>), VaultError> {
        let before = self.group(id)?;
        let mut incoming = incoming;
        incoming.group.check()?;
        checked(&incoming.group, &incoming.holdings)?;
        incoming.endorsement.as_ref().map_or(Ok(()), |word| word.check(&incoming.group))?;
        let proof = judge(&before.group, &incoming, accept)?;
        if proof.is_some() && incoming.holdings.is_empty() && !before.shares.is_empty() {
            return Err(no_share_for_a_share());
        }
        if proof.is_none() {
            // A share that is here stays as it is, with the device key that it has now.
            let here = |holding: &Holding| {
                let index = holding.share.index();
                let has_device = before.group.device(index).is_ok() || holding.device.is_none();
                before.shares.contains(&index) && has_device
            };
            incoming.holdings.retain(|holding| !here(holding));
        } else {
            self.keep_devices(&before, &mut incoming.holdings);
        }
        let group = merged(&before.group, &incoming, accept)?;
        let (indices, secrets) = checked(&group, &incoming.holdings)?;
        let way = RightOfWay {
            of: if proof.is_some() { self.ending_with(&before, &group)? } else { Vec::new() },
            abandon: accept.abandon,
            ..RightOfWay::default()
        };
        let (vault, endorsement) = (self.id(), incoming.endorsement.take());
        drop(incoming);
        let (record, _) = self
            .submit(move |tx| {
                let place = GroupRecord::place(id);
                let mut record: GroupRecord = tx.get(&place)?.ok_or(VaultError::NoSuchKey)?;
                if record != before {
                    return Err(changed_meanwhile());
                }
                match proof {
                    Some(_) => way.take(tx, &mut record)?,
                    None => make_way(tx, &mut record, &group, accept.abandon)?,
                }
                let known = std::mem::replace(&mut record.group, group);
                if proof.is_some() || record.endorsement.is_none() {
                    record.endorsement = endorsement;
                }
                if proof.is_some() {
                    for index in std::mem::take(&mut record.shares) {
                        forget_member(tx, id, &known, index)?;
                    }
                    record.last_refresh = None;
                    record.given_up.clear();
                    record.confirmed_in = vault;
                }
                for (index, secret) in indices.iter().zip(secrets) {
                    put_holding(tx, id, *index, secret)?;
                }
                record.shares.extend(&indices);
                record.shares.sort_unstable();
                record.shares.dedup();
                tx.put(place, &record)?;
                let why = match proof {
                    Some(proof) => format!(", epoch {} ({})", record.group.epoch(), proof.as_str()),
                    None => String::new(),
                };
                let reason = format!("{}: members {}{why}", record.name, list(&indices));
                tx.audit(entry(Action::ShareImported, &record, reason));
                Ok(record)
            })
            .wait()?;
        self.secrets.sessions.forget(id);
        Ok((record, proof))
    }

    /// A member whose device key was renewed here keeps it with its new share.
    fn keep_devices(&self, before: &GroupRecord, holdings: &mut [Holding]) {
        for holding in holdings {
            let index = holding.share.index();
            if let Ok(device) = self.device_key(before.id, index)
                && before.group.device(index) == Ok(device.public())
            {
                holding.device = Some(device);
            }
        }
    }
}

/// What is public about a later epoch is no reason to delete a share.
fn no_share_for_a_share() -> VaultError {
    Fault::new(
        ErrorCode::InvalidInput,
        "there is no share in this, and the shares here would be deleted for it",
    )
    .with_hint("import your share of the later epoch, or delete yours first with `keep frost delete-share`")
    .into()
}

/// Whether these shares may come in: nothing for the present epoch, the proof for a later one.
fn judge(known: &Group, incoming: &IncomingShares, accept: Accept) -> Result<Option<Proof>, FrostError> {
    let new = &incoming.group;
    let (expected, found) = (known.epoch(), new.epoch());
    if found < expected {
        return Err(FrostError::WrongEpoch { expected, found });
    }
    if known.chain_code() != new.chain_code() && (found > expected || new.chain_code().is_some()) {
        return Err(FrostError::Changed("the chain code"));
    }
    if found == expected {
        return if known.sharing() == new.sharing() { Ok(None) } else { Err(FrostError::WrongSharing) };
    }
    if !accept.replace {
        return Err(FrostError::LaterEpoch { expected, found });
    }
    if known.threshold() != new.threshold() {
        return Err(FrostError::Changed("the threshold"));
    }
    for index in new.indices() {
        known.member(index)?;
    }
    if incoming.holdings.len() >= usize::from(new.threshold()) {
        return Ok(Some(Proof::Threshold));
    }
    match incoming.endorsement {
        // It was verified.
        Some(_) => Ok(Some(Proof::Endorsed)),
        None if accept.unproved => Ok(Some(Proof::Owner)),
        None => Err(FrostError::Unproved),
    }
}

/// The group with the device keys that are known here. Those that came count where none is known: of a member whose share
/// came with the key itself, and else only if the owner says so.
fn merged(known: &Group, incoming: &IncomingShares, accept: Accept) -> Result<Group, FrostError> {
    let own: BTreeMap<Index, Option<DevicePublic>> = incoming
        .holdings
        .iter()
        .map(|holding| (holding.share.index(), holding.device.as_ref().map(keep_frost::DeviceKey::public)))
        .collect();
    let mut devices = BTreeMap::new();
    let mut strange = Vec::new();
    for member in incoming.group.members() {
        let here = known.member(member.index)?.device;
        let came = own.get(&member.index).copied().unwrap_or(member.device);
        let with_its_secret = own.get(&member.index).is_some_and(Option::is_some);
        let device = match (here, came) {
            (Some(here), Some(came)) if here != came && with_its_secret => {
                strange.push(member.index);
                Some(came)
            }
            (Some(here), _) => Some(here),
            (None, Some(came)) => {
                if !with_its_secret {
                    strange.push(member.index);
                }
                Some(came)
            }
            (None, None) => None,
        };
        if let Some(device) = device {
            devices.insert(member.index, device);
        }
    }
    if !strange.is_empty() && !accept.roster {
        return Err(FrostError::StrangeDevices(strange));
    }
    if incoming.group.epoch() == known.epoch() {
        return known.clone().with_devices(&devices);
    }
    // Of a later epoch nothing counts but who has which public share; all else is as it is known here.
    let new = incoming.group.clone().into_parts();
    let mut parts = known.clone().into_parts();
    parts.epoch = new.epoch;
    parts.status = Status::Active;
    parts.members = new.members;
    for member in &mut parts.members {
        member.device = devices.get(&member.index).copied();
    }
    Group::try_from(parts)
}
