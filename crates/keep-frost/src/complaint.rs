//! A member that cannot go on says so: the others do not wait for it in vain.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use crate::mailbox::Mailbox;
use crate::wire::{Envelope, Kind};
use crate::{DeviceKey, FrostError, Index, SessionId};

/// Because of whom its sender stops. It is a claim, not a proof: it ends nothing for those who have everything they need.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Complaint {
    #[n(0)]
    about: Vec<Index>,
}

/// Tells the others of a member's fault. None for what is no member's.
pub(crate) fn complain(
    error: &FrostError,
    session: SessionId,
    me: Index,
    device: &DeviceKey,
) -> Result<Option<Envelope>, FrostError> {
    let about = match error {
        FrostError::BadContribution(wrong) => wrong.clone(),
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
