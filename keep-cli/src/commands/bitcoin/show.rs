//! Bitcoin for people.

use keep_sdk::bitcoin::{
    AddressesView, AnalysisView, BalanceView, DescriptorView, InputOwnership, LimitsView, OutputRole,
    Severity, SignedMessageView, SignedPsbtView, VerifiedMessageView, WayView,
};
use keep_sdk::counted;
use serde::Serialize;

use crate::output::View;
use crate::style::Style;

#[derive(Serialize)]
pub struct Addresses(pub AddressesView);

impl View for Addresses {
    fn human(&self, style: Style) -> String {
        let lines = self.0.addresses.iter().map(|own| format!("{}  {}", own.address, style.dim(&own.origin)));
        let plain = self.0.addresses.iter().map(|own| own.address.clone());
        // Whoever pipes one address wants nothing else.
        let lines: Vec<String> = if style.is_terminal() { lines.collect() } else { plain.collect() };
        lines.join("\n")
    }
}

#[derive(Serialize)]
pub struct Descriptor(pub DescriptorView);

impl View for Descriptor {
    fn human(&self, _: Style) -> String {
        self.0.descriptor.clone()
    }
}

#[derive(Serialize)]
pub struct SignedMessage(pub SignedMessageView);

impl View for SignedMessage {
    fn human(&self, _: Style) -> String {
        self.0.signature.clone()
    }
}

#[derive(Serialize)]
pub struct Verified(pub VerifiedMessageView);

impl View for Verified {
    fn human(&self, style: Style) -> String {
        let mut lines = vec![format!("{} valid", style.tick())];
        if self.0.lock_time > 0 {
            lines.push(format!("  the signer can spend only from {} on", self.0.lock_time));
        }
        if self.0.age > 0 {
            lines.push(format!("  the signer can spend only after an age of {}", self.0.age));
        }
        lines.extend(self.0.coins.iter().map(|coin| {
            let unproved = style.dim("(that it exists must be looked up)");
            format!("  {} sats at {} {unproved}", coin.amount_sats, coin.outpoint)
        }));
        lines.join("\n")
    }
}

#[derive(Serialize)]
pub struct Balance(pub BalanceView);

impl View for Balance {
    fn human(&self, style: Style) -> String {
        let view = &self.0;
        let mut lines = vec![format!("{} sats", view.confirmed_sats)];
        if view.pending_sats != 0 {
            lines.push(format!("{:+} sats wait for a block", view.pending_sats));
        }
        lines.extend(view.used.iter().map(|own| {
            let sats = i128::from(own.confirmed_sats) + i128::from(own.pending_sats);
            format!("  {} {}", style.dim(&own.address), sats)
        }));
        lines.join("\n")
    }
}

pub struct SignedPsbt(pub SignedPsbtView);

impl SignedPsbt {
    /// What was done, in one line.
    pub fn line(&self, style: Style) -> String {
        let view = &self.0;
        let left = view.leaving_sats.map(|sats| format!(", {sats} sats leave")).unwrap_or_default();
        let fee = view.fee_sats.map(|sats| format!(" (fee {sats})")).unwrap_or_default();
        let end = if view.complete { "" } else { "; other signatures are missing" };
        let plural = if view.signatures == 1 { "" } else { "s" };
        format!("{} {} signature{plural}{left}{fee}{end}", style.tick(), view.signatures)
    }
}

#[derive(Serialize)]
pub struct Limits(pub LimitsView);

impl View for Limits {
    fn human(&self, style: Style) -> String {
        let view = &self.0;
        let mut rows: Vec<(&str, String)> = Vec::new();
        let sats = |limit: u64| format!("{limit} sats");
        rows.extend(view.per_transaction_sats.map(|limit| ("one transaction", sats(limit))));
        rows.extend(view.budgets.iter().map(|budget| {
            let text =
                format!("{} sats in {}, {} spent", budget.sats, span(budget.window_secs), budget.spent_sats);
            ("budget", text)
        }));
        rows.extend(view.max_fee_sats.map(|limit| ("fee", sats(limit))));
        let rate = |rate: u64| format!("{} sat/vB", rate as f64 / 1000.0);
        rows.extend(view.max_fee_rate_sats_per_kvb.map(|limit| ("fee rate", rate(limit))));
        rows.extend(view.ask_above_sats.map(|limit| ("asks above", sats(limit))));
        rows.extend(view.allow.iter().map(|address| ("only to", address.clone())));
        rows.extend(view.block.iter().map(|address| ("never to", address.clone())));
        if rows.is_empty() {
            return format!("no limits on spending with {}", view.key);
        }
        let line = |(label, text): &(&str, String)| format!("{} {text}", style.dim(&format!("{label:15}")));
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn span(secs: u64) -> String {
    match secs {
        _ if secs.is_multiple_of(86_400) => format!("{}d", secs / 86_400),
        _ if secs.is_multiple_of(3_600) => format!("{}h", secs / 3_600),
        _ if secs.is_multiple_of(60) => format!("{}m", secs / 60),
        _ => format!("{secs}s"),
    }
}

#[derive(Serialize)]
pub struct Analysis(pub AnalysisView);

impl View for Analysis {
    fn human(&self, style: Style) -> String {
        let view = &self.0.transaction;
        let facts = &view.facts;
        let sats = |amount: Option<u64>| amount.map_or("unknown".to_owned(), |sats| format!("{sats} sats"));
        let rate = facts.fee_rate_sats_per_kvb.map(|rate| format!(" ({:.1} sat/vB)", rate as f64 / 1000.0));
        let mut lines = vec![
            format!("{} {} on {}", style.bold("transaction"), view.txid, view.network),
            format!("leaves      {}", style.bold(&sats(facts.leaving_sats))),
            format!("fee         {}{}", sats(facts.fee_sats), rate.unwrap_or_default()),
        ];
        lines.push(style.bold(&counted(view.inputs.len(), "input")));
        for input in &view.inputs {
            let whose = match &input.ownership {
                InputOwnership::Signable { ways } => {
                    style.green(&ways.iter().map(way).collect::<Vec<_>>().join("; "))
                }
                InputOwnership::Signed { key } => format!("signed by {key}"),
                InputOwnership::NotSignable { reason } => style.dim(reason.as_str()),
            };
            let address = input.address.as_ref().map_or("", |address| address.as_str());
            let kind = if input.sighash.as_str() == "SIGHASH_DEFAULT" {
                String::new()
            } else {
                format!("  {}", input.sighash)
            };
            lines.push(format!("  {} {} {address}{kind}  {whose}", input.index, sats(input.amount_sats)));
        }
        lines.push(style.bold(&counted(view.outputs.len(), "output")));
        for output in &view.outputs {
            let address = output.address.as_ref().map_or("no address", |address| address.as_str());
            let whose = match &output.role {
                OutputRole::Ours { key, .. } => style.green(&format!("ours, proved: {key}")),
                OutputRole::Identity => style.green("ours: the key itself"),
                OutputRole::Destination => String::new(),
                OutputRole::Data { text } => format!("data: {text}"),
            };
            lines.push(format!("  {} {} sats {address}  {whose}", output.index, output.amount_sats));
        }
        for warning in &view.warnings {
            let text = warning.to_string();
            lines.push(match warning.severity {
                Severity::Danger => style.red(&format!("danger: {text}")),
                Severity::Caution => style.yellow(&format!("caution: {text}")),
                Severity::Note => style.dim(&format!("note: {text}")),
            });
        }
        if self.0.refusals.is_empty() {
            lines.push(format!(
                "{} would be signed: {}",
                style.tick(),
                counted(facts.signable_inputs, "input")
            ));
        } else {
            let why: Vec<&str> = self.0.refusals.iter().map(|text| text.as_str()).collect();
            lines.push(format!("{} would not be signed: {}", style.cross(), why.join("; ")));
        }
        lines.join("\n")
    }
}

/// How an input is spent.
fn way(way: &WayView) -> String {
    match way {
        WayView::KeyPath { key } => format!("key path {key}"),
        WayView::ScriptPath { key, leaf } => {
            let what = leaf.policy.as_ref().unwrap_or(&leaf.script);
            format!("script path {key}: {what}")
        }
    }
}
