//! Requests as entries of the audit log.

use keep_audit::{Action, Draft, Outcome};
use keep_types::{GroupUse, Intent, MessageFacts, Operation, Request, SpendFacts, V3Use, counted, event_id};

/// How many destinations an entry names.
const DESTINATIONS: usize = 4;
/// How much of a signed message an entry holds, in characters.
const MESSAGE: usize = 200;

/// The audit entry of a request.
pub(crate) fn draft(request: &Request, outcome: Outcome) -> Draft {
    let entry = Draft::new(action(request.intent.operation()), outcome, &request.origin).key(request.key);
    match &request.intent {
        Intent::SignEvent(event) => {
            let id = event.id.unwrap_or_else(|| event_id(event));
            entry.event_kind(event.kind.as_u16()).subject(id.to_bytes())
        }
        Intent::Encrypt { peer, .. } | Intent::Decrypt { peer, .. } => entry.subject(peer.to_bytes()),
        Intent::Nip44V3(usage) => match &**usage {
            V3Use::Encrypt { peer, kind, .. } | V3Use::Decrypt { peer, kind, .. } => {
                let entry = entry.subject(peer.to_bytes());
                match u16::try_from(*kind) {
                    Ok(kind) => entry.event_kind(kind),
                    Err(_) => entry,
                }
            }
        },
        Intent::Group(usage) => group_draft(entry, usage),
        Intent::BitcoinAccount { coin_type, account } => entry.reason(format!("86h/{coin_type}h/{account}h")),
        Intent::SignPsbt(spend) => entry.subject(spend.txid()).reason(of_spend(spend.facts())),
        Intent::SignMessage(message) => entry.subject(message.hash()).reason(of_message(message.facts())),
        Intent::GetPublicKey
        | Intent::Export
        | Intent::ExportMnemonic
        | Intent::RevealSecret
        | Intent::Backup => entry,
    }
}

/// Says of a use of shares what was signed, or whose share it is about. Never any secret.
fn group_draft(entry: Draft, usage: &GroupUse) -> Draft {
    match usage {
        GroupUse::Sign(sign) => {
            let part = if sign.package.is_some() { ", signature shares for others" } else { "" };
            let by = granted(usage);
            let entry = entry.reason(format!("{}{part}{by}", sign.message.summary()));
            match usage.event() {
                Some(event) => {
                    let id = event_id(event);
                    entry.event_kind(event.kind.as_u16()).subject(id.to_bytes())
                }
                None => entry.subject(sign.session),
            }
        }
        GroupUse::Spend(spend) => {
            let shared = spend.parts.iter().any(|part| part.package.is_some());
            let part = if shared { ", signature shares for others" } else { "" };
            let by = granted(usage);
            entry.subject(spend.spend.txid()).reason(format!("{}{part}{by}", of_spend(spend.spend.facts())))
        }
        GroupUse::ExportShare { index }
        | GroupUse::Repair { index, .. }
        | GroupUse::RepairStep { index, .. } => entry.reason(format!("member {index}")),
        GroupUse::Refresh { keep, .. } => entry.reason(format!("for {}", counted(keep.len(), "member"))),
        GroupUse::RefreshStep { .. } => entry.reason("a step among vaults"),
        GroupUse::Split { name, threshold, members } => {
            entry.reason(format!("{name}: {threshold} of {members}"))
        }
        GroupUse::Recover => entry,
    }
}

/// Who proposed what nobody was asked about.
fn granted(usage: &GroupUse) -> String {
    usage.proposed_by().map_or_else(String::new, |member| format!(", by the grant of member {member}"))
}

/// What a transaction does, in one line.
fn of_spend(facts: &SpendFacts) -> String {
    let sats = |amount: Option<u64>| amount.map_or_else(|| "unknown".to_owned(), |sats| sats.to_string());
    let (named, more) = facts.destinations.split_at(facts.destinations.len().min(DESTINATIONS));
    let mut to: Vec<String> = named
        .iter()
        .map(|to| {
            let address = to.address.as_ref().map_or("no address", |address| address.as_str());
            format!("{} to {address}", to.amount_sats)
        })
        .collect();
    if !more.is_empty() {
        to.push(counted(more.len(), "more output"));
    }
    let to = if to.is_empty() { "nothing to others".to_owned() } else { to.join(", ") };
    format!("{} sats leave (fee {}): {to}", sats(facts.leaving_sats), sats(facts.fee_sats))
}

fn of_message(facts: &MessageFacts) -> String {
    let address = facts.address.as_ref().map_or("no address", |address| address.as_str());
    let message: String = facts.message.as_str().chars().take(MESSAGE).collect();
    format!("as {address}: {message}")
}

pub(crate) const fn action(operation: Operation) -> Action {
    match operation {
        Operation::GetPublicKey => Action::GetPublicKey,
        Operation::SignEvent => Action::SignEvent,
        Operation::Nip44Encrypt => Action::Nip44Encrypt,
        Operation::Nip44Decrypt => Action::Nip44Decrypt,
        Operation::Nip04Encrypt => Action::Nip04Encrypt,
        Operation::Nip04Decrypt => Action::Nip04Decrypt,
        Operation::Nip44V3Encrypt => Action::Nip44V3Encrypt,
        Operation::Nip44V3Decrypt => Action::Nip44V3Decrypt,
        Operation::Export => Action::Export,
        Operation::ExportMnemonic => Action::ExportMnemonic,
        Operation::RevealSecret => Action::RevealSecret,
        Operation::Backup => Action::Backup,
        Operation::FrostSign => Action::FrostSign,
        Operation::ShareExport => Action::ShareExport,
        Operation::GroupRecover => Action::GroupRecover,
        Operation::GroupRefresh => Action::GroupRefresh,
        Operation::ShareRepair => Action::ShareRepair,
        Operation::KeySplit => Action::KeySplit,
        Operation::BitcoinAccount => Action::BitcoinAccount,
        Operation::SignPsbt => Action::SignPsbt,
        Operation::SignMessage => Action::SignMessage,
    }
}
