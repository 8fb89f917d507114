//! Renewal and repair of shares, here or among vaults, and the device keys that the members know each other by.

use std::collections::{BTreeMap, BTreeSet};

use keep_frost::wire::Envelope;
use keep_frost::{DevicePublic, Index};
use keep_types::{Answer, CeremonyStep, ErrorCode, Fault, GroupUse, Intent};
use keep_vault::{GroupRecord, Sorted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lookup::{group, index};
use super::texts::Texts;
use super::views::{DeviceView, GroupView, SkippedView, StepView, StopView};
use crate::call::{Call, Class, Host};
use crate::keys::bug;

/// The members that keep a share when these are dropped.
fn kept(record: &GroupRecord, dropped: &[u16]) -> Result<Vec<u16>, Fault> {
    for number in dropped {
        record.group.member(index(*number)?)?;
    }
    Ok(record.group.indices().map(Index::get).filter(|number| !dropped.contains(number)).collect())
}

/// Renews the shares that are here, all at once: same key, next epoch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refresh {
    pub group: Option<String>,
    pub drop: Vec<u16>,
    /// Renewals among vaults that are under way are given up.
    #[serde(default)]
    pub abandon: bool,
}

impl Call for Refresh {
    const NAME: &'static str = "frost.refresh";
    const CLASS: Class = Class::Manage;
    type Reply = GroupView;

    fn run(self, host: &Host) -> Result<GroupView, Fault> {
        host.check_intact()?;
        let record = group(host, self.group.as_deref())?;
        let keep = kept(&record, &self.drop)?;
        let elsewhere: Vec<String> = keep
            .iter()
            .filter(|number| !record.shares.iter().any(|held| held.get() == **number))
            .map(ToString::to_string)
            .collect();
        if !elsewhere.is_empty() {
            return Err(Fault::new(
                ErrorCode::InvalidInput,
                format!("the shares of members {} are not in this vault", elsewhere.join(", ")),
            )
            .with_hint("renew them together with --exchange DIR, or leave these members out with --drop"));
        }
        let refresh = GroupUse::Refresh { keep, abandon: self.abandon };
        host.answer(record.id, Intent::Group(Box::new(refresh)))?;
        Ok(GroupView::new(&host.vault().group(record.id)?, host.vault().id()))
    }
}

/// A step of a renewal among vaults. With `begin` this side may make the plan.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RefreshStep {
    pub group: Option<String>,
    pub begin: bool,
    pub drop: Vec<u16>,
    pub messages: Vec<String>,
    /// Renewals that are under way, other than the one of the messages, are given up.
    #[serde(default)]
    pub abandon: bool,
}

impl Call for RefreshStep {
    const NAME: &'static str = "frost.refresh_step";
    const CLASS: Class = Class::Manage;
    type Reply = StepView;

    fn run(self, host: &Host) -> Result<StepView, Fault> {
        host.check_intact()?;
        let record = group(host, self.group.as_deref())?;
        let texts = Texts::read(&self.messages);
        let sorted = record.sort_renewal(&texts.bytes)?;
        let is_over = sorted.plan().is_some_and(|(plan, _)| record.is_finished(plan));
        if is_over {
            check_dropped(&record, &self.drop)?;
        }
        let keep = if self.begin && !is_over { Some(kept(&record, &self.drop)?) } else { None };
        let step = GroupUse::RefreshStep { keep, messages: texts.bytes.clone(), abandon: self.abandon };
        ceremony(host.answer(record.id, Intent::Group(Box::new(step)))?, &texts)
    }
}

/// After a renewal that has come to its end, those whom it was to drop are no members.
fn check_dropped(record: &GroupRecord, dropped: &[u16]) -> Result<(), Fault> {
    for number in dropped {
        if record.group.member(index(*number)?).is_ok() {
            let message =
                format!("this directory is of a finished renewal, in which member {number} kept its share");
            return Err(Fault::new(ErrorCode::InvalidInput, message)
                .with_hint("take an empty directory for each renewal"));
        }
    }
    Ok(())
}

/// What the plan among the messages asks for, before anybody takes part in it: that of a renewal, or of the repair of the share
/// of member `lost`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InspectPlan {
    pub group: Option<String>,
    #[serde(default)]
    pub lost: Option<u16>,
    pub messages: Vec<String>,
}

/// A plan that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanView {
    /// The group's name here.
    pub group: String,
    /// `refresh` or `repair`; none if there is no plan among the messages.
    pub kind: Option<String>,
    /// Who made it.
    pub from: Option<u16>,
    /// Of a refresh, the members that keep a share; of a repair, those that help.
    pub members: Vec<u16>,
    /// Whose share is made again.
    pub lost: Option<u16>,
    /// Of a repair, the device key that will get the share, in hexadecimal.
    pub device: Option<String>,
    /// Whether the group's roster has this device for that member.
    pub device_known: bool,
    /// What is left out of the messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedView>,
    /// Why the plans that are there are of no use, if none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<StopView>,
}

impl Call for InspectPlan {
    const NAME: &'static str = "frost.inspect_plan";
    const CLASS: Class = Class::Use;
    type Reply = PlanView;

    fn run(self, host: &Host) -> Result<PlanView, Fault> {
        let record = group(host, self.group.as_deref())?;
        let mut view = PlanView {
            group: record.name.to_string(),
            kind: None,
            from: None,
            members: Vec::new(),
            lost: None,
            device: None,
            device_known: false,
            skipped: Vec::new(),
            wrong: None,
        };
        let texts = Texts::read(&self.messages);
        match self.lost {
            None => {
                let sorted = record.sort_renewal(&texts.bytes)?;
                view.left_out(&texts, &sorted);
                if let Some((plan, envelope)) = sorted.plan() {
                    view.kind = Some("refresh".to_owned());
                    view.from = Some(envelope.from().get());
                    view.members = plan.members().keys().map(|index| index.get()).collect();
                }
            }
            Some(lost) => {
                let sorted = record.sort_repair(index(lost)?, None, &texts.bytes)?;
                view.left_out(&texts, &sorted);
                if let Some((plan, envelope)) = sorted.plan() {
                    view.kind = Some("repair".to_owned());
                    view.from = Some(envelope.from().get());
                    view.members = plan.helpers().keys().map(|index| index.get()).collect();
                    view.lost = Some(plan.lost().get());
                    view.device = Some(plan.device().to_string());
                    view.device_known = record.group.device(plan.lost()) == Ok(plan.device());
                }
            }
        }
        Ok(view)
    }
}

impl PlanView {
    fn left_out<P>(&mut self, texts: &Texts, sorted: &Sorted<P>) {
        self.skipped = texts.skipped(&sorted.skipped());
        self.wrong = sorted.wrong().as_ref().map(StopView::from);
    }
}

/// Makes a lost share again from those that are here.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Repair {
    pub group: Option<String>,
    pub index: u16,
    /// Also in the middle of a renewal that the device key does not fit, which is given up.
    #[serde(default)]
    pub abandon: bool,
}

impl Call for Repair {
    const NAME: &'static str = "frost.repair";
    const CLASS: Class = Class::Manage;
    type Reply = GroupView;

    fn run(self, host: &Host) -> Result<GroupView, Fault> {
        host.check_intact()?;
        let record = group(host, self.group.as_deref())?;
        let repair = GroupUse::Repair { index: self.index, abandon: self.abandon };
        host.answer(record.id, Intent::Group(Box::new(repair)))?;
        Ok(GroupView::new(&host.vault().group(record.id)?, host.vault().id()))
    }
}

/// A step of a repair among vaults, on the side that helps.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RepairStep {
    pub group: Option<String>,
    pub index: u16,
    pub messages: Vec<String>,
    /// Also in the middle of a renewal that the device key does not fit, which is given up.
    #[serde(default)]
    pub abandon: bool,
}

impl Call for RepairStep {
    const NAME: &'static str = "frost.repair_step";
    const CLASS: Class = Class::Manage;
    type Reply = StepView;

    fn run(self, host: &Host) -> Result<StepView, Fault> {
        host.check_intact()?;
        let record = group(host, self.group.as_deref())?;
        let texts = Texts::read(&self.messages);
        let Self { index, abandon, .. } = self;
        let step = GroupUse::RepairStep { index, messages: texts.bytes.clone(), abandon };
        ceremony(host.answer(record.id, Intent::Group(Box::new(step)))?, &texts)
    }
}

/// A step of a repair among vaults, on the side that has lost its share. Without helpers, the first threshold of the
/// other members.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RepairOwn {
    pub group: Option<String>,
    pub index: u16,
    pub helpers: Vec<u16>,
    pub messages: Vec<String>,
    /// Also in the middle of a renewal that the device key does not fit, which is given up.
    #[serde(default)]
    pub abandon: bool,
}

impl Call for RepairOwn {
    const NAME: &'static str = "frost.repair_own";
    const CLASS: Class = Class::Manage;
    type Reply = StepView;

    fn run(self, host: &Host) -> Result<StepView, Fault> {
        host.check_intact()?;
        let record = group(host, self.group.as_deref())?;
        let lost = index(self.index)?;
        let helpers: BTreeSet<Index> = if self.helpers.is_empty() {
            let others = record.group.indices().filter(|index| *index != lost);
            others.take(usize::from(record.group.threshold())).collect()
        } else {
            self.helpers.iter().map(|number| index(*number)).collect::<Result<_, _>>()?
        };
        let texts = Texts::read(&self.messages);
        let step = host.vault().repair_own(record.id, lost, &helpers, &texts.bytes, self.abandon)?;
        view(step, &texts)
    }
}

/// Gives a member whose share is here a new device key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RotateDevice {
    pub group: Option<String>,
    pub index: u16,
    /// Also in the middle of a renewal, which is given up.
    #[serde(default)]
    pub abandon: bool,
}

impl Call for RotateDevice {
    const NAME: &'static str = "frost.rotate_device";
    const CLASS: Class = Class::Manage;
    type Reply = DeviceView;

    fn run(self, host: &Host) -> Result<DeviceView, Fault> {
        host.check_intact()?;
        let record = group(host, self.group.as_deref())?;
        let (device, notice) = host.vault().rotate_device(record.id, index(self.index)?, self.abandon)?;
        Ok(DeviceView {
            group: record.name.to_string(),
            index: self.index,
            device: device.to_string(),
            notice: notice.map(|envelope| envelope.to_text()).transpose()?,
        })
    }
}

/// Takes new device keys of other members: from messages that their old keys signed, or on the owner's word.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TakeDevices {
    pub group: Option<String>,
    pub notices: Vec<String>,
    pub trusted: BTreeMap<u16, String>,
    /// Also in the middle of a renewal that these device keys do not fit, which is given up.
    #[serde(default)]
    pub abandon: bool,
}

impl Call for TakeDevices {
    const NAME: &'static str = "frost.take_devices";
    const CLASS: Class = Class::Manage;
    type Reply = GroupView;

    fn run(self, host: &Host) -> Result<GroupView, Fault> {
        host.check_intact()?;
        let record = group(host, self.group.as_deref())?;
        let mut notices = Vec::with_capacity(self.notices.len());
        for (at, notice) in self.notices.iter().enumerate() {
            notices.push(Envelope::parse(notice).map_err(|error| of_notice(at, error.into()))?);
        }
        // All of them, or none.
        let (mut devices, mut so_far) = (BTreeMap::new(), record.clone());
        for (at, notice) in notices.iter().enumerate() {
            let device = so_far.noticed_device(notice).map_err(|error| of_notice(at, error.into()))?;
            let new = BTreeMap::from([(notice.from(), device)]);
            so_far.group = so_far.group.with_devices(&new)?;
            devices.extend(new);
        }
        for (number, text) in &self.trusted {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text, &mut bytes)
                .map_err(|_| Fault::new(ErrorCode::InvalidInput, "a device key has 64 hex digits"))?;
            devices.insert(index(*number)?, DevicePublic::from_bytes(bytes));
        }
        if !devices.is_empty() {
            host.vault().trust_devices(record.id, devices, self.abandon)?;
        }
        Ok(GroupView::new(&host.vault().group(record.id)?, host.vault().id()))
    }
}

/// An error with one of several notices.
fn of_notice(at: usize, fault: Fault) -> Fault {
    let hint = fault.hint().to_owned();
    Fault::new(fault.code(), format!("in notice {}: {}", at + 1, fault.message())).with_hint(hint)
}

fn ceremony(answer: Answer, texts: &Texts) -> Result<StepView, Fault> {
    match answer {
        Answer::Ceremony(step) => view(step, texts),
        _ => Err(bug("a step gave something else than messages")),
    }
}

fn view(step: CeremonyStep, texts: &Texts) -> Result<StepView, Fault> {
    let mut messages = Vec::with_capacity(step.messages.len());
    let mut session = None;
    for bytes in &step.messages {
        let envelope = Envelope::from_bytes(bytes)?;
        session = Some(envelope.session().to_string());
        messages.push(super::session::named(&envelope)?);
    }
    let stopped = step.stopped.as_ref().map(StopView::from);
    let skipped = texts.skipped(&step.skipped);
    let CeremonyStep { waiting_for, done, two_faced, .. } = step;
    Ok(StepView { session, messages, waiting_for, done, stopped, two_faced, skipped })
}
