//! The calls of ceremonies among vaults: renewal and repair of shares, message by message, and the keys of the members' devices.

use std::collections::BTreeMap;

use keep_types::Fault;

use super::{
    DeviceView, Frost, GroupView, InspectPlan, PlanView, RefreshStep, Repair, RepairOwn, RepairStep,
    RotateDevice, StepView, TakeDevices, owned,
};

impl Frost {
    /// A step of a renewal among vaults: takes what has come, gives what is to be sent. With `begin` it may start one. What is no
    /// part of it is left out, and said to be.
    ///
    /// # Errors
    /// When there is no plan, and none may be made; when it does not fit. What stops it otherwise is said in the view.
    pub fn refresh_step(
        &self,
        group: Option<&str>,
        begin: bool,
        drop: Vec<u16>,
        messages: Vec<String>,
    ) -> Result<StepView, Fault> {
        self.keep.call(RefreshStep { group: owned(group), begin, drop, messages, abandon: false })
    }

    /// As [`refresh_step`](Self::refresh_step), giving up every other renewal that is under way here. Others may go over to its
    /// end all the same, and their shares do not sign with those that are here then.
    ///
    /// # Errors
    /// As [`refresh_step`](Self::refresh_step).
    pub fn refresh_step_abandoning(
        &self,
        group: Option<&str>,
        begin: bool,
        drop: Vec<u16>,
        messages: Vec<String>,
    ) -> Result<StepView, Fault> {
        self.keep.call(RefreshStep { group: owned(group), begin, drop, messages, abandon: true })
    }

    /// What the plan among the messages asks for: that of a renewal, or with `lost` that of the repair of this member's share.
    ///
    /// # Errors
    /// When there are several.
    pub fn inspect_plan(
        &self,
        group: Option<&str>,
        lost: Option<u16>,
        messages: Vec<String>,
    ) -> Result<PlanView, Fault> {
        self.keep.call(InspectPlan { group: owned(group), lost, messages })
    }

    /// Makes a lost share again from those that are here.
    ///
    /// # Errors
    /// When there are too few, or the share is here; while a renewal that was begun here with another device key of the member
    /// is not done.
    pub fn repair(&self, group: Option<&str>, index: u16) -> Result<GroupView, Fault> {
        self.keep.call(Repair { group: owned(group), index, abandon: false })
    }

    /// As [`repair`](Self::repair), giving up renewals that were begun here with another device key of the member. If they were
    /// certified here, others may go over to their end all the same.
    ///
    /// # Errors
    /// As [`repair`](Self::repair).
    pub fn repair_abandoning(&self, group: Option<&str>, index: u16) -> Result<GroupView, Fault> {
        self.keep.call(Repair { group: owned(group), index, abandon: true })
    }

    /// A step of a repair among vaults, on the side that helps.
    ///
    /// # Errors
    /// When a message is wrong; whoever sent it is named. While a renewal that was begun here with another device key of the
    /// member is not done.
    pub fn repair_step(
        &self,
        group: Option<&str>,
        index: u16,
        messages: Vec<String>,
    ) -> Result<StepView, Fault> {
        self.keep.call(RepairStep { group: owned(group), index, messages, abandon: false })
    }

    /// As [`repair_step`](Self::repair_step), giving up renewals that were begun here with another device key of the member. If
    /// they were certified here, others may go over to their end all the same.
    ///
    /// # Errors
    /// As [`repair_step`](Self::repair_step).
    pub fn repair_step_abandoning(
        &self,
        group: Option<&str>,
        index: u16,
        messages: Vec<String>,
    ) -> Result<StepView, Fault> {
        self.keep.call(RepairStep { group: owned(group), index, messages, abandon: true })
    }

    /// A step of a repair among vaults, on the side that has lost its share.
    ///
    /// # Errors
    /// As [`repair_step`](Self::repair_step); when the share that comes out is not the lost one.
    pub fn repair_own(
        &self,
        group: Option<&str>,
        index: u16,
        helpers: Vec<u16>,
        messages: Vec<String>,
    ) -> Result<StepView, Fault> {
        self.keep.call(RepairOwn { group: owned(group), index, helpers, messages, abandon: false })
    }

    /// As [`repair_own`](Self::repair_own), giving up renewals that were begun here with another device key of the member. If they
    /// were certified here, others may go over to their end all the same.
    ///
    /// # Errors
    /// As [`repair_own`](Self::repair_own).
    pub fn repair_own_abandoning(
        &self,
        group: Option<&str>,
        index: u16,
        helpers: Vec<u16>,
        messages: Vec<String>,
    ) -> Result<StepView, Fault> {
        self.keep.call(RepairOwn { group: owned(group), index, helpers, messages, abandon: true })
    }

    /// Gives a member whose share is here a new device key.
    ///
    /// # Errors
    /// When the share is not here; while a renewal that was begun here with the present key is not done.
    pub fn rotate_device(&self, group: Option<&str>, index: u16) -> Result<DeviceView, Fault> {
        self.keep.call(RotateDevice { group: owned(group), index, abandon: false })
    }

    /// As [`rotate_device`](Self::rotate_device), giving up renewals that were begun here with the present key. If they were
    /// certified here, others may go over to their end all the same, and their shares do not sign with those that are here then.
    ///
    /// # Errors
    /// When the share is not here.
    pub fn rotate_device_abandoning(&self, group: Option<&str>, index: u16) -> Result<DeviceView, Fault> {
        self.keep.call(RotateDevice { group: owned(group), index, abandon: true })
    }

    /// Takes new device keys of other members: from signed notices, or on the owner's word.
    ///
    /// # Errors
    /// When a notice is not signed with the member's old key; while a renewal that was begun here with the old keys is not done.
    pub fn take_devices(
        &self,
        group: Option<&str>,
        notices: Vec<String>,
        trusted: BTreeMap<u16, String>,
    ) -> Result<GroupView, Fault> {
        self.keep.call(TakeDevices { group: owned(group), notices, trusted, abandon: false })
    }

    /// As [`take_devices`](Self::take_devices), giving up renewals that were begun here with the old keys. If they were certified
    /// here, others may go over to their end all the same, and their shares do not sign with those that are here then.
    ///
    /// # Errors
    /// As [`take_devices`](Self::take_devices).
    pub fn take_devices_abandoning(
        &self,
        group: Option<&str>,
        notices: Vec<String>,
        trusted: BTreeMap<u16, String>,
    ) -> Result<GroupView, Fault> {
        self.keep.call(TakeDevices { group: owned(group), notices, trusted, abandon: true })
    }
}
