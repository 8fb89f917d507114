//! Standing agreements to what co-signers in other vaults propose.

use std::time::Duration;

use keep_policy::CosignerGrant;
use keep_types::{ErrorCode, Fault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lookup::{group, index};
use super::views::GroupView;
use crate::call::{Call, Class, Host};

/// What a co-signer may have signed here although nobody is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CosignerTerms {
    /// The member.
    pub member: u16,
    /// Nostr events of these kinds, or of any kind if there are none; no events without it.
    pub events: Option<Vec<u16>>,
    /// Bytes whose meaning nobody checked.
    pub raw: bool,
    /// Bitcoin transactions within the limits on the group.
    pub transactions: bool,
    /// For how long; for ever without it.
    pub lasts: Option<Duration>,
    /// How many times; any number without it.
    pub uses: Option<u32>,
}

/// A grant as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CosignerView {
    /// The member.
    pub member: u16,
    /// Events of these kinds, or of any kind if there are none; no events if it is null.
    pub events: Option<Vec<u16>>,
    /// Bytes whose meaning nobody checked.
    pub raw: bool,
    /// Bitcoin transactions within the limits on the group.
    pub transactions: bool,
    /// Until when, RFC 3339.
    pub until: Option<String>,
    /// How many more times.
    pub uses_left: Option<u32>,
    /// Whether the member has the device for which it was given, and this is the vault in which it was: else it is dead.
    #[serde(default)]
    pub alive: bool,
}

impl CosignerView {
    pub(super) fn new(grant: &CosignerGrant, alive: bool) -> Self {
        Self {
            member: grant.member,
            events: grant.events.clone(),
            raw: grant.raw,
            transactions: grant.transactions,
            until: grant.until.map(|until| until.to_string()),
            uses_left: grant.uses_left,
            alive,
        }
    }
}

/// Gives a member in another vault a grant, in the place of the one that it has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GrantCosigner {
    pub group: Option<String>,
    pub terms: CosignerTerms,
}

impl Call for GrantCosigner {
    const NAME: &'static str = "frost.grant";
    const CLASS: Class = Class::Manage;
    type Reply = GroupView;

    fn run(self, host: &Host) -> Result<GroupView, Fault> {
        host.check_intact()?;
        let record = group(host, self.group.as_deref())?;
        let CosignerTerms { member, events, raw, transactions, lasts, uses } = self.terms;
        let device = record.group.device(index(member)?)?;
        if events.is_none() && !raw && !transactions || uses == Some(0) {
            return Err(Fault::new(ErrorCode::InvalidInput, "this grant would allow nothing")
                .with_hint("say what may be signed, for example --allow event:1,7"));
        }
        let spending = crate::bitcoin::wallets(host).spending(record.id)?;
        if transactions && !spending.is_some_and(|spending| spending.limits.caps_amounts()) {
            let message = "nothing limits what may be spent with this group";
            return Err(Fault::new(ErrorCode::InvalidInput, message)
                .with_hint(
                "set a limit on amounts first, with `keep bitcoin limits --group G --per-transaction` or `--budget`",
            ));
        }
        let grant = CosignerGrant {
            member,
            device: *device.as_bytes(),
            events,
            raw,
            transactions,
            until: lasts.map(|lasts| host.now().plus(lasts)),
            uses_left: uses,
            granted_in: host.vault().id(),
        };
        let record = host.vault().grant_cosigner(record.id, grant)?;
        Ok(GroupView::new(&record, host.vault().id()))
    }
}

/// Takes a member's grant away.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RevokeCosigner {
    pub group: Option<String>,
    pub member: u16,
}

impl Call for RevokeCosigner {
    const NAME: &'static str = "frost.revoke";
    const CLASS: Class = Class::Manage;
    type Reply = GroupView;

    fn run(self, host: &Host) -> Result<GroupView, Fault> {
        let record = group(host, self.group.as_deref())?;
        if !record.grants.iter().any(|grant| grant.member == self.member) {
            let message = format!("member {} has no grant", self.member);
            return Err(Fault::new(ErrorCode::NotFound, message).with_hint("see `keep frost show`"));
        }
        let record = host.vault().revoke_cosigner(record.id, self.member)?;
        Ok(GroupView::new(&record, host.vault().id()))
    }
}
