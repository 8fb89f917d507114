//! The owner's limits on spending.

use keep_bitcoin::bitcoin::Address;
use keep_bitcoin::bitcoin::address::NetworkUnchecked;
use keep_policy::SpendLimits;
use keep_types::{DisplayText, ErrorCode, Fault, KeyId};
use serde::{Deserialize, Serialize};

use super::LimitsView;
use super::wallet::wallets;
use crate::call::{Call, Class, Host};
use crate::keys::record;

/// Tells the limits on a key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GetLimits {
    pub of: LimitedKey,
}

/// What the limits are on: a key, or a group. Without a name, the only key there is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LimitedKey {
    /// A key of the vault.
    Key(Option<String>),
    /// A threshold key.
    Group(Option<String>),
}

impl LimitedKey {
    fn find(&self, host: &Host) -> Result<(KeyId, String), Fault> {
        match self {
            Self::Key(key) => record(host, key.as_deref()).map(|key| (key.id, key.name.to_string())),
            Self::Group(group) => {
                let group = crate::frost::find_group(host, group.as_deref())?;
                // An Ed25519 group has no coins, and limits on it would look as if it had.
                if group.group.suite() != keep_frost::Suite::Secp256k1Tr {
                    return Err(Fault::new(
                        ErrorCode::InvalidInput,
                        "an Ed25519 group has no coins to limit",
                    ));
                }
                Ok((group.id, group.name.to_string()))
            }
        }
    }
}

impl Call for GetLimits {
    const NAME: &'static str = "bitcoin.limits";
    const CLASS: Class = Class::Use;
    type Reply = LimitsView;

    fn run(self, host: &Host) -> Result<LimitsView, Fault> {
        let (key, name) = self.of.find(host)?;
        let now = host.now();
        Ok(match wallets(host).spending(key)? {
            Some(spending) => LimitsView::new(name, &spending.limits, |budget| {
                spending.spent.within(budget.window_secs, now)
            }),
            None => LimitsView::new(name, &SpendLimits::default(), |_| 0),
        })
    }
}

/// Sets the limits on a key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SetLimits {
    pub of: LimitedKey,
    pub limits: SpendLimits,
}

impl Call for SetLimits {
    const NAME: &'static str = "bitcoin.set_limits";
    const CLASS: Class = Class::Manage;
    type Reply = LimitsView;

    fn run(self, host: &Host) -> Result<LimitsView, Fault> {
        host.check_intact()?;
        check(&self.limits)?;
        let (key, name) = self.of.find(host)?;
        let spending = wallets(host).set_limits(key, self.limits)?;
        let now = host.now();
        let spent = |budget: &keep_policy::Budget| spending.spent.within(budget.window_secs, now);
        Ok(LimitsView::new(name, &spending.limits, spent))
    }
}

/// A mistyped address would never be met, and a window without length never be full.
fn check(limits: &SpendLimits) -> Result<(), Fault> {
    for address in limits.allow.iter().chain(&limits.block) {
        if address.trim().parse::<Address<NetworkUnchecked>>().is_err() {
            let shown = DisplayText::truncated(address, 100);
            return Err(Fault::new(ErrorCode::InvalidInput, format!("\"{shown}\" is no Bitcoin address")));
        }
    }
    if limits.budgets.iter().any(|budget| budget.window_secs == 0) {
        return Err(Fault::new(ErrorCode::InvalidInput, "a budget needs a window of at least one second"));
    }
    Ok(())
}
