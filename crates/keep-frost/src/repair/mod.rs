//! A lost share is made again by a threshold of helpers, none of whom learns it.
//!
//! Each helper splits its part of the lost share into random pieces for all helpers; each sums up what it got and sends
//! the sum to the member that lost its share. A wrong piece alone would give a wrong share without any other sign. So each
//! helper shows everybody its pieces times the generator: they add up to its part of the public share, and every piece and
//! every sum is checked against them. Whoever sends a wrong one is named. (Helpers can make *any* member's share this way:
//! ask the owner of the group first, and log it.)

mod pieces;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use frost_core::Identifier;
use keep_types::{SecretBytes, SecretKey32};
use minicbor::{Decode, Decoder, Encode, Encoder};
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use self::pieces::{Piece, Shown, check_pieces, check_shown, deltas, finish, shown, sum, wrong_sums};
use crate::bytes::Transcript;
use crate::complaint::{complain, complaints};
use crate::dealer::check_shares;
use crate::mailbox::Mailbox;
use crate::place::{Ceremonial, Place};
use crate::seed::{SeedRng, seed};
use crate::share::check_binding;
use crate::suite::{Curve, identifier, with_curve};
use crate::wire::{Envelope, Kind};
use crate::{
    DeviceKey, DevicePublic, FrostError, Group, GroupId, Index, SecretShare, SessionId, SharingId, Suite,
};

/// Who helps whom. All helpers and the member must have the same plan.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RepairPlan {
    #[cbor(n(0), with = "minicbor::bytes")]
    nonce: [u8; 16],
    #[n(1)]
    suite: Suite,
    #[n(2)]
    group: GroupId,
    #[n(3)]
    sharing: SharingId,
    #[n(4)]
    epoch: u32,
    #[n(5)]
    lost: Index,
    #[n(6)]
    device: DevicePublic,
    #[n(7)]
    helpers: BTreeMap<Index, DevicePublic>,
}

impl RepairPlan {
    /// A plan to repair the share of `lost`, whose device is now `device`, with the help of `helpers`.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`], [`FrostError::TooFewSigners`], [`FrostError::NoDeviceKey`],
    /// [`FrostError::Duplicate`] when the member would help itself.
    pub fn new(
        group: &Group,
        lost: Index,
        device: DevicePublic,
        helpers: &BTreeSet<Index>,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        let mut nonce = [0; 16];
        rng.try_fill_bytes(&mut nonce).map_err(|_| FrostError::Random)?;
        let mut devices = BTreeMap::new();
        for index in helpers {
            devices.insert(*index, group.device(*index)?);
        }
        let (suite, epoch) = (group.suite(), group.epoch());
        let (group_id, sharing) = (group.id(), group.sharing());
        let plan = Self { nonce, suite, group: group_id, sharing, epoch, lost, device, helpers: devices };
        plan.check(group)?;
        Ok(plan)
    }

    /// Whether it fits the group as it is now: enough helpers, with the devices of its roster.
    ///
    /// # Errors
    /// As [`RepairPlan::new`]; [`FrostError::NotAuthentic`] for another device; those of a wrong group or epoch.
    pub fn check(&self, group: &Group) -> Result<(), FrostError> {
        check_binding(group, self.suite, self.group, self.epoch, self.sharing)?;
        group.member(self.lost)?;
        group.check_signers(self.helpers.keys())?;
        if self.helpers.contains_key(&self.lost) {
            return Err(FrostError::Duplicate(self.lost));
        }
        for (index, device) in &self.helpers {
            if group.device(*index)? != *device {
                return Err(FrostError::NotAuthentic(*index));
            }
        }
        Ok(())
    }

    /// The session: a hash of the whole plan.
    pub fn session(&self) -> SessionId {
        let mut hash = Transcript::new("keep/frost/repair")
            .with(&self.nonce)
            .with(&[self.suite.number()])
            .with(self.group.as_bytes())
            .with(self.sharing.as_bytes())
            .with(&self.epoch.to_be_bytes());
        for (index, device) in self.helpers.iter().chain([(&self.lost, &self.device)]) {
            hash.add(&index.get().to_be_bytes());
            hash.add(device.as_bytes());
        }
        SessionId::from_bytes(hash.finish())
    }

    /// Reads a plan, which is signed with the device key that it names for the member that lost its share.
    ///
    /// # Errors
    /// [`FrostError::WrongKind`], [`FrostError::WrongSession`], [`FrostError::NotAuthentic`], [`FrostError::Malformed`].
    pub fn read(envelope: &Envelope) -> Result<Self, FrostError> {
        envelope.expect(Kind::RepairPlan, envelope.session())?;
        let plan: Self = minicbor::decode(envelope.body())
            .map_err(|_| FrostError::malformed("repair plan", "its content has another form"))?;
        envelope.authenticate(&plan.device)?;
        if plan.session() != envelope.session() {
            return Err(FrostError::WrongSession);
        }
        Ok(plan)
    }

    /// What a message is to the members that are `here`: helpers, or the one that lost its share. A helper's sum is for all:
    /// whoever gives one has not stopped. Plans are not asked about.
    ///
    /// # Errors
    /// Why it is no part of this repair: [`FrostError::WrongSession`], [`FrostError::WrongKind`],
    /// [`FrostError::NotInvolved`], [`FrostError::NotAuthentic`]; [`FrostError::Malformed`] for a wrong receiver and a
    /// complaint without form.
    pub fn place(&self, here: &BTreeSet<Index>, envelope: &Envelope) -> Result<Place, FrostError> {
        let sealed = [
            (Kind::Delta, self.helpers.keys().copied().collect()),
            (Kind::Sigma, BTreeSet::from([self.lost])),
        ];
        let ceremonial = Ceremonial {
            what: "message of a repair",
            session: self.session(),
            senders: &self.helpers,
            open: &[Kind::RepairCommit, Kind::Complaint],
            sealed: &sealed,
        };
        match ceremonial.place(here, envelope)? {
            Place::Elsewhere if envelope.kind() == Kind::Sigma && !here.contains(&envelope.from()) => {
                let signed =
                    self.helpers.get(&envelope.from()).is_some_and(|d| envelope.authenticate(d).is_ok());
                Ok(if signed { Place::Here } else { Place::Elsewhere })
            }
            place => Ok(place),
        }
    }

    /// The device key of the member that lost its share.
    pub const fn device(&self) -> DevicePublic {
        self.device
    }

    /// Whose share is made again.
    pub const fn lost(&self) -> Index {
        self.lost
    }

    /// The helpers and their devices.
    pub const fn helpers(&self) -> &BTreeMap<Index, DevicePublic> {
        &self.helpers
    }

    fn helper_ids<C: Curve>(&self) -> Result<Vec<Identifier<C>>, FrostError> {
        self.helpers.keys().map(|i| identifier::<C>(*i)).collect()
    }
}

/// A helper's side.
pub struct Helper {
    plan: RepairPlan,
    session: SessionId,
    group: Group,
    share: SecretShare,
    device: DeviceKey,
    seed: SecretKey32,
    mailbox: Mailbox,
    /// Who has given its sum: all that it needed was right in the end.
    through: BTreeSet<Index>,
}

impl fmt::Debug for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Helper({} of {})", self.share.index(), self.session)
    }
}

impl Helper {
    /// Helps with this device's share, after the owner has allowed it.
    ///
    /// # Errors
    /// Those of [`RepairPlan::check`] and [`SecretShare::check`]; [`FrostError::NotASigner`] for a share that the plan
    /// does not name; [`FrostError::NotAuthentic`] for another device.
    pub fn new(
        plan: RepairPlan,
        group: Group,
        share: SecretShare,
        device: DeviceKey,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        Self::with_seed(plan, group, share, device, seed(rng)?)
    }

    fn with_seed(
        plan: RepairPlan,
        group: Group,
        share: SecretShare,
        device: DeviceKey,
        seed: SecretKey32,
    ) -> Result<Self, FrostError> {
        plan.check(&group)?;
        share.check(&group)?;
        let me = share.index();
        if *plan.helpers.get(&me).ok_or(FrostError::NotASigner(me))? != device.public() {
            return Err(FrostError::NotAuthentic(me));
        }
        let session = plan.session();
        let kinds = &[Kind::RepairCommit, Kind::Delta, Kind::Complaint];
        let mailbox = Mailbox::new(session, me, kinds, &plan.helpers);
        Ok(Self { plan, session, group, share, device, seed, mailbox, through: BTreeSet::new() })
    }

    /// The session.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    fn deltas(&self) -> Result<BTreeMap<Index, Zeroizing<[u8; 32]>>, FrostError> {
        with_curve!(self.group.suite(), C => {
            let rng = &mut SeedRng::new(&self.seed, self.session, "deltas")?;
            deltas::<C>(&self.plan.helper_ids::<C>()?, &self.group, &self.share, self.plan.lost, rng)
        })
    }

    fn shown(&self) -> Result<Shown, FrostError> {
        with_curve!(self.group.suite(), C => shown::<C>(&self.deltas()?))
    }

    /// What everybody may see of the pieces, and the pieces for the other helpers, sealed; the same bytes at every call.
    ///
    /// # Errors
    /// [`FrostError::Internal`].
    pub fn start(&self) -> Result<Vec<Envelope>, FrostError> {
        let (me, shown) = (self.share.index(), self.shown()?);
        let mut out = vec![Envelope::sign(Kind::RepairCommit, self.session, me, &self.device, &shown)?];
        for (to, delta) in self.deltas()? {
            if to == self.share.index() {
                continue;
            }
            let device = *self.plan.helpers.get(&to).ok_or(FrostError::UnknownMember(to))?;
            out.push(self.seal(Kind::Delta, (to, device), &*delta)?);
        }
        Ok(out)
    }

    fn seal(&self, kind: Kind, to: (Index, DevicePublic), secret: &[u8]) -> Result<Envelope, FrostError> {
        let rng = &mut SeedRng::new(&self.seed, self.session, &format!("{} {}", kind.as_str(), to.0))?;
        Envelope::seal(kind, self.session, self.share.index(), &self.device, to, secret, rng)
    }

    /// Takes another helper's piece, or what it shows of its pieces; and its sum, which only the member that lost its share can
    /// read: whoever gives one has not stopped, whatever it complained of before.
    ///
    /// # Errors
    /// [`FrostError::WrongSession`], [`FrostError::UnknownMember`], [`FrostError::NotAuthentic`],
    /// [`FrostError::NotForMe`], [`FrostError::Equivocation`].
    pub fn receive(&mut self, envelope: &Envelope) -> Result<(), FrostError> {
        if envelope.kind() != Kind::Sigma {
            return self.mailbox.receive(envelope);
        }
        let from = envelope.from();
        envelope.expect(Kind::Sigma, self.session)?;
        envelope.authenticate(self.plan.helpers.get(&from).ok_or(FrostError::UnknownMember(from))?)?;
        if envelope.to() != Some(self.plan.lost) {
            return Err(FrostError::NotForMe);
        }
        self.through.insert(from);
        Ok(())
    }

    /// The other helpers whose messages are missing.
    pub fn waiting_for(&self) -> BTreeSet<Index> {
        let missing = [Kind::RepairCommit, Kind::Delta].map(|kind| self.mailbox.missing(kind));
        missing.into_iter().flatten().collect()
    }

    /// What the others have shown of their pieces, as they sent it. Handed on, it proves who has shown different things to
    /// different members.
    pub fn seen(&self) -> impl Iterator<Item = &Envelope> {
        self.mailbox.all(Kind::RepairCommit)
    }

    /// What other helpers have stopped for, while this one waits for messages. Those that have gone on since do not count.
    pub fn trouble(&self) -> Option<FrostError> {
        let waits = self.waiting_for();
        let stands = |from: Index| !self.through.contains(&from);
        if waits.is_empty() { None } else { complaints(&self.mailbox, stands) }
    }

    /// What tells the others that this helper stops, because of what `error` says of them. None if it says nothing of them.
    ///
    /// # Errors
    /// [`FrostError::Internal`].
    pub fn complaint(&self, error: &FrostError) -> Result<Option<Envelope>, FrostError> {
        complain(error, self.session, self.share.index(), &self.device)
    }

    /// The sum for the member that lost its share, once all pieces are there. None before.
    ///
    /// # Errors
    /// [`FrostError::Unreadable`]; [`FrostError::BadContribution`] with all whose pieces do not fit what they show of
    /// them, or whose part of the lost share that is not.
    pub fn sum(&self) -> Result<Option<Envelope>, FrostError> {
        if !self.waiting_for().is_empty() {
            return Ok(None);
        }
        let me = self.share.index();
        let mut all = shown_by(&self.mailbox)?;
        let own = self.deltas()?.remove(&me).ok_or(FrostError::Internal("repair"))?;
        let mut pieces: Vec<Piece> = Vec::new();
        for envelope in self.mailbox.all(Kind::Delta) {
            pieces.push((envelope.from(), secret_of::<32>(envelope, me, &self.device)?));
        }
        let sum = with_curve!(self.group.suite(), C => {
            let helpers = self.plan.helper_ids::<C>()?;
            check_shown::<C>(&self.group, &helpers, self.plan.lost, &all)?;
            check_pieces::<C>(&all, me, &pieces)?;
            pieces.push((me, own));
            sum::<C>(&pieces)
        })?;
        all.insert(me, self.shown()?);
        let said = Zeroizing::new([sum.as_slice(), &digest(self.session, &all)?].concat());
        self.seal(Kind::Sigma, (self.plan.lost, self.plan.device), &said).map(Some)
    }

    /// Everything needed to go on in another process, but for share and device key, and for complaints: these count for as long
    /// as they are there. Secret.
    ///
    /// # Errors
    /// [`FrostError::Internal`].
    pub fn snapshot(&self) -> Result<SecretBytes, FrostError> {
        let mut out = Vec::new();
        let mut e = Encoder::new(&mut out);
        let mut write = || -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
            e.array(4)?.u8(1)?.encode(&self.plan)?;
            e.bytes(self.seed.expose())?.encode(self.mailbox.envelopes())?;
            Ok(())
        };
        write().map_err(|_| FrostError::Internal("snapshot"))?;
        Ok(SecretBytes::new(out))
    }

    /// The session of a snapshot, whatever the group is by now.
    ///
    /// # Errors
    /// [`FrostError::Malformed`].
    pub fn peek(snapshot: &[u8]) -> Result<SessionId, FrostError> {
        let bad = |_| FrostError::malformed("repair snapshot", "not of the documented form");
        let (plan, _, _) = read_snapshot(&mut Decoder::new(snapshot)).map_err(bad)?;
        Ok(plan.session())
    }

    /// Goes on from a snapshot.
    ///
    /// # Errors
    /// [`FrostError::Malformed`], and those of [`Helper::new`] and [`Helper::receive`].
    pub fn restore(
        snapshot: &[u8],
        group: Group,
        share: SecretShare,
        device: DeviceKey,
    ) -> Result<Self, FrostError> {
        let bad = |_| FrostError::malformed("repair snapshot", "not of the documented form");
        let (plan, seed, envelopes) = read_snapshot(&mut Decoder::new(snapshot)).map_err(bad)?;
        let mut helper = Self::with_seed(plan, group, share, device, seed)?;
        // Complaints come again as long as they stand.
        for envelope in envelopes.iter().filter(|envelope| envelope.kind() != Kind::Complaint) {
            helper.receive(envelope)?;
        }
        Ok(helper)
    }
}

fn read_snapshot(
    d: &mut Decoder<'_>,
) -> Result<(RepairPlan, SecretKey32, Vec<Envelope>), minicbor::decode::Error> {
    if d.array()? != Some(4) || d.u8()? != 1 {
        return Err(minicbor::decode::Error::message("version"));
    }
    let plan = d.decode()?;
    let mut seed = Zeroizing::new([0; 32]);
    let bytes = d.bytes()?;
    if bytes.len() != 32 {
        return Err(minicbor::decode::Error::message("seed"));
    }
    seed.copy_from_slice(bytes);
    Ok((plan, SecretKey32::take(&mut seed), d.decode()?))
}

/// The side of the member that lost its share.
#[derive(Debug)]
pub struct Repair {
    plan: RepairPlan,
    group: Group,
    device: DeviceKey,
    mailbox: Mailbox,
}

impl Repair {
    /// Waits for the helpers' sums.
    ///
    /// # Errors
    /// Those of [`RepairPlan::check`]; [`FrostError::NotAuthentic`] when the plan names another device.
    pub fn new(plan: RepairPlan, group: Group, device: DeviceKey) -> Result<Self, FrostError> {
        plan.check(&group)?;
        if plan.device != device.public() {
            return Err(FrostError::NotAuthentic(plan.lost));
        }
        let kinds = &[Kind::RepairCommit, Kind::Sigma, Kind::Complaint];
        let mailbox = Mailbox::new(plan.session(), plan.lost, kinds, &plan.helpers);
        Ok(Self { plan, group, device, mailbox })
    }

    /// Takes a helper's sum, or what it shows of its pieces.
    ///
    /// # Errors
    /// As [`Helper::receive`].
    pub fn receive(&mut self, envelope: &Envelope) -> Result<(), FrostError> {
        self.mailbox.receive(envelope)
    }

    /// Whose messages are missing.
    pub fn waiting_for(&self) -> BTreeSet<Index> {
        let missing = [Kind::RepairCommit, Kind::Sigma].map(|kind| self.mailbox.missing(kind));
        missing.into_iter().flatten().collect()
    }

    /// What helpers have stopped for, while their messages are missing.
    pub fn trouble(&self) -> Option<FrostError> {
        let waits = self.waiting_for();
        complaints(&self.mailbox, |from| waits.contains(&from))
    }

    /// Puts the share together and checks that it is the lost one.
    ///
    /// # Errors
    /// [`FrostError::OutOfOrder`] while messages are missing; [`FrostError::BadContribution`] with all whose sum or pieces
    /// are wrong; [`FrostError::Disagreement`] with the helpers whose sums are wrong here and who were shown other pieces;
    /// [`FrostError::RepairFailed`] when the result does not fit the group's public share all the same.
    pub fn finish(&self) -> Result<SecretShare, FrostError> {
        if !self.waiting_for().is_empty() {
            return Err(FrostError::OutOfOrder("sums of helpers are still missing"));
        }
        let all = shown_by(&self.mailbox)?;
        let digest = digest(self.plan.session(), &all)?;
        let mut sums: Vec<Piece> = Vec::new();
        let mut same = vec![self.plan.lost];
        for envelope in self.mailbox.all(Kind::Sigma) {
            let said = secret_of::<64>(envelope, self.plan.lost, &self.device)?;
            let (sum, saw) = said.split_at(32);
            if saw == digest {
                same.push(envelope.from());
            }
            let mut kept = Zeroizing::new([0; 32]);
            kept.copy_from_slice(sum);
            sums.push((envelope.from(), kept));
        }
        with_curve!(self.group.suite(), C => {
            check_shown::<C>(&self.group, &self.plan.helper_ids::<C>()?, self.plan.lost, &all)?;
            let wrong = wrong_sums::<C>(&all, &sums);
            if wrong.is_empty() {
                // They give the share, whatever else anybody was shown.
                return finish::<C>(&self.group, self.plan.lost, &sums);
            }
            let (liars, misled): (Vec<Index>, Vec<Index>) = wrong.iter().partition(|from| same.contains(from));
            if !liars.is_empty() {
                return Err(FrostError::BadContribution(liars));
            }
            // Who was shown other pieces may have summed up rightly: somebody lied to one of us, or about it.
            let others: Vec<Index> =
                same.iter().chain(sums.iter().map(|(from, _)| from)).copied().filter(|from| !misled.contains(from)).collect();
            Err(FrostError::Disagreement { some: misled, others: others.into_iter().collect::<BTreeSet<_>>().into_iter().collect() })
        })
    }
}

/// What the others show of their pieces.
fn shown_by(mailbox: &Mailbox) -> Result<BTreeMap<Index, Shown>, FrostError> {
    let all = mailbox.all(Kind::RepairCommit);
    all.map(|envelope| Ok((envelope.from(), mailbox.read::<Shown>(envelope)?))).collect()
}

/// What a helper saw, so that nobody is blamed for what another has shown to one and not to the other.
fn digest(session: SessionId, all: &BTreeMap<Index, Shown>) -> Result<[u8; 32], FrostError> {
    let bytes = minicbor::to_vec(all).map_err(|_| FrostError::Internal("repair"))?;
    Ok(Transcript::new("keep/frost/repair pieces").with(session.as_bytes()).with(&bytes).finish())
}

/// The secret of a fixed length in a sealed message.
fn secret_of<const N: usize>(
    envelope: &Envelope,
    me: Index,
    device: &DeviceKey,
) -> Result<Zeroizing<[u8; N]>, FrostError> {
    let secret = envelope.open(me, device)?;
    let bytes =
        secret.as_slice().try_into().map_err(|_| FrostError::BadContribution(vec![envelope.from()]))?;
    Ok(Zeroizing::new(bytes))
}

/// Repairs a share on a device that holds a threshold of others.
///
/// # Errors
/// Those of [`SecretShare::check`]; [`FrostError::UnknownMember`]; [`FrostError::TooFewSigners`];
/// [`FrostError::Duplicate`].
pub fn repair_local(
    group: &Group,
    helpers: &[&SecretShare],
    lost: Index,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<SecretShare, FrostError> {
    check_shares(group, helpers)?;
    group.member(lost)?;
    if helpers.iter().any(|s| s.index() == lost) {
        return Err(FrostError::Duplicate(lost));
    }
    with_curve!(group.suite(), C => {
        let ids = helpers.iter().map(|s| identifier::<C>(s.index())).collect::<Result<Vec<_>, _>>()?;
        let mut pieces: BTreeMap<Index, Vec<Piece>> = BTreeMap::new();
        for share in helpers {
            for (to, delta) in deltas::<C>(&ids, group, share, lost, rng)? {
                pieces.entry(to).or_default().push((share.index(), delta));
            }
        }
        let sums = pieces.iter().map(|(i, p)| Ok((*i, sum::<C>(p)?))).collect::<Result<Vec<_>, FrostError>>()?;
        finish::<C>(group, lost, &sums)
    })
}
