//! What of the messages that came belongs to a ceremony. The rest is left out, each with its reason: it stops nothing, and
//! nothing is ever made of it.

use std::collections::BTreeSet;

use keep_frost::ceremony::Plan;
use keep_frost::repair::RepairPlan;
use keep_frost::wire::{Envelope, Kind};
use keep_frost::{DevicePublic, FrostError, Index, Place, SessionId};
use keep_types::{Fault, SkippedMessage};

use super::GroupRecord;

/// What a plan about another share is not.
const OTHER_REPAIR: &str = "plan of this repair";

/// A message that is left out.
#[derive(Debug, Clone)]
struct LeftOut {
    /// Its place among those that came.
    at: usize,
    kind: Option<Kind>,
    why: FrostError,
}

/// The messages of one ceremony, out of many.
#[derive(Debug, Clone)]
pub struct Sorted<P> {
    plan: Option<(P, Envelope)>,
    came: Vec<Envelope>,
    /// What members here have said to others, and others to others: as it came, not looked at.
    elsewhere: Vec<Envelope>,
    left_out: Vec<LeftOut>,
    wrong: Option<FrostError>,
}

impl<P> Sorted<P> {
    /// The plan, and the message that it came in.
    pub const fn plan(&self) -> Option<&(P, Envelope)> {
        self.plan.as_ref()
    }

    /// Why the plans that are there are of no use, if none is, and what to do.
    pub fn wrong(&self) -> Option<Fault> {
        let hint = match self.wrong.as_ref()? {
            FrostError::WrongEpoch { .. } | FrostError::WrongSharing => {
                "this directory is of another ceremony: take an empty one for each"
            }
            FrostError::Malformed { what, .. } if *what == OTHER_REPAIR => {
                "name with --share the member whose share the plan is about"
            }
            FrostError::BadPlan { .. } => {
                "if a member has changed its device key, take the new one with `keep frost device` here; else ask the member \
                 that made the plan about it, and take an empty directory for another one"
            }
            _ => "ask the member that made the plan for it again, or take an empty directory",
        };
        self.wrong.clone().map(|why| Fault::from(why).with_hint(hint))
    }

    /// What members here are to take.
    pub(super) fn came(&self) -> &[Envelope] {
        &self.came
    }

    /// Whether a member here has said something in this ceremony, by its own signature. Complaints do not count: nothing is
    /// kept where they are made.
    pub(super) fn has_said(&self, member: Index, device: &DevicePublic) -> bool {
        self.has_signed(member, device, |kind| kind != Kind::Complaint)
    }

    /// Whether a member here has certified this ceremony.
    pub(super) fn has_certified(&self, member: Index, device: &DevicePublic) -> bool {
        self.has_signed(member, device, |kind| kind == Kind::Certificate)
    }

    fn has_signed(&self, member: Index, device: &DevicePublic, counts: impl Fn(Kind) -> bool) -> bool {
        let plan = self.plan.iter().map(|(_, envelope)| envelope);
        let mut said = plan.chain(&self.elsewhere).filter(|said| said.from() == member);
        said.any(|said| counts(said.kind()) && said.authenticate(device).is_ok())
    }

    /// What was left out, and why.
    pub fn skipped(&self) -> Vec<SkippedMessage> {
        let skipped = self.left_out.iter();
        skipped.map(|left| SkippedMessage { at: left.at, fault: left.why.clone().into() }).collect()
    }

    /// A message that says to be of a member that is waited for, and that it did not sign: as long as there is no right one in
    /// its place, the owner has to see to it.
    pub(super) fn forged(&self, waiting_for: &[u16]) -> Option<Fault> {
        let missing = self.left_out.iter().find(|left| match &left.why {
            FrostError::NotAuthentic(from) => {
                let right =
                    self.came.iter().any(|came| came.from() == *from && Some(came.kind()) == left.kind);
                waiting_for.contains(&from.get()) && !right && !left.kind.is_some_and(is_plan)
            }
            _ => false,
        });
        missing.map(|left| {
            Fault::from(left.why.clone()).with_hint("ask the member for its message, and run this step again")
        })
    }
}

const fn is_plan(kind: Kind) -> bool {
    matches!(kind, Kind::Plan | Kind::RepairPlan)
}

/// The plans among messages, and the rest.
struct Plans<P> {
    found: Vec<(usize, P, Envelope)>,
    rest: Vec<(usize, Envelope)>,
    left_out: Vec<LeftOut>,
}

/// Reads the messages, and the plans of this kind among them.
fn plans<P>(messages: &[Vec<u8>], kind: Kind, read: impl Fn(&Envelope) -> Result<P, FrostError>) -> Plans<P> {
    let mut plans = Plans { found: Vec::new(), rest: Vec::new(), left_out: Vec::new() };
    for (at, bytes) in messages.iter().enumerate() {
        match Envelope::from_bytes(bytes) {
            Ok(envelope) if envelope.kind() == kind => match read(&envelope) {
                Ok(plan) => plans.found.push((at, plan, envelope)),
                Err(why) => plans.left_out.push(LeftOut { at, kind: Some(kind), why }),
            },
            Ok(envelope) => plans.rest.push((at, envelope)),
            Err(why) => plans.left_out.push(LeftOut { at, kind: None, why }),
        }
    }
    plans
}

impl<P> Plans<P> {
    /// The one plan that `fits`; those that do not are left out.
    ///
    /// # Errors
    /// [`FrostError::Malformed`] when several fit.
    fn choose(
        mut self,
        what: &'static str,
        fits: impl Fn(&P, &Envelope) -> Result<(), FrostError>,
        place: impl Fn(&P, &Envelope) -> Result<Place, FrostError>,
    ) -> Result<Sorted<P>, FrostError> {
        let mut chosen: Option<(P, Envelope)> = None;
        for (at, plan, envelope) in self.found {
            match (fits(&plan, &envelope), &chosen) {
                (Err(why), _) => self.left_out.push(LeftOut { at, kind: Some(envelope.kind()), why }),
                (Ok(()), None) => chosen = Some((plan, envelope)),
                (Ok(()), Some((_, first))) if first.session() == envelope.session() => {}
                (Ok(()), Some((_, first))) => {
                    return Err(several(what, &[first.session(), envelope.session()]));
                }
            }
        }
        let mut wrong = self.left_out.iter().filter(|left| left.kind.is_some() && !is_foreign(&left.why));
        let wrong = if chosen.is_none() { wrong.next().map(|left| left.why.clone()) } else { None };
        let (mut came, mut elsewhere) = (Vec::new(), Vec::new());
        for (at, envelope) in self.rest {
            let placed = match &chosen {
                Some((plan, _)) => place(plan, &envelope),
                // What is wrong is the plan.
                None if wrong.is_some() => continue,
                None => Err(FrostError::WrongSession),
            };
            match placed {
                Ok(Place::Here) => came.push(envelope),
                Ok(Place::Elsewhere) => elsewhere.push(envelope),
                Err(why) => self.left_out.push(LeftOut { at, kind: Some(envelope.kind()), why }),
            }
        }
        self.left_out.sort_by_key(|left| left.at);
        Ok(Sorted { plan: chosen, came, elsewhere, left_out: self.left_out, wrong })
    }
}

/// What is wrong with a plan that a member has signed, and was wrong when it made it.
fn blamed(why: FrostError, from: Index) -> FrostError {
    match why {
        FrostError::Malformed { reason, .. } => FrostError::BadPlan { from, reason },
        other => other,
    }
}

/// A plan that has nothing to do with this group stands in nobody's way.
const fn is_foreign(why: &FrostError) -> bool {
    matches!(why, FrostError::WrongGroup | FrostError::WrongSuite { .. })
}

fn several(what: &'static str, sessions: &[SessionId]) -> FrostError {
    let names: Vec<String> = sessions.iter().map(|id| id.to_string().chars().take(8).collect()).collect();
    let reason = format!(
        "there are several, of the sessions {}…; take another directory for each, or remove what is not yours",
        names.join("… and ")
    );
    FrostError::Malformed { what, reason }
}

impl GroupRecord {
    /// Which of the messages are of a renewal of this group: the present one, or the last that came to its end here.
    ///
    /// # Errors
    /// [`FrostError::Malformed`] when there are several plans.
    pub fn sort_renewal(&self, messages: &[Vec<u8>]) -> Result<Sorted<Plan>, FrostError> {
        let held = |plan: &Plan| -> BTreeSet<Index> {
            self.shares.iter().filter(|index| plan.members().contains_key(index)).copied().collect()
        };
        plans(messages, Kind::Plan, |envelope| Plan::read(envelope, &self.group)).choose(
            "refresh plan",
            |plan, envelope| {
                if self.is_finished(plan) {
                    return Ok(());
                }
                plan.fits(&self.group).map_err(|why| blamed(why, envelope.from()))
            },
            |plan, envelope| plan.place(&held(plan), envelope),
        )
    }

    /// Whether the renewal by this plan has come to its end here.
    pub fn is_finished(&self, plan: &Plan) -> bool {
        self.last_refresh.as_ref().is_some_and(|last| last.session == *plan.session().as_bytes())
    }

    /// Which of the messages are of the repair of the share of `lost`. Whoever lost it, here, knows its own plan by `device`.
    ///
    /// # Errors
    /// [`FrostError::Malformed`] when there are several plans.
    pub fn sort_repair(
        &self,
        lost: Index,
        device: Option<DevicePublic>,
        messages: &[Vec<u8>],
    ) -> Result<Sorted<RepairPlan>, FrostError> {
        let here = |plan: &RepairPlan| -> BTreeSet<Index> {
            if device.is_some() {
                return BTreeSet::from([lost]);
            }
            self.shares.iter().filter(|index| plan.helpers().contains_key(index)).copied().collect()
        };
        let read = |envelope: &Envelope| {
            let plan = RepairPlan::read(envelope)?;
            if envelope.from() == plan.lost() {
                Ok(plan)
            } else {
                Err(FrostError::NotAuthentic(envelope.from()))
            }
        };
        let fits = |plan: &RepairPlan, _: &Envelope| {
            plan.check(&self.group)?;
            if plan.lost() != lost {
                let reason = format!("it is about the share of member {}", plan.lost());
                return Err(FrostError::Malformed { what: OTHER_REPAIR, reason });
            }
            if device.is_some_and(|device| device != plan.device()) {
                return Err(FrostError::NotAuthentic(lost));
            }
            Ok(())
        };
        plans(messages, Kind::RepairPlan, read)
            .choose("repair plan", fits, |plan, envelope| plan.place(&here(plan), envelope))
    }
}
