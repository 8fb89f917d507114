//! What the members of a ceremony agree on before and after it.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use rand_core::{CryptoRng, RngCore};

use crate::bytes::Transcript;
use crate::endorsement::vouches;
use crate::place::{Ceremonial, Place};
use crate::share::check_binding;
use crate::wire::{Envelope, Kind};
use crate::{
    DeviceKey, DevicePublic, FrostError, Group, GroupId, Index, SessionId, SharingId, Signature, Suite,
};

/// Who does what: suite, threshold, roster and purpose of a ceremony. All members must have the same plan.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Plan {
    #[cbor(n(0), with = "minicbor::bytes")]
    nonce: [u8; 16],
    #[n(1)]
    suite: Suite,
    #[n(2)]
    threshold: u16,
    #[n(3)]
    members: BTreeMap<Index, DevicePublic>,
    #[n(4)]
    renewed: Option<Renewed>,
}

/// The sharing that a refresh replaces.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Renewed {
    #[n(0)]
    pub(super) group: GroupId,
    #[n(1)]
    pub(super) sharing: SharingId,
    #[n(2)]
    pub(super) epoch: u32,
}

impl Plan {
    /// A plan to make a new key that never exists whole.
    ///
    /// # Errors
    /// [`FrostError::Threshold`], [`FrostError::Random`].
    pub fn generate(
        suite: Suite,
        threshold: u16,
        members: BTreeMap<Index, DevicePublic>,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        let plan = Self { nonce: fresh(rng)?, suite, threshold, members, renewed: None };
        plan.check()?;
        Ok(plan)
    }

    /// A plan to renew the shares of `group` for the members in `keep`, with the device keys of its roster. All of
    /// them must take part. Whoever is not kept is out, once the kept ones have deleted their old shares.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`], [`FrostError::TooFewSigners`], [`FrostError::NoDeviceKey`],
    /// [`FrostError::Threshold`] for 1-of-n.
    pub fn refresh(
        group: &Group,
        keep: &BTreeSet<Index>,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        group.check_signers(keep.iter())?;
        let mut members = BTreeMap::new();
        for index in keep {
            members.insert(*index, group.device(*index)?);
        }
        let renewed = Renewed { group: group.id(), sharing: group.sharing(), epoch: group.epoch() };
        let (suite, threshold) = (group.suite(), group.threshold());
        let plan = Self { nonce: fresh(rng)?, suite, threshold, members, renewed: Some(renewed) };
        plan.check()?;
        Ok(plan)
    }

    /// Whether threshold and members fit, and every member has a device of its own.
    pub(super) fn check(&self) -> Result<(), FrostError> {
        let (threshold, members) = (self.threshold, self.members.len());
        if threshold < 2 || usize::from(threshold) > members || members > usize::from(Index::MAX) {
            return Err(FrostError::Threshold { threshold, members, max: Index::MAX });
        }
        let mut seen = BTreeSet::new();
        match self.members.iter().find(|(_, device)| !seen.insert(**device)) {
            Some((index, _)) => Err(FrostError::Duplicate(*index)),
            None => Ok(()),
        }
    }

    /// The session: a hash of the whole plan.
    pub fn session(&self) -> SessionId {
        let mut hash = Transcript::new("keep/frost/ceremony")
            .with(&self.nonce)
            .with(&[self.suite.number()])
            .with(&self.threshold.to_be_bytes());
        match &self.renewed {
            None => hash.add(b"generate"),
            Some(renewed) => {
                hash.add(b"refresh");
                hash.add(renewed.group.as_bytes());
                hash.add(renewed.sharing.as_bytes());
                hash.add(&renewed.epoch.to_be_bytes());
            }
        }
        for (index, device) in &self.members {
            hash.add(&index.get().to_be_bytes());
            hash.add(device.as_bytes());
        }
        SessionId::from_bytes(hash.finish())
    }

    /// Reads the plan of a renewal of `group`, which one of its members has signed. Whether it is about the present sharing is
    /// for [`Plan::fits`] to say.
    ///
    /// # Errors
    /// [`FrostError::WrongKind`], [`FrostError::Malformed`]; [`FrostError::WrongGroup`]; [`FrostError::UnknownMember`],
    /// [`FrostError::NoDeviceKey`], [`FrostError::NotAuthentic`]; [`FrostError::WrongSession`].
    pub fn read(envelope: &Envelope, group: &Group) -> Result<Self, FrostError> {
        envelope.expect(Kind::Plan, envelope.session())?;
        let plan: Self = minicbor::decode(envelope.body())
            .map_err(|_| FrostError::malformed("refresh plan", "its content has another form"))?;
        match &plan.renewed {
            Some(renewed) if renewed.group == group.id() => {}
            Some(_) => return Err(FrostError::WrongGroup),
            None => return Err(FrostError::malformed("refresh plan", "it makes a new key")),
        }
        envelope.authenticate(&group.device(envelope.from())?)?;
        if plan.session() == envelope.session() { Ok(plan) } else { Err(FrostError::WrongSession) }
    }

    /// Whether it renews the present sharing of the group.
    ///
    /// # Errors
    /// [`FrostError::WrongGroup`], [`FrostError::WrongEpoch`], [`FrostError::WrongSharing`], [`FrostError::WrongSuite`];
    /// [`FrostError::OutOfOrder`] for a plan that makes a new key.
    pub fn renews(&self, group: &Group) -> Result<(), FrostError> {
        let renewed = self.renewed.as_ref().ok_or(FrostError::OutOfOrder("this plan makes a new key"))?;
        check_binding(group, self.suite, renewed.group, renewed.epoch, renewed.sharing)
    }

    /// Whether members of the group can take part in it: it renews the present sharing, with the group's threshold, for
    /// members with the device keys of the roster.
    ///
    /// # Errors
    /// As [`renews`](Self::renews); [`FrostError::Malformed`] for all else that is wrong with it.
    pub fn fits(&self, group: &Group) -> Result<(), FrostError> {
        self.renews(group)?;
        let bad = |reason: String| FrostError::Malformed { what: "refresh plan", reason };
        if self.threshold != group.threshold() {
            return Err(bad(format!(
                "its threshold is {}, the group's {}",
                self.threshold,
                group.threshold()
            )));
        }
        self.check().map_err(|error| bad(error.to_string()))?;
        for (index, device) in &self.members {
            let known = group.device(*index).map_err(|error| bad(error.to_string()))?;
            if known != *device {
                return Err(other_device(*index));
            }
        }
        Ok(())
    }

    /// What a message is to the members that are `here`, in the ceremony by this plan. Plans are not asked about.
    ///
    /// # Errors
    /// Why it is no part of the ceremony: [`FrostError::WrongSession`], [`FrostError::WrongKind`],
    /// [`FrostError::NotInvolved`], [`FrostError::NotAuthentic`]; [`FrostError::Malformed`] for a wrong receiver and a
    /// complaint without form.
    pub fn place(&self, here: &BTreeSet<Index>, envelope: &Envelope) -> Result<Place, FrostError> {
        let renewal = [Kind::Contribution, Kind::Certificate, Kind::Complaint].as_slice();
        let generation = [Kind::DkgCommit, Kind::Contribution, Kind::Certificate, Kind::Complaint].as_slice();
        let (what, open) = match &self.renewed {
            Some(_) => ("message of a renewal", renewal),
            None => ("message of a key generation", generation),
        };
        let sealed = [(Kind::Subshare, self.members.keys().copied().collect())];
        Ceremonial { what, session: self.session(), senders: &self.members, open, sealed: &sealed }
            .place(here, envelope)
    }

    /// The ciphersuite.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// How many members will have to sign together.
    pub const fn threshold(&self) -> u16 {
        self.threshold
    }

    /// The members and their device keys.
    pub const fn members(&self) -> &BTreeMap<Index, DevicePublic> {
        &self.members
    }

    /// Whether it renews an existing group.
    pub const fn is_refresh(&self) -> bool {
        self.renewed.is_some()
    }
}

/// A plan that would have a member speak with another key than the one that it is known by.
pub(super) fn other_device(member: Index) -> FrostError {
    let reason = format!("it names another device key for member {member} than is known here");
    FrostError::Malformed { what: "plan", reason }
}

fn fresh(rng: &mut (impl RngCore + CryptoRng)) -> Result<[u8; 16], FrostError> {
    let mut nonce = [0; 16];
    rng.try_fill_bytes(&mut nonce).map_err(|_| FrostError::Random)?;
    Ok(nonce)
}

/// All members' signatures over one transcript: the proof that a ceremony ended the same for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Certificate {
    /// The ceremony.
    #[n(0)]
    pub session: SessionId,
    /// The hash of all contributions and of the resulting group.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub digest: [u8; 32],
    /// One BIP-340 signature per member.
    #[n(2)]
    pub signatures: BTreeMap<Index, Endorsement>,
}

/// A member's signature over the end of a ceremony.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Endorsement {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(super) digest: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    signature: [u8; 64],
    /// In a renewal, the signature of its new share: see [`crate::Endorsement::Members`].
    #[n(2)]
    share: Option<Signature>,
}

impl Endorsement {
    pub(super) fn new(
        session: SessionId,
        digest: [u8; 32],
        device: &DeviceKey,
        share: Option<Signature>,
    ) -> Result<Self, FrostError> {
        Ok(Self { digest, signature: device.sign(&signed(session, &digest))?, share })
    }

    pub(super) fn verifies(&self, session: SessionId, device: &DevicePublic) -> bool {
        device.verifies(&signed(session, &self.digest), &self.signature)
    }

    /// Whether this member's new share of `group` has signed for it.
    pub(super) fn speaks_for(&self, group: &Group, member: Index) -> bool {
        self.share.is_some_and(|signature| vouches(group, member, &signature))
    }
}

/// The word of the members for the sharing that a renewal has made.
///
/// # Errors
/// [`FrostError::BadContribution`] with all whose new share has not signed for it.
pub(super) fn word(
    group: &Group,
    said: &BTreeMap<Index, Endorsement>,
) -> Result<BTreeMap<Index, Signature>, FrostError> {
    let (mut word, mut wrong) = (BTreeMap::new(), Vec::new());
    for (index, endorsement) in said {
        match endorsement.share {
            Some(signature) if vouches(group, *index, &signature) => drop(word.insert(*index, signature)),
            _ => wrong.push(*index),
        }
    }
    if wrong.is_empty() { Ok(word) } else { Err(FrostError::BadContribution(wrong)) }
}

fn signed(session: SessionId, digest: &[u8; 32]) -> [u8; 32] {
    Transcript::new("keep/frost/certificate").with(session.as_bytes()).with(digest).finish()
}

impl Certificate {
    /// Whether every member of the plan endorsed this very transcript.
    ///
    /// # Errors
    /// [`FrostError::WrongSession`], [`FrostError::ShareMissing`] for a member without signature,
    /// [`FrostError::NotAuthentic`], [`FrostError::Disagreement`]; [`FrostError::Malformed`] where nobody endorsed it.
    pub fn verify(&self, plan: &Plan) -> Result<(), FrostError> {
        if self.session != plan.session() {
            return Err(FrostError::WrongSession);
        }
        let (mut same, mut other) = (Vec::new(), Vec::new());
        for (index, device) in plan.members() {
            let endorsement = self.signatures.get(index).ok_or(FrostError::ShareMissing(*index))?;
            if !endorsement.verifies(self.session, device) {
                return Err(FrostError::NotAuthentic(*index));
            }
            if endorsement.digest == self.digest { same.push(*index) } else { other.push(*index) }
        }
        match (same.is_empty(), other.is_empty()) {
            (_, true) => Ok(()),
            (true, false) => Err(FrostError::malformed("certificate", "its members endorsed something else")),
            (false, false) => Err(FrostError::Disagreement { some: other, others: same }),
        }
    }
}

#[cfg(test)]
impl Endorsement {
    pub(super) const fn with_share(self, share: Option<Signature>) -> Self {
        Self { share, ..self }
    }

    pub(super) const fn share(&self) -> Option<Signature> {
        self.share
    }
}
