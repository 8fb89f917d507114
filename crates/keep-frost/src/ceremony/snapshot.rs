//! What is written down of a ceremony between its steps.

use keep_types::{SecretBytes, SecretKey32};
use minicbor::{Decoder, Encoder};
use zeroize::Zeroizing;

use super::engine::{Ceremony, check_refresh, made_of};
use super::plan::Plan;
use crate::wire::{Envelope, Kind};
use crate::{DeviceKey, FrostError, Group, Index, SecretShare};

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    plan: Plan,
    has_all: bool,
}

impl Peeked {
    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether its member has certified the result: all is there that it is made of. A snapshot that was made after
    /// [`Ceremony::advance`] failed says so, too.
    pub const fn is_certified(&self) -> bool {
        self.has_all
    }
}

impl Ceremony {
    /// Everything needed to go on in another process, but for device key and old share, and for complaints: these count for as
    /// long as they are there. Secret.
    ///
    /// # Errors
    /// [`FrostError::Internal`] if encoding fails.
    pub fn snapshot(&self) -> Result<SecretBytes, FrostError> {
        let mut out = Vec::with_capacity(1024);
        let mut e = Encoder::new(&mut out);
        let mut write = || -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
            e.array(5)?.u8(1)?.encode(&self.plan)?.encode(self.me)?;
            e.bytes(self.seed.expose())?.encode(self.mailbox.envelopes())?;
            Ok(())
        };
        write().map_err(|_| FrostError::Internal("snapshot"))?;
        Ok(SecretBytes::new(out))
    }

    /// Looks at a snapshot without going on from it, whatever the group is by now.
    ///
    /// # Errors
    /// [`FrostError::Malformed`].
    pub fn peek(snapshot: &[u8]) -> Result<Peeked, FrostError> {
        let (plan, me, _, envelopes) = read(snapshot)?;
        let is_there = |kind: Kind, from: Index| {
            envelopes.iter().any(|envelope| envelope.kind() == kind && envelope.from() == from)
        };
        let mut others = plan.members().keys().filter(|index| **index != me);
        let has_all = others.all(|from| made_of(&plan).iter().all(|kind| is_there(*kind, *from)));
        Ok(Peeked { plan, has_all })
    }

    /// Goes on from a snapshot. For a refresh the old group and share are given again.
    ///
    /// # Errors
    /// [`FrostError::Malformed`], and those of [`Ceremony::generate`], [`Ceremony::refresh`] and
    /// [`Ceremony::receive`].
    pub fn restore(
        snapshot: &[u8],
        device: DeviceKey,
        old: Option<(Group, SecretShare)>,
    ) -> Result<Self, FrostError> {
        let (plan, me, seed, envelopes) = read(snapshot)?;
        match (&old, plan.is_refresh()) {
            (Some((group, share)), true) if share.index() == me => check_refresh(&plan, group, share)?,
            (None, false) => {}
            _ => return Err(FrostError::malformed("ceremony snapshot", "it belongs to another share")),
        }
        let mut ceremony = Self::new(plan, me, device, seed, old)?;
        // Complaints come again as long as they stand.
        for envelope in envelopes.iter().filter(|envelope| envelope.kind() != Kind::Complaint) {
            ceremony.receive(envelope)?;
        }
        Ok(ceremony)
    }
}

type Snapshot = (Plan, Index, SecretKey32, Vec<Envelope>);

fn read(snapshot: &[u8]) -> Result<Snapshot, FrostError> {
    read_snapshot(&mut Decoder::new(snapshot))
        .map_err(|_| FrostError::malformed("ceremony snapshot", "not of the documented form"))
}

fn read_snapshot(d: &mut Decoder<'_>) -> Result<Snapshot, minicbor::decode::Error> {
    if d.array()? != Some(5) || d.u8()? != 1 {
        return Err(minicbor::decode::Error::message("version"));
    }
    let (plan, me) = (d.decode()?, d.decode()?);
    let mut seed = Zeroizing::new([0; 32]);
    let bytes = d.bytes()?;
    if bytes.len() != 32 {
        return Err(minicbor::decode::Error::message("seed"));
    }
    seed.copy_from_slice(bytes);
    Ok((plan, me, SecretKey32::take(&mut seed), d.decode()?))
}
