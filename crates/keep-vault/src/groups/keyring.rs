//! The groups of a vault: read, opened for a session.

use std::collections::BTreeSet;

use keep_frost::sign::{LocalSession, Proposal};
use keep_frost::{Commitment, DeviceKey, FrostError, Index, NonceId, SecretShare, SessionId};
use keep_types::{Collection, KeyId, Record, RecordId};
use rand_core::OsRng;
use sha2::{Digest as _, Sha256};

use super::holding::Holding;
use super::{GroupRecord, unconfirmed};
use crate::records::{SecretKind, SecretRecord};
use crate::seal::open_row;
use crate::{Vault, VaultError};

/// The nonces of a session, as everybody may know them. The secret halves wait in the memory of the vault's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSession {
    /// The session.
    pub session: SessionId,
    /// What each member whose share is here commits to.
    pub commitments: Vec<(Index, Commitment)>,
    /// What is burnt when they are used.
    pub burns: Vec<NonceId>,
}

/// What a group's secret is about: the natural key of its place.
fn natural(id: KeyId, what: &[u8], index: Index) -> Vec<u8> {
    [id.as_bytes().as_slice(), what, &index.get().to_be_bytes()].concat()
}

pub(super) const SHARE: &[u8] = b"share";
pub(super) const DEVICE: &[u8] = b"device";
pub(super) const REFRESH: &[u8] = b"refresh";
pub(super) const REPAIR: &[u8] = b"repair";

/// Where a group's secret lies. It follows from the group's own id alone, so that it is the same in a vault that was made
/// from a backup of this one.
pub(super) fn secret_place(id: KeyId, what: &[u8], index: Index) -> RecordId {
    place_of(&natural(id, what, index))
}

/// Where a member's side lies when it helps with the repair of the share of `lost`: one does not displace that of another.
/// Earlier versions kept one for each helper, in the [`secret_place`] of [`REPAIR`].
pub(super) fn repair_place(id: KeyId, helper: Index, lost: Index) -> RecordId {
    place_of(&[natural(id, REPAIR, helper).as_slice(), &lost.get().to_be_bytes()].concat())
}

fn place_of(natural: &[u8]) -> RecordId {
    let hash = Sha256::digest([b"keep group secret ".as_slice(), natural].concat());
    let mut place = [0; 16];
    place.copy_from_slice(&hash[..16]);
    RecordId::from_bytes(place)
}

impl Vault {
    /// Every readable group, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn groups(&self) -> Result<Vec<GroupRecord>, VaultError> {
        let mut groups: Vec<GroupRecord> = self.all::<GroupRecord>()?.into_iter().map(|(_, g)| g).collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// A group.
    ///
    /// # Errors
    /// [`VaultError::NoSuchKey`]; when it cannot be read.
    pub fn group(&self, id: KeyId) -> Result<GroupRecord, VaultError> {
        let mut row = None;
        self.store.read(&mut |tx| {
            row = tx.get(Collection::Groups.number(), &GroupRecord::place(id))?;
            Ok(())
        })?;
        let row = row.ok_or(VaultError::NoSuchKey)?;
        let identity = self.shared.identity;
        let plain = open_row(&self.shared.keys()?, identity.vault, identity.epoch, &row).map_err(|_| {
            VaultError::Record { collection: "groups", reason: "it was changed or is damaged".into() }
        })?;
        Ok(GroupRecord::from_cbor(&plain)?)
    }

    /// Round 1: makes nonces for the shares of `signers`, which wait in memory for their one use. Nothing is signed.
    ///
    /// # Errors
    /// Those of [`LocalSession::new`]; when a share is not here or cannot be read, or the group's epoch is not confirmed.
    pub fn open_session(
        &self,
        id: KeyId,
        proposal: Proposal,
        signers: &[Index],
    ) -> Result<GroupSession, VaultError> {
        let mut opened = self.open_sessions(id, vec![proposal], signers)?;
        Ok(opened.pop().ok_or(FrostError::Internal("no session"))?)
    }

    /// Opens several sessions, as [`open_session`](Self::open_session): all of them or none.
    ///
    /// # Errors
    /// As [`open_session`](Self::open_session); [`FrostError::PoolFull`] when there is no room for all.
    pub fn open_sessions(
        &self,
        id: KeyId,
        proposals: Vec<Proposal>,
        signers: &[Index],
    ) -> Result<Vec<GroupSession>, VaultError> {
        self.secrets.sessions.expect_room(proposals.len())?;
        let record = self.signing_group(id)?;
        let shares = self.shares(&record, signers)?;
        let shares: Vec<&SecretShare> = shares.iter().collect();
        let (mut opened, mut sessions) = (Vec::new(), Vec::new());
        for proposal in proposals {
            let session = LocalSession::new(&record.group, &shares, proposal, &mut OsRng)?;
            opened.push(GroupSession {
                session: session.session(),
                commitments: session.commitments().map(|(index, c)| (index, c.clone())).collect(),
                burns: session.burns(),
            });
            sessions.push(session);
        }
        self.secrets.sessions.keep(&self.shared.shield, id, sessions)?;
        Ok(opened)
    }

    /// Drops the nonces of sessions that ended otherwise than with their one use.
    pub fn forget_sessions(&self, sessions: &[SessionId]) {
        self.secrets.sessions.drop_all(sessions);
    }

    /// The device key of a member whose share is, or was, here. It authenticates messages and signs nothing in anybody's
    /// name, so it needs no permit.
    ///
    /// # Errors
    /// [`FrostError::NoDeviceKey`]; when it cannot be read.
    pub fn device_key(&self, id: KeyId, index: Index) -> Result<DeviceKey, VaultError> {
        if let Some(bytes) = self.group_secret(id, SHARE, index)?
            && let Some(device) = Holding::from_record(bytes.secret.expose())?.device
        {
            return Ok(device);
        }
        let record = self.group_secret(id, DEVICE, index)?.ok_or(FrostError::NoDeviceKey(index))?;
        Ok(DeviceKey::from_bytes(&mut zeroize::Zeroizing::new(*record.key32()?.expose()))?)
    }

    /// Reads every share of a group back from the store and checks it against the group's public shares.
    ///
    /// # Errors
    /// When one is missing, unreadable, or not the group's.
    pub fn check_shares(&self, id: KeyId) -> Result<(), VaultError> {
        let record = self.group(id)?;
        for share in self.shares(&record, &record.shares)? {
            share.check(&record.group)?;
        }
        Ok(())
    }

    /// The group, if its shares may be used.
    pub(super) fn signing_group(&self, id: KeyId) -> Result<GroupRecord, VaultError> {
        let record = self.group(id)?;
        if record.confirmed_in != self.id() {
            return Err(unconfirmed(record.name.as_str()));
        }
        Ok(record)
    }

    /// The shares of several members, each of them once.
    pub(super) fn shares(
        &self,
        record: &GroupRecord,
        members: &[Index],
    ) -> Result<Vec<SecretShare>, VaultError> {
        let mut seen = BTreeSet::new();
        let mut shares = Vec::with_capacity(members.len());
        for index in members {
            if !seen.insert(*index) {
                return Err(FrostError::Duplicate(*index).into());
            }
            let share = Holding::share_of(self.share_record(record, *index)?.secret.expose())?;
            share.belongs_to(&record.group)?;
            shares.push(share);
        }
        Ok(shares)
    }

    pub(super) fn holding(&self, record: &GroupRecord, index: Index) -> Result<Holding, VaultError> {
        let holding = Holding::from_record(self.share_record(record, index)?.secret.expose())?;
        holding.share.belongs_to(&record.group)?;
        Ok(holding)
    }

    fn share_record(&self, record: &GroupRecord, index: Index) -> Result<SecretRecord, VaultError> {
        record.expect_share(index)?;
        Ok(self.group_secret(record.id, SHARE, index)?.ok_or(FrostError::NotHere(index))?)
    }

    pub(super) fn group_secret(
        &self,
        id: KeyId,
        what: &[u8],
        index: Index,
    ) -> Result<Option<SecretRecord>, VaultError> {
        self.read_secret(&secret_place(id, what, index), SecretKind::Share)
    }
}
