//! A member that cannot go on says so: the others do not wait for it in vain.

use std::collections::BTreeSet;

use minicbor::{Decode, Decoder, Encode};

use crate::mailbox::Mailbox;
use crate::wire::{Envelope, Kind};
use crate::{DeviceKey, FrostError, Index, SessionId};

/// Because of whom its sender stops. It is a claim, not a proof: it ends nothing for those who have everything they need.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Complaint {
    #[cbor(n(0), decode_with = "bounded")]
    about: Vec<Index>,
}

/// Members, each once: no more than a group may have.
fn bounded<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Vec<Index>, minicbor::decode::Error> {
    let bad = minicbor::decode::Error::message;
    let count = d.array()?.ok_or_else(|| bad("of no known length"))?;
    if count > u64::from(Index::MAX) {
        return Err(bad("too many"));
    }
    let mut about = BTreeSet::new();
    for _ in 0..count {
        if !about.insert(d.decode::<Index>()?) {
            return Err(bad("named twice"));
        }
    }
    Ok(about.into_iter().collect())
}

/// Whether a complaint has its form.
pub(crate) fn check(envelope: &Envelope) -> Result<(), FrostError> {
    match minicbor::decode::<Complaint>(envelope.body()) {
        Ok(_) => Ok(()),
        Err(_) => {
            let reason = format!("it does not name at most {} members, each once", Index::MAX);
            Err(FrostError::malformed("complaint", reason))
        }
    }
}

/// Tells the others of a member's fault. None for what is no member's.
pub(crate) fn complain(
    error: &FrostError,
    session: SessionId,
    me: Index,
    device: &DeviceKey,
) -> Result<Option<Envelope>, FrostError> {
    let about = match error {
        FrostError::BadContribution(wrong) => {
            wrong.iter().copied().collect::<BTreeSet<_>>().into_iter().collect()
        }
        FrostError::Equivocation(from) | FrostError::Unreadable(from) => vec![*from],
        _ => return Ok(None),
    };
    Envelope::sign(Kind::Complaint, session, me, device, &Complaint { about }).map(Some)
}

/// What those complain of who are still `concerned`.
pub(crate) fn complaints(mailbox: &Mailbox, concerned: impl Fn(Index) -> bool) -> Option<FrostError> {
    let (mut by, mut about) = (BTreeSet::new(), BTreeSet::new());
    for envelope in mailbox.all(Kind::Complaint).filter(|envelope| concerned(envelope.from())) {
        by.insert(envelope.from());
        if let Ok(complaint) = mailbox.read::<Complaint>(envelope) {
            about.extend(complaint.about);
        }
    }
    let (by, about): (Vec<Index>, Vec<Index>) = (by.into_iter().collect(), about.into_iter().collect());
    (!by.is_empty()).then_some(FrostError::Complaint { by, about })
}
