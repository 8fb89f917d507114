//! A group: what is public about a shared key.

use std::collections::{BTreeMap, BTreeSet};

use frost_core::keys::{PublicKeyPackage, VerifyingShare};
use frost_core::{Ciphersuite, Element, Field, Group as _, Identifier, Scalar, VerifyingKey};
use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::bytes::Transcript;
use crate::suite::{Curve, element, identifier, with_curve};
use crate::{DevicePublic, FrostError, GroupId, Index, Point, SharingId, Suite};

/// A member as every other member knows it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    /// Its index.
    #[n(0)]
    pub index: Index,
    /// Its share times the generator.
    #[n(1)]
    pub verifying_share: Point,
    /// The key that authenticates and encrypts its messages, if the group has a roster.
    #[n(2)]
    pub device: Option<DevicePublic>,
}

/// Whether a group may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Encode, Decode)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It may.
    #[n(0)]
    Active,
    /// Imported for migration: it refuses to sign until its shares were renewed.
    #[n(1)]
    MustReshare,
}

/// Where the shares came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Encode, Decode)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// One device made the key and all shares, and knew them.
    #[n(0)]
    Dealer,
    /// An existing key was split; it existed whole.
    #[n(1)]
    Split,
    /// Distributed key generation: the key never existed whole.
    #[n(2)]
    Dkg,
    /// Other software made it.
    #[n(3)]
    Imported,
}

/// What is public about a shared key: suite, key, threshold, members and their public shares, epoch.
///
/// A `Group` always has a valid threshold, members in ascending order and points of the right length. That the points
/// are on the curve and fit together is what [`Group::check`] says; every import and ceremony runs it.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Group {
    #[n(0)]
    suite: Suite,
    #[n(1)]
    key: Point,
    #[n(2)]
    threshold: u16,
    #[n(3)]
    epoch: u32,
    #[n(4)]
    members: Vec<Member>,
    #[cbor(n(5), with = "minicbor::bytes")]
    chain_code: Option<[u8; 32]>,
    #[n(6)]
    status: Status,
    #[n(7)]
    provenance: Provenance,
}

/// The parts of a [`Group`], before they are checked.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
pub struct GroupParts {
    /// The ciphersuite.
    #[n(0)]
    pub suite: Suite,
    /// The group key.
    #[n(1)]
    pub key: Point,
    /// How many members must sign together.
    #[n(2)]
    pub threshold: u16,
    /// How often the shares were renewed.
    #[n(3)]
    pub epoch: u32,
    /// The members, in any order.
    #[n(4)]
    pub members: Vec<Member>,
    /// The BIP-32 chain code that the members agreed on (secp256k1 only).
    #[cbor(n(5), with = "minicbor::bytes")]
    pub chain_code: Option<[u8; 32]>,
    /// Whether it may sign.
    #[n(6)]
    pub status: Status,
    /// Where the shares came from.
    #[n(7)]
    pub provenance: Provenance,
}

impl TryFrom<GroupParts> for Group {
    type Error = FrostError;

    fn try_from(mut parts: GroupParts) -> Result<Self, FrostError> {
        parts.members.sort_by_key(|m| m.index);
        let len = parts.suite.point_len();
        let (threshold, count) = (parts.threshold, parts.members.len());
        if threshold == 0 || usize::from(threshold) > count || count > usize::from(Index::MAX) {
            return Err(FrostError::Threshold { threshold, members: count, max: Index::MAX });
        }
        if let Some(pair) = parts.members.windows(2).find(|pair| pair[0].index == pair[1].index) {
            return Err(FrostError::Duplicate(pair[0].index));
        }
        let points = parts.members.iter().map(|m| &m.verifying_share).chain([&parts.key]);
        if points.into_iter().any(|p| p.as_bytes().len() != len) {
            return Err(FrostError::BadPoint(parts.suite));
        }
        let GroupParts { suite, key, threshold, epoch, members, chain_code, status, provenance } = parts;
        Ok(Self { suite, key, threshold, epoch, members, chain_code, status, provenance })
    }
}

impl<'b, C> Decode<'b, C> for Group {
    fn decode(d: &mut minicbor::Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let parts = GroupParts::decode(d, ctx)?;
        Self::try_from(parts).map_err(|e| minicbor::decode::Error::message(e.to_string()))
    }
}

impl Group {
    /// The ciphersuite.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The group key with its real parity: 33 bytes for secp256k1, 32 for Ed25519.
    pub const fn key(&self) -> &Point {
        &self.key
    }

    /// The 32 bytes that other software calls the public key: the x coordinate (BIP-340, NIP-01) or the Ed25519 key.
    pub fn public_key(&self) -> [u8; 32] {
        let bytes = self.key.as_bytes();
        let mut out = [0; 32];
        out.copy_from_slice(&bytes[bytes.len() - 32..]);
        out
    }

    /// How many members must sign together.
    pub const fn threshold(&self) -> u16 {
        self.threshold
    }

    /// How often the shares were renewed.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The members in ascending order of their indices.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The indices of all members, ascending.
    pub fn indices(&self) -> impl Iterator<Item = Index> {
        self.members.iter().map(|m| m.index)
    }

    /// The BIP-32 chain code that the members agreed on.
    pub const fn chain_code(&self) -> Option<&[u8; 32]> {
        self.chain_code.as_ref()
    }

    /// Whether it may sign.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Where the shares came from.
    pub const fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// The group's name for protocols: a hash of suite and key.
    pub fn id(&self) -> GroupId {
        let hash = Transcript::new("keep/frost/group").with(&[self.suite.number()]).with(self.key.as_bytes());
        GroupId::from_bytes(hash.finish())
    }

    /// Names this very sharing of the key: threshold, epoch and public shares included.
    pub fn sharing(&self) -> SharingId {
        let mut hash = Transcript::new("keep/frost/sharing")
            .with(&[self.suite.number()])
            .with(self.key.as_bytes())
            .with(&self.threshold.to_be_bytes())
            .with(&self.epoch.to_be_bytes());
        for member in &self.members {
            hash.add(&member.index.get().to_be_bytes());
            hash.add(member.verifying_share.as_bytes());
        }
        SharingId::from_bytes(hash.finish())
    }

    /// A member.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`].
    pub fn member(&self, index: Index) -> Result<&Member, FrostError> {
        let found = self.members.binary_search_by_key(&index, |m| m.index);
        found.map(|at| &self.members[at]).map_err(|_| FrostError::UnknownMember(index))
    }

    /// The device key of a member.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`], [`FrostError::NoDeviceKey`].
    pub fn device(&self, index: Index) -> Result<DevicePublic, FrostError> {
        self.member(index)?.device.ok_or(FrostError::NoDeviceKey(index))
    }

    /// This group with new device keys for some members, as after a first contact.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`].
    pub fn with_devices(mut self, devices: &BTreeMap<Index, DevicePublic>) -> Result<Self, FrostError> {
        for (index, device) in devices {
            self.member(*index)?;
            if let Some(member) = self.members.iter_mut().find(|m| m.index == *index) {
                member.device = Some(*device);
            }
        }
        Ok(self)
    }

    /// Whether this set may sign together.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`], [`FrostError::TooManySigners`], [`FrostError::TooFewSigners`].
    pub fn check_signers<'a>(&self, signers: impl Iterator<Item = &'a Index>) -> Result<(), FrostError> {
        let mut have = 0;
        for index in signers {
            self.member(*index)?;
            have += 1;
        }
        if have > self.members.len() {
            return Err(FrostError::TooManySigners { members: self.members.len(), have });
        }
        if have < usize::from(self.threshold) {
            return Err(FrostError::TooFewSigners { need: self.threshold, have });
        }
        Ok(())
    }

    /// Refuses what may not sign yet.
    pub(crate) const fn check_active(&self) -> Result<(), FrostError> {
        match self.status {
            Status::Active => Ok(()),
            Status::MustReshare => Err(FrostError::MustReshare),
        }
    }

    /// Checks that all points are on the curve and that key and public shares lie on one polynomial of the group's
    /// threshold: any threshold of members then has the same key.
    ///
    /// # Errors
    /// [`FrostError::BadPoint`], [`FrostError::InconsistentGroup`].
    pub fn check(&self) -> Result<(), FrostError> {
        with_curve!(self.suite, C => self.check_on::<C>())
    }

    /// All points are tested at once: a combination of the equations with coefficients from a hash over everything.
    fn check_on<C: Curve>(&self) -> Result<(), FrostError> {
        type FieldOf<C> = <<C as Ciphersuite>::Group as frost_core::Group>::Field;
        let keys = self.keys::<C>()?;
        let base: BTreeSet<Identifier<C>> =
            keys.verifying_shares().keys().take(usize::from(self.threshold)).copied().collect();
        let seed = self.sharing();
        let mut weights: BTreeMap<Identifier<C>, Scalar<C>> =
            base.iter().map(|id| (*id, FieldOf::<C>::zero())).collect();
        let mut sum = C::Group::identity();
        let others = keys.verifying_shares().iter().filter(|(id, _)| !base.contains(id));
        let targets = others.map(|(id, share)| (Some(*id), share.to_element()));
        for (x, value) in targets.chain([(None, keys.verifying_key().to_element())]) {
            let name = x.map_or_else(Vec::new, |id| id.serialize());
            let coefficient = C::H3(&[b"keep/frost/check".as_slice(), seed.as_bytes(), &name].concat());
            for (id, weight) in &mut weights {
                let lambda = frost_core::compute_lagrange_coefficient(&base, x, *id)
                    .map_err(|_| FrostError::Internal("interpolation"))?;
                *weight = *weight + lambda * coefficient;
            }
            sum = sum - value * coefficient;
        }
        for (id, weight) in &weights {
            let share = keys.verifying_shares().get(id).ok_or(FrostError::Internal("interpolation"))?;
            sum = sum + share.to_element() * *weight;
        }
        if sum == C::Group::identity() { Ok(()) } else { Err(FrostError::InconsistentGroup) }
    }

    pub(crate) fn key_element<C: Curve>(&self) -> Result<Element<C>, FrostError> {
        element::<C>(self.key.as_bytes())
    }

    /// The group key alone, for verification without blame.
    pub(crate) fn bare_keys<C: Curve>(&self) -> Result<PublicKeyPackage<C>, FrostError> {
        let key = VerifyingKey::new(self.key_element::<C>()?);
        Ok(PublicKeyPackage::new(BTreeMap::new(), key, Some(self.threshold)))
    }

    pub(crate) fn verifying_share<C: Curve>(&self, index: Index) -> Result<VerifyingShare<C>, FrostError> {
        let bytes = self.member(index)?.verifying_share.as_bytes();
        Ok(VerifyingShare::new(element::<C>(bytes)?))
    }

    /// The form that the FROST crates take.
    pub(crate) fn keys<C: Curve>(&self) -> Result<PublicKeyPackage<C>, FrostError> {
        let mut shares = BTreeMap::new();
        for index in self.indices() {
            shares.insert(identifier::<C>(index)?, self.verifying_share::<C>(index)?);
        }
        let key = VerifyingKey::new(self.key_element::<C>()?);
        Ok(PublicKeyPackage::new(shares, key, Some(self.threshold)))
    }

    /// A group from the form that the FROST crates give.
    pub(crate) fn from_keys<C: Curve>(
        keys: &PublicKeyPackage<C>,
        threshold: u16,
        epoch: u32,
        provenance: Provenance,
    ) -> Result<GroupParts, FrostError> {
        let mut members = Vec::with_capacity(keys.verifying_shares().len());
        for (id, share) in keys.verifying_shares() {
            let index = crate::suite::index_of::<C>(id)?;
            let verifying_share = crate::suite::point::<C>(&share.to_element())?;
            members.push(Member { index, verifying_share, device: None });
        }
        let key = crate::suite::point::<C>(&keys.verifying_key().to_element())?;
        let status = Status::Active;
        Ok(GroupParts {
            suite: C::SUITE,
            key,
            threshold,
            epoch,
            members,
            chain_code: None,
            status,
            provenance,
        })
    }

    /// The parts, to build a changed group from.
    pub fn into_parts(self) -> GroupParts {
        let Self { suite, key, threshold, epoch, members, chain_code, status, provenance } = self;
        GroupParts { suite, key, threshold, epoch, members, chain_code, status, provenance }
    }
}
