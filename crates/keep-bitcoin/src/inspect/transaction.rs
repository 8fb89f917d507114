//! The transaction as a whole: amounts, fee, locks, and the view that sums it all up.

use std::collections::{HashMap, HashSet};

use bitcoin::psbt::raw;
use bitcoin::{Amount, Psbt, Script, TapSighashType};
use keep_types::DisplayText;

use super::input::{Finding, Way};
use super::script::{hex_text, leaf, lock_time, relative_lock};
use super::size::estimate;
use super::{
    Destination, InputOwnership, InputView, InspectOptions, LockTimeView, OutputRole, OutputView, Place,
    ScriptKind, SpendFacts, TransactionView, Warning, WarningCode, WayView, script_mark,
};
use crate::address::address_text;
use crate::{Network, PsbtFile};

/// `PSBT_GLOBAL_GENERIC_SIGNED_MESSAGE` (BIP-322).
pub(crate) const SIGNED_MESSAGE: u8 = 0x09;

/// Sums up what was found.
pub(crate) fn view(
    file: &PsbtFile,
    network: Network,
    options: &InspectOptions,
    findings: &[Finding],
    roles: Vec<OutputRole>,
    mut warnings: Vec<Warning>,
) -> TransactionView {
    let psbt = file.psbt();
    for warning in warnings.iter_mut().filter(|warning| warning.code == WarningCode::UnusualSighash) {
        *warning = warning.clone().allowed_if(options.allow_unusual_sighash);
    }
    check_form(psbt, network, &mut warnings);
    check_reuse(psbt, options, findings, &roles, &mut warnings);
    let facts = facts(psbt, network, findings, &roles, &mut warnings);
    check_fee(&facts, options, &mut warnings);
    let lock_time = locks(psbt, &mut warnings);
    warnings.sort_by_key(|warning| (std::cmp::Reverse(warning.severity), warning.place));
    TransactionView {
        network,
        psbt_version: file.version(),
        txid: DisplayText::new(&psbt.unsigned_tx.compute_txid().to_string()),
        version: psbt.unsigned_tx.version.0,
        lock_time,
        inputs: findings
            .iter()
            .enumerate()
            .map(|(index, found)| input_view(psbt, network, index, found))
            .collect(),
        outputs: roles
            .into_iter()
            .enumerate()
            .map(|(index, role)| output_view(psbt, network, index, role))
            .collect(),
        facts,
        warnings,
    }
}

fn check_form(psbt: &Psbt, network: Network, warnings: &mut Vec<Warning>) {
    let tx = &psbt.unsigned_tx;
    if psbt.xpub.keys().any(|xpub| xpub.network != network.kind()) {
        let text = "it names an extended key of another network";
        warnings.push(Warning::new(WarningCode::WrongNetwork, Place::Transaction, text));
    }
    if tx.input.is_empty() || tx.output.is_empty() {
        let text = "the transaction has no inputs or no outputs";
        warnings.push(Warning::new(WarningCode::Empty, Place::Transaction, text));
    }
    let mut seen = HashSet::new();
    for (index, input) in tx.input.iter().enumerate() {
        if !seen.insert(input.previous_output) {
            let text = "another input spends the same output";
            warnings.push(Warning::new(WarningCode::DuplicateInput, Place::Input(index), text));
        }
    }
    let key = raw::Key { type_value: SIGNED_MESSAGE, key: Vec::new() };
    if let Some(message) = psbt.unknown.get(&key) {
        let message = DisplayText::truncated(&String::from_utf8_lossy(message), 400);
        let text = format!("a signed message, not a payment (BIP-322): {message}");
        warnings.push(Warning::new(WarningCode::SignedMessage, Place::Transaction, text));
    }
}

fn check_reuse(
    psbt: &Psbt,
    options: &InspectOptions,
    findings: &[Finding],
    roles: &[OutputRole],
    warnings: &mut Vec<Warning>,
) {
    let spent: HashSet<&Script> = findings
        .iter()
        .filter_map(|found| found.prevout.as_ref())
        .map(|out| out.script_pubkey.as_script())
        .collect();
    let mut paid: HashMap<&Script, usize> = HashMap::new();
    for (index, (output, role)) in psbt.unsigned_tx.output.iter().zip(roles).enumerate() {
        let script = output.script_pubkey.as_script();
        if script.is_op_return() {
            continue;
        }
        let text = if let Some(first) = paid.get(script) {
            format!("it pays to the same address as output {first}")
        } else if spent.contains(script) {
            "it pays back to an address that this transaction spends from".to_owned()
        } else if !options.used.is_empty() && options.used.contains(&script_mark(script)) {
            let ours = "this address of ours was used before, in a transaction that was signed here";
            let theirs = "a transaction that was signed here paid to this address before";
            if role.is_ours() { ours.to_owned() } else { theirs.to_owned() }
        } else {
            paid.insert(script, index);
            continue;
        };
        paid.entry(script).or_insert(index);
        warnings.push(Warning::new(WarningCode::ReusedAddress, Place::Output(index), text));
    }
}

/// The sum of amounts, unless one of them or their sum is more than all the coins there can be.
fn sum(amounts: impl Iterator<Item = Amount>) -> Option<u64> {
    let mut total = Amount::ZERO;
    for amount in amounts {
        total = total
            .checked_add(amount)
            .filter(|sum| *sum <= Amount::MAX_MONEY && amount <= Amount::MAX_MONEY)?;
    }
    Some(total.to_sat())
}

fn facts(
    psbt: &Psbt,
    network: Network,
    findings: &[Finding],
    roles: &[OutputRole],
    warnings: &mut Vec<Warning>,
) -> SpendFacts {
    let outputs = &psbt.unsigned_tx.output;
    let known = findings.iter().all(|found| found.prevout.is_some());
    let prevouts = || findings.iter().filter_map(|found| Some((found, found.prevout.as_ref()?.value)));
    let spent = sum(prevouts().map(|(_, value)| value));
    let paid = sum(outputs.iter().map(|output| output.value));
    if spent.is_none() || paid.is_none() {
        let text = "its amounts are more than all the coins there can be";
        warnings.push(Warning::new(WarningCode::AmountOverflow, Place::Transaction, text));
    }
    let fee = spent.zip(paid).filter(|_| known).and_then(|(spent, paid)| {
        let fee = spent.checked_sub(paid);
        if fee.is_none() {
            let text = "its outputs are worth more than its inputs";
            warnings.push(Warning::new(WarningCode::OutputsExceedInputs, Place::Transaction, text));
        }
        fee
    });
    let own_inputs = sum(prevouts().filter(|(found, _)| found.own).map(|(_, value)| value))
        .filter(|_| known && paid.is_some());
    let outputs_fixed = findings.iter().all(fixes_outputs);
    let inputs_fixed = findings.iter().all(fixes_inputs);
    // A signature that leaves inputs open is as good in a transaction that joins them with others of ours and has these
    // outputs only once. So what comes back counts only where every signature binds the whole transaction.
    let bound = outputs_fixed && inputs_fixed;
    let own_outputs = outputs.iter().zip(roles).filter(|(_, role)| bound && role.is_ours());
    let own_outputs = sum(own_outputs.map(|(output, _)| output.value)).unwrap_or(0);
    let foreign_inputs = sum(prevouts().filter(|(found, _)| !found.own).map(|(_, value)| value)).unwrap_or(0);
    let comes_back = own_outputs.saturating_sub(foreign_inputs);
    let size = estimate(psbt, findings);
    SpendFacts {
        own_inputs_sats: own_inputs,
        own_outputs_sats: own_outputs,
        leaving_sats: own_inputs.map(|own| own.saturating_sub(comes_back)),
        fee_sats: fee,
        fee_rate_sats_per_kvb: fee.map(|fee| fee.saturating_mul(1000) / size.vsize.max(1)),
        vsize: size.vsize,
        vsize_is_exact: size.exact,
        destinations: destinations(psbt, network, roles),
        signable_inputs: findings.iter().filter(|found| !found.ways.is_empty()).count(),
        network: DisplayText::new(network.as_str()),
        any_network: findings.iter().flat_map(|found| &found.ways).any(|way| !way.is_of(network)),
        outputs_fixed,
        inputs_fixed,
    }
}

/// Whether our signature on this input would fix every output.
const fn fixes_outputs(found: &Finding) -> bool {
    use TapSighashType as T;
    !found.own || matches!(found.sighash, T::Default | T::All | T::AllPlusAnyoneCanPay)
}

/// Whether our signature on this input would fix every input.
const fn fixes_inputs(found: &Finding) -> bool {
    use TapSighashType as T;
    !found.own || matches!(found.sighash, T::Default | T::All | T::None | T::Single)
}

fn destinations(psbt: &Psbt, network: Network, roles: &[OutputRole]) -> Vec<Destination> {
    let outputs = psbt.unsigned_tx.output.iter().zip(roles).enumerate();
    outputs
        .filter(|(_, (_, role))| !role.is_ours())
        .map(|(index, (output, _))| Destination {
            output: index,
            address: address_text(&output.script_pubkey, network),
            elsewhere: [Network::Mainnet, Network::Testnet3, Network::Regtest]
                .into_iter()
                .filter_map(|network| address_text(&output.script_pubkey, network))
                .collect(),
            amount_sats: output.value.to_sat(),
        })
        .collect()
}

fn check_fee(facts: &SpendFacts, options: &InspectOptions, warnings: &mut Vec<Warning>) {
    let (Some(fee), Some(rate)) = (facts.fee_sats, facts.fee_rate_sats_per_kvb) else { return };
    if fee > options.max_fee_sats {
        let text = format!("the fee is {fee} sats, over the limit of {}", options.max_fee_sats);
        warnings.push(Warning::new(WarningCode::FeeOverLimit, Place::Transaction, text));
    }
    if rate > options.max_fee_rate_sats_per_kvb {
        let limit = options.max_fee_rate_sats_per_kvb / 1000;
        let text = format!("the fee rate is {} sat/vB, over the limit of {limit}", rate / 1000);
        warnings.push(Warning::new(WarningCode::FeeRateOverLimit, Place::Transaction, text));
    }
    let paid = facts.destinations.iter().fold(0_u64, |sum, to| sum.saturating_add(to.amount_sats));
    if paid > 0 && fee > paid / 4 {
        let text = format!("the fee is {fee} sats for a payment of {paid}");
        warnings.push(Warning::new(WarningCode::FeeHigh, Place::Transaction, text));
    }
}

/// The lock time and the relative locks that are in force.
fn locks(psbt: &Psbt, warnings: &mut Vec<Warning>) -> LockTimeView {
    let tx = &psbt.unsigned_tx;
    for (index, input) in tx.input.iter().enumerate() {
        if tx.version.0 >= 2 && relative_lock(input.sequence).is_some() {
            let text = "it can be spent only some time after it was confirmed";
            warnings.push(Warning::new(WarningCode::RelativeLock, Place::Input(index), text));
        }
    }
    let enabled = tx.input.iter().any(|input| input.enables_lock_time());
    let Some(lock) = lock_time(tx.lock_time, enabled) else { return LockTimeView::None };
    let text = match lock {
        LockTimeView::None => return lock,
        LockTimeView::Height { height } => format!("it cannot be mined before block {height}"),
        LockTimeView::Time { at } => format!("it cannot be mined before {at}"),
    };
    warnings.push(Warning::new(WarningCode::LockTime, Place::Transaction, text));
    lock
}

fn input_view(psbt: &Psbt, network: Network, index: usize, found: &Finding) -> InputView {
    let (input, txin) = (&psbt.inputs[index], &psbt.unsigned_tx.input[index]);
    let script = found.prevout.as_ref().map(|out| out.script_pubkey.as_script());
    let sighash = match input.sighash_type {
        Some(kind) => DisplayText::new(&kind.to_string()),
        None if script.is_some_and(Script::is_p2tr) => DisplayText::new("SIGHASH_DEFAULT"),
        None => DisplayText::new("SIGHASH_ALL"),
    };
    let key = |location: &crate::KeyLocation| DisplayText::new(&location.to_string());
    let way = |way: &Way| match way {
        Way::Key { location, .. } => WayView::KeyPath { key: key(location) },
        Way::Leaf { location, control, leaf_hash, .. } => {
            let script =
                input.tap_scripts.get(control).map_or(Script::new(), |(script, _)| script.as_script());
            WayView::ScriptPath { key: key(location), leaf: leaf(script, *leaf_hash) }
        }
    };
    let ownership = match (&found.signed, found.skip) {
        (Some(location), _) => InputOwnership::Signed { key: key(location) },
        (None, Some(reason)) => InputOwnership::NotSignable { reason: DisplayText::new(&reason.to_string()) },
        (None, None) => InputOwnership::Signable { ways: found.ways.iter().map(way).collect() },
    };
    InputView {
        index,
        outpoint: DisplayText::new(&txin.previous_output.to_string()),
        amount_sats: found.prevout.as_ref().map(|out| out.value.to_sat()),
        address: script.and_then(|script| address_text(script, network)),
        script: script.map(ScriptKind::of),
        sighash,
        relative_lock: relative_lock(txin.sequence).filter(|_| psbt.unsigned_tx.version.0 >= 2),
        ownership,
    }
}

fn output_view(psbt: &Psbt, network: Network, index: usize, role: OutputRole) -> OutputView {
    let output = &psbt.unsigned_tx.output[index];
    OutputView {
        index,
        amount_sats: output.value.to_sat(),
        address: address_text(&output.script_pubkey, network),
        script: ScriptKind::of(&output.script_pubkey),
        script_hex: hex_text(&output.script_pubkey),
        role,
    }
}
