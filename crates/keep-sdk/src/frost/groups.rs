//! Groups: made, split, listed, changed.

use keep_frost::{KeySpec, Message, Suite};
use keep_types::{ErrorCode, Fault, GroupUse, Intent, Name};
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};

use super::lookup::{free_name, group, index};
use super::sign::sign_here;
use super::views::{GroupView, SplitView};
use crate::call::{Call, Class, Host};
use crate::keys;

/// Makes a fresh key and shares it out; all shares are in this vault then.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Generate {
    pub name: Option<Name>,
    pub suite: Suite,
    pub threshold: u16,
    pub shares: u16,
}

impl Call for Generate {
    const NAME: &'static str = "frost.generate";
    const CLASS: Class = Class::Use;
    type Reply = GroupView;

    fn run(self, host: &Host) -> Result<GroupView, Fault> {
        host.check_intact()?;
        let name = self.name.map_or_else(|| free_name(host), Ok)?;
        let record = host.vault().deal_group(name, self.suite, self.threshold, self.shares)?;
        Ok(GroupView::new(&record, host.vault().id()))
    }
}

/// Splits a key of the vault. The original is deleted only after every share was read back and has signed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Split {
    pub key: Option<String>,
    pub name: Option<Name>,
    pub threshold: u16,
    pub shares: u16,
    pub keep_original: bool,
}

impl Call for Split {
    const NAME: &'static str = "frost.split";
    const CLASS: Class = Class::Manage;
    type Reply = SplitView;

    fn run(self, host: &Host) -> Result<SplitView, Fault> {
        host.check_intact()?;
        let key = keys::record(host, self.key.as_deref())?;
        let made = host.vault().groups()?.into_iter().find(|g| g.group.public_key() == key.public_key);
        if let Some(made) = made {
            // A split that was interrupted goes on; another one would give shares that do not combine.
            let all = made.shares.len() == made.group.members().len();
            let same =
                made.group.threshold() == self.threshold && made.shares.len() == usize::from(self.shares);
            if !all || !same {
                return Err(Fault::new(
                    ErrorCode::AlreadyExists,
                    format!("this key is split already, as group \"{}\"", made.name),
                )
                .with_hint("see it with `keep frost show`; `keep delete` removes the original key"));
            }
        } else {
            let name = match self.name {
                Some(name) => name,
                None => key.name.clone(),
            };
            let split = GroupUse::Split { name, threshold: self.threshold, members: self.shares };
            host.answer(key.id, Intent::Group(Box::new(split)))?;
        }
        let record = group(host, Some(&hex::encode(key.public_key)))?;
        every_share_signs(host, &record)?;
        if !self.keep_original {
            host.vault().delete_key(key.id)?;
        }
        let group = GroupView::new(&record, host.vault().id());
        Ok(SplitView { group, original_kept: self.keep_original })
    }
}

/// Reads every share back from the disk, and lets each take part in a signature that verifies under the group's key.
fn every_share_signs(host: &Host, record: &keep_vault::GroupRecord) -> Result<(), Fault> {
    host.vault().check_shares(record.id)?;
    let threshold = usize::from(record.group.threshold());
    let count = record.shares.len();
    let mut first = 0;
    while first < count {
        // The last round takes some again, so that it has enough.
        let from = first.min(count.saturating_sub(threshold));
        let signers = &record.shares[from..count.min(from + threshold)];
        let mut challenge = b"keep: do the shares of this group sign? ".to_vec();
        let mut fresh = [0; 16];
        OsRng.try_fill_bytes(&mut fresh).map_err(|_| keep_frost::FrostError::Random)?;
        challenge.extend(fresh);
        let (message, spec) = (Message::Raw(challenge), KeySpec::plain());
        let signature = sign_here(host, record, &message, &spec, signers)?;
        keep_frost::sign::verify(&record.group, &spec, &message, &signature)?;
        first += threshold;
    }
    Ok(())
}

/// Lists every group, by name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct List {}

impl Call for List {
    const NAME: &'static str = "frost.list";
    const CLASS: Class = Class::Use;
    type Reply = Vec<GroupView>;

    fn run(self, host: &Host) -> Result<Vec<GroupView>, Fault> {
        let vault = host.vault().id();
        Ok(host.vault().groups()?.iter().map(|record| GroupView::new(record, vault)).collect())
    }
}

/// Finds the group that `selector` means.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Find {
    pub selector: Option<String>,
}

impl Call for Find {
    const NAME: &'static str = "frost.find";
    const CLASS: Class = Class::Use;
    type Reply = GroupView;

    fn run(self, host: &Host) -> Result<GroupView, Fault> {
        Ok(GroupView::new(&group(host, self.selector.as_deref())?, host.vault().id()))
    }
}

/// Deletes a share for good.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeleteShare {
    pub group: Option<String>,
    pub index: u16,
    /// Also while a renewal is under way that was certified here.
    #[serde(default)]
    pub abandon: bool,
}

impl Call for DeleteShare {
    const NAME: &'static str = "frost.delete_share";
    const CLASS: Class = Class::Manage;
    type Reply = GroupView;

    fn run(self, host: &Host) -> Result<GroupView, Fault> {
        host.check_intact()?;
        let record = group(host, self.group.as_deref())?;
        let record = host.vault().delete_share(record.id, index(self.index)?, self.abandon)?;
        Ok(GroupView::new(&record, host.vault().id()))
    }
}

/// Says that the shares of a group, which came from a backup, are the present ones.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Confirm {
    pub group: Option<String>,
}

impl Call for Confirm {
    const NAME: &'static str = "frost.confirm";
    const CLASS: Class = Class::Manage;
    type Reply = GroupView;

    fn run(self, host: &Host) -> Result<GroupView, Fault> {
        host.check_intact()?;
        let record = group(host, self.group.as_deref())?;
        let record = host.vault().confirm_group(record.id)?;
        Ok(GroupView::new(&record, host.vault().id()))
    }
}
