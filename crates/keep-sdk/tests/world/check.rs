//! The state of a vault follows from its log: nothing without an entry, no entry without its effect.

use std::collections::{BTreeMap, BTreeSet};

use keep_audit::{Action, Entry, Outcome};
use keep_policy::{Grant, Usage};
use keep_signer::{Endpoint, RequestRow, RequestState};
use keep_vault::Vault;

/// Checks everything; gives the log, the oldest entry first.
pub fn check(vault: &Vault) -> Result<Vec<Entry>, String> {
    let report = vault.verify().map_err(|e| e.to_string())?;
    if !report.is_intact() {
        return Err(report.problems.join("; "));
    }
    let summary = vault.verify_audit().map_err(|e| e.to_string())?;
    let mut entries = vault.audit_tail(usize::MAX).map_err(|e| e.to_string())?;
    entries.reverse();
    if summary.entries != entries.len() as u64 {
        return Err(format!("{} entries of {}", entries.len(), summary.entries));
    }
    check_entries(vault, &entries)?;
    Ok(entries)
}

/// Compares keys, endpoints, grants, counters and requests with what the log says of them.
fn check_entries(vault: &Vault, entries: &[Entry]) -> Result<(), String> {
    let said = Said::by(entries)?;
    let failed = |e: keep_vault::VaultError| e.to_string();
    let keys: BTreeSet<_> = vault.keys().map_err(failed)?.iter().map(|key| *key.id.as_bytes()).collect();
    same("keys", &keys, &said.keys)?;
    same("endpoints", &vault.all::<Endpoint>().map_err(failed)?.len(), &said.endpoints)?;
    let grants = vault.all::<Grant>().map_err(failed)?;
    let clients: BTreeSet<_> = grants.iter().map(|(_, grant)| grant.client).collect();
    same("clients", &clients, &said.uses.keys().copied().collect())?;
    let sorted = |counts: &mut dyn Iterator<Item = u64>| {
        let mut counts: Vec<u64> = counts.filter(|count| *count > 0).collect();
        counts.sort_unstable();
        counts
    };
    let usage = vault.all::<Usage>().map_err(failed)?;
    let counted = sorted(&mut usage.iter().map(|(_, usage)| usage.total));
    same("counters", &counted, &sorted(&mut said.uses.values().chain(said.own_uses.values()).copied()))?;
    let rows = vault.all::<RequestRow>().map_err(failed)?;
    let rows = rows.iter().map(|(_, row)| (row.audit_seq, granted(row.state))).collect();
    same("requests", &rows, &said.requests)
}

fn granted(state: RequestState) -> bool {
    matches!(state, RequestState::Granted | RequestState::Done)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, said: &T) -> Result<(), String> {
    if found == said { Ok(()) } else { Err(format!("{what}: there are {found:?}, the log says {said:?}")) }
}

/// What the log says.
#[derive(Default)]
struct Said {
    keys: BTreeSet<[u8; 16]>,
    endpoints: usize,
    /// Uses by connected client.
    uses: BTreeMap<[u8; 32], u64>,
    /// The owner's own uses by key.
    own_uses: BTreeMap<[u8; 16], u64>,
    /// Decided requests of clients by entry, and whether they were granted.
    requests: BTreeMap<u64, bool>,
}

impl Said {
    fn by(entries: &[Entry]) -> Result<Self, String> {
        let mut said = Self::default();
        if entries.first().map(|entry| entry.action) != Some(Action::VaultCreated) {
            return Err("the log does not begin with the making of the vault".into());
        }
        for entry in entries {
            said.follow(entry).ok_or_else(|| format!("an entry that makes no sense: {entry:?}"))?;
        }
        Ok(said)
    }

    fn follow(&mut self, entry: &Entry) -> Option<()> {
        match entry.action {
            Action::KeyGenerated | Action::KeyImported => {
                self.keys.insert(*entry.key?.as_bytes()).then_some(())
            }
            Action::KeyDeleted => {
                self.own_uses.remove(entry.key?.as_bytes());
                self.keys.remove(entry.key?.as_bytes()).then_some(())
            }
            Action::SignEvent | Action::Export if entry.client.is_none() => {
                let allowed = u64::from(entry.outcome == Outcome::Allowed);
                *self.own_uses.entry(*entry.key?.as_bytes()).or_default() += allowed;
                Some(())
            }
            Action::EndpointCreated => {
                self.endpoints += 1;
                Some(())
            }
            Action::ClientConnected => self.uses.insert(entry.client?, 0).is_none().then_some(()),
            Action::ClientRemoved => self.uses.remove(&entry.client?).map(drop),
            _ => {
                let Some(client) = entry.client else { return Some(()) };
                let allowed = entry.outcome == Outcome::Allowed;
                *self.uses.get_mut(&client)? += u64::from(allowed);
                self.requests.insert(entry.seq, allowed).is_none().then_some(())
            }
        }
    }
}
