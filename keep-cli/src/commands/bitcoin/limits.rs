//! `keep bitcoin limits`.

use keep_sdk::{Budget, ErrorCode, Fault, SpendLimits};

use super::show::Limits;
use crate::args::bitcoin::Amount;
use crate::ending::Ending;
use crate::session::Session;

/// What is to be changed.
pub struct Change {
    /// The group whose limits they are, instead of a key's.
    pub group: Option<String>,
    pub per_transaction: Option<Amount>,
    pub budgets: Vec<String>,
    pub allow: Vec<String>,
    pub block: Vec<String>,
    pub max_fee: Option<Amount>,
    pub max_fee_rate: Option<Amount>,
    pub ask_above: Option<Amount>,
    pub clear: bool,
}

impl Change {
    const fn is_none(&self) -> bool {
        self.per_transaction.is_none()
            && self.budgets.is_empty()
            && self.allow.is_empty()
            && self.block.is_empty()
            && self.max_fee.is_none()
            && self.max_fee_rate.is_none()
            && self.ask_above.is_none()
            && !self.clear
    }
}

pub fn run(session: &Session, change: Change) -> Result<(), Ending> {
    let budgets = change.budgets.iter().map(|text| budget(text)).collect::<Result<Vec<_>, _>>()?;
    let keep = session.open()?;
    let (bitcoin, frost) = (keep.bitcoin(), keep.frost());
    let group = change.group.as_deref();
    let key = if group.is_none() { session.chosen_key()? } else { None };
    let known = if group.is_some() { frost.limits(group)? } else { bitcoin.limits(key)? };
    if change.is_none() {
        return session.output.show(&Limits(known));
    }
    let mut limits = if change.clear {
        SpendLimits::default()
    } else {
        SpendLimits {
            allow: known.allow,
            block: known.block,
            per_transaction_sats: known.per_transaction_sats,
            budgets: known
                .budgets
                .iter()
                .map(|b| Budget { sats: b.sats, window_secs: b.window_secs })
                .collect(),
            max_fee_sats: known.max_fee_sats,
            max_fee_rate_sats_per_kvb: known.max_fee_rate_sats_per_kvb,
            ask_above_sats: known.ask_above_sats,
        }
    };
    let set = |field: &mut Option<u64>, amount: Option<Amount>| {
        if let Some(amount) = amount {
            *field = amount.0;
        }
    };
    set(&mut limits.per_transaction_sats, change.per_transaction);
    set(&mut limits.max_fee_sats, change.max_fee);
    set(&mut limits.ask_above_sats, change.ask_above);
    if let Some(Amount(rate)) = change.max_fee_rate {
        limits.max_fee_rate_sats_per_kvb = rate.map(|rate| rate.saturating_mul(1000));
    }
    if !budgets.is_empty() {
        limits.budgets = budgets;
    }
    for (list, new) in [(&mut limits.allow, &change.allow), (&mut limits.block, &change.block)] {
        list.extend(new.iter().cloned());
        list.dedup();
    }
    let set =
        if group.is_some() { frost.set_limits(group, limits)? } else { bitcoin.set_limits(key, limits)? };
    session.output.show(&Limits(set))
}

/// Reads `1000000/24h`.
fn budget(text: &str) -> Result<Budget, Fault> {
    let wrong = || {
        Fault::new(ErrorCode::Usage, "this is not a budget")
            .with_hint("write it as satoshis and a window: 1000000/24h, 5000000/30d or 10000/3600s")
    };
    let (sats, window) = text.split_once('/').ok_or_else(wrong)?;
    let (number, unit) = window.split_at(window.find(|c: char| !c.is_ascii_digit()).unwrap_or(window.len()));
    let unit: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let window_secs = number.checked_mul(unit).filter(|secs| *secs > 0).ok_or_else(wrong)?;
    Ok(Budget { sats: sats.parse().map_err(|_| wrong())?, window_secs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_sats_in_a_window() {
        for (text, sats, window_secs) in
            [("1000/24h", 1000, 86_400), ("5/30d", 5, 2_592_000), ("7/15m", 7, 900), ("1/3600", 1, 3_600)]
        {
            assert_eq!(budget(text).unwrap(), Budget { sats, window_secs }, "{text}");
        }
        for bad in ["", "1000", "1000/", "/24h", "1/24w", "1/0h", "-1/1h", "1/99999999999999999999d"] {
            assert!(budget(bad).is_err(), "{bad}");
        }
    }
}
