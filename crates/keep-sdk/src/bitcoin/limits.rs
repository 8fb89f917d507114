//! The owner's limits on spending.

use keep_bitcoin::bitcoin::Address;
use keep_bitcoin::bitcoin::address::NetworkUnchecked;
use keep_policy::SpendLimits;
use keep_types::{DisplayText, ErrorCode, Fault};
use serde::{Deserialize, Serialize};

use super::LimitsView;
use super::wallet::wallets;
use crate::call::{Call, Class, Host};
use crate::keys::record;

/// Tells the limits on a key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GetLimits {
    pub key: Option<String>,
}

impl Call for GetLimits {
    const NAME: &'static str = "bitcoin.limits";
    const CLASS: Class = Class::Use;
    type Reply = LimitsView;

    fn run(self, host: &Host) -> Result<LimitsView, Fault> {
        let key = record(host, self.key.as_deref())?;
        let name = key.name.to_string();
        let now = host.now();
        Ok(match wallets(host).spending(key.id)? {
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
    pub key: Option<String>,
    pub limits: SpendLimits,
}

impl Call for SetLimits {
    const NAME: &'static str = "bitcoin.set_limits";
    const CLASS: Class = Class::Manage;
    type Reply = LimitsView;

    fn run(self, host: &Host) -> Result<LimitsView, Fault> {
        host.check_intact()?;
        check(&self.limits)?;
        let key = record(host, self.key.as_deref())?;
        let spending = wallets(host).set_limits(key.id, self.limits)?;
        let now = host.now();
        let spent = |budget: &keep_policy::Budget| spending.spent.within(budget.window_secs, now);
        Ok(LimitsView::new(key.name.to_string(), &spending.limits, spent))
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
