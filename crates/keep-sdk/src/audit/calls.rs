//! The calls about the log.

use std::collections::HashMap;

use keep_audit::{Action, Batch, Filter, Outcome, SignedCheckpoint};
use keep_types::{ErrorCode, Event, Fault, KeyId, Origin, PublicKey, Timestamp};
use keep_vault::{Vault, VaultError};
use serde::{Deserialize, Serialize};

use super::views::AnchorEventView;
use super::{
    AnchorView, AuditFilter, AuditStatsView, FingerprintView, PageView, RetentionView, RollbackView,
    SignedHeadView,
};
use crate::call::{Call, Class, Host};
use crate::{AuditEntryView, AuditReport, SignedEvent};

/// How many entries one page of an export has at most.
const PAGE: usize = 4096;
/// The most entries that one call lists.
const MAX_LIST: usize = 1_000_000;
const DAY: u64 = 86_400;

/// The last entries of the log that match.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct List {
    #[serde(default)]
    pub filter: AuditFilter,
    #[serde(default)]
    pub before: Option<u64>,
    pub limit: usize,
}

impl Call for List {
    const NAME: &'static str = "audit.list";
    const CLASS: Class = Class::Use;
    type Reply = Vec<AuditEntryView>;

    fn run(self, host: &Host) -> Result<Vec<AuditEntryView>, Fault> {
        let vault = host.vault();
        let filter = resolve(vault, &self.filter)?;
        let entries = vault.audit_page(&filter, self.before, self.limit.min(MAX_LIST))?;
        let mut names: HashMap<KeyId, Option<String>> = HashMap::new();
        let mut views = Vec::with_capacity(entries.len());
        for entry in entries.iter().rev() {
            let name = match entry.key {
                None => None,
                Some(key) => match names.get(&key) {
                    Some(known) => known.clone(),
                    None => {
                        let name = vault.key_by_id(key)?.map(|key| key.name.to_string());
                        names.insert(key, name.clone());
                        name
                    }
                },
            };
            views.push(AuditEntryView::new(entry, name));
        }
        Ok(views)
    }
}

/// The filter in the log's own terms.
fn resolve(vault: &Vault, filter: &AuditFilter) -> Result<Filter, Fault> {
    let words = |all: Vec<&str>| format!("one of: {}", all.join(", "));
    let actions = filter.actions.iter().map(|word| {
        Action::from_word(word).ok_or_else(|| {
            let all = Action::ALL.iter().map(|action| action.as_str()).collect();
            Fault::new(ErrorCode::Usage, format!("there is no action \"{word}\"")).with_hint(words(all))
        })
    });
    let outcomes = filter.decisions.iter().map(|word| {
        Outcome::from_word(word).ok_or_else(|| {
            let all = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
            Fault::new(ErrorCode::Usage, format!("there is no decision \"{word}\"")).with_hint(words(all))
        })
    });
    let unknown = filter.origins.iter().find(|word| !Origin::LABELS.contains(&word.as_str()));
    if let Some(word) = unknown {
        return Err(Fault::new(ErrorCode::Usage, format!("there is no origin \"{word}\""))
            .with_hint(words(Origin::LABELS.to_vec())));
    }
    let clients = filter.clients.iter().map(|text| {
        PublicKey::parse(text).map(|key| key.to_bytes()).map_err(|_| {
            Fault::new(ErrorCode::InvalidInput, format!("\"{text}\" is no public key"))
                .with_hint("give the client's public key as npub1… or 64 hex digits")
        })
    });
    Ok(Filter {
        keys: filter.keys.iter().map(|text| key(vault, text)).collect::<Result<_, _>>()?,
        origins: filter.origins.clone(),
        clients: clients.collect::<Result<_, _>>()?,
        outcomes: outcomes.collect::<Result<_, _>>()?,
        actions: actions.collect::<Result<_, _>>()?,
        since: filter.since.map(Timestamp::from_secs),
        until: filter.until.map(Timestamp::from_secs),
    })
}

/// A key that the vault has, or had: deleted keys are in the log by their identifiers.
fn key(vault: &Vault, text: &str) -> Result<KeyId, Fault> {
    if let Some(found) = vault.key_by_name(text)? {
        return Ok(found.id);
    }
    if let Ok(public) = PublicKey::parse(text)
        && let Some(found) = vault.key_by_public(&public.to_bytes())?
    {
        return Ok(found.id);
    }
    text.parse().map_err(|_| {
        Fault::new(ErrorCode::NotFound, format!("there is no key \"{text}\" in this vault"))
            .with_hint("see `keep list`; a deleted key is named by its identifier of 32 hex digits")
    })
}

/// Checks the log and every record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Verify {
    #[serde(default)]
    pub anchor: Option<String>,
}

impl Call for Verify {
    const NAME: &'static str = "audit.verify";
    const CLASS: Class = Class::Use;
    type Reply = AuditReport;

    fn run(self, host: &Host) -> Result<AuditReport, Fault> {
        let vault = host.vault();
        let summary = vault.verify_audit()?;
        let rows = vault.verify()?;
        if !rows.is_intact() {
            return Err(VaultError::Tampered(rows.problems.join("; ")).into());
        }
        let anchor = self.anchor.map(|text| check_anchor(vault, &text)).transpose()?;
        Ok(AuditReport {
            entries: summary.entries,
            first: summary.first,
            head: hex::encode(summary.head),
            last: summary.last.map(|time| time.to_string()),
            revision: rows.revision.get(),
            records: rows.rows,
            fingerprint: vault.fingerprint()?.map(|fingerprint| fingerprint.to_string()),
            anchor,
        })
    }
}

/// Whether the vault goes on from an anchor of its own.
fn check_anchor(vault: &Vault, text: &str) -> Result<AnchorView, Fault> {
    let anchor = read_anchor(text)?;
    if Some(anchor.public_key) != vault.audit_public_key()? {
        let message =
            format!("the anchor is that of another vault, with the fingerprint {}", anchor.signer());
        return Err(Fault::new(ErrorCode::InvalidInput, message)
            .with_hint("give an anchor that `keep audit anchor` made of this vault"));
    }
    let view = AnchorView::from(&anchor);
    let rolled_back = |why: String| {
        Fault::new(ErrorCode::Integrity, format!("this vault was put back: {why}")).with_hint(
            "put the newest copy of the directory back; what was revoked or spent since this state is not so in it",
        )
    };
    let revision = vault.revision().get();
    if revision < anchor.checkpoint.revision {
        return Err(rolled_back(format!(
            "it is at revision {revision}, and the anchor of {} is at revision {}",
            view.time, view.revision
        )));
    }
    let summary = vault.verify_audit()?;
    if anchor.checkpoint.next < summary.first {
        // The entries are gone, and the checkpoint of their removal is signed by the same key: only the revision can tell.
        return Ok(view);
    }
    match vault.audit_hash_before(anchor.checkpoint.next)? {
        Some(hash) if hash == anchor.checkpoint.hash => Ok(view),
        Some(_) => Err(rolled_back(format!("entry {} is another one than when it was anchored", view.entry))),
        None => Err(rolled_back(format!("its log ends before entry {}, which was anchored", view.entry))),
    }
}

/// Reads what [`Anchor`] gave: the event, or its content.
fn read_anchor(text: &str) -> Result<SignedCheckpoint, Fault> {
    let bad = |what: &str| {
        Fault::new(ErrorCode::InvalidInput, format!("this is no anchor: {what}"))
            .with_hint("give what `keep audit anchor` printed")
    };
    let content = match serde_json::from_str::<Event>(text) {
        Ok(event) => {
            event.verify().map_err(|_| bad("the event's signature does not hold"))?;
            event.content
        }
        Err(_) => text.to_owned(),
    };
    let anchor: SignedCheckpoint =
        serde_json::from_str(&content).map_err(|_| bad("it has no signed checkpoint"))?;
    anchor.verify().map_err(|_| bad("the checkpoint's signature does not hold"))?;
    Ok(anchor)
}

/// What the log is made of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stats {}

impl Call for Stats {
    const NAME: &'static str = "audit.stats";
    const CLASS: Class = Class::Use;
    type Reply = AuditStatsView;

    fn run(self, host: &Host) -> Result<AuditStatsView, Fault> {
        Ok(host.vault().audit_stats()?.into())
    }
}

/// What tells the vault from every other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fingerprint {}

impl Call for Fingerprint {
    const NAME: &'static str = "audit.fingerprint";
    const CLASS: Class = Class::Use;
    type Reply = FingerprintView;

    fn run(self, host: &Host) -> Result<FingerprintView, Fault> {
        let fingerprint = host.vault().ensure_audit_key()?.to_string();
        let public_key = host.vault().audit_public_key()?.map(hex::encode).unwrap_or_default();
        Ok(FingerprintView { fingerprint, public_key })
    }
}

/// A signed head for an export.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportHead {}

impl Call for ExportHead {
    const NAME: &'static str = "audit.export_head";
    const CLASS: Class = Class::Manage;
    type Reply = SignedHeadView;

    fn run(self, host: &Host) -> Result<SignedHeadView, Fault> {
        host.check_intact()?;
        Ok(SignedHeadView { head: host.vault().export_checkpoint(Origin::Cli)? })
    }
}

/// A part of the log for an export.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportPage {
    pub from: u64,
}

impl Call for ExportPage {
    const NAME: &'static str = "audit.export_page";
    const CLASS: Class = Class::Manage;
    type Reply = PageView;

    fn run(self, host: &Host) -> Result<PageView, Fault> {
        let entries = host.vault().audit_entries(self.from, PAGE)?;
        let batch = Batch::of_entries(entries);
        let cbor = keep_types::Record::to_cbor(&batch).map_err(VaultError::from)?;
        Ok(PageView { entries: hex::encode(&*cbor) })
    }
}

/// What retention would remove.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PlanRetention {
    pub max_days: u32,
}

impl Call for PlanRetention {
    const NAME: &'static str = "audit.plan_retention";
    const CLASS: Class = Class::Use;
    type Reply = RetentionView;

    fn run(self, host: &Host) -> Result<RetentionView, Fault> {
        let plan = host.vault().plan_prune(cutoff(host, self.max_days))?;
        Ok(RetentionView::new(&plan, false))
    }
}

/// Removes old entries.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Retention {
    pub max_days: u32,
}

impl Call for Retention {
    const NAME: &'static str = "audit.retention";
    const CLASS: Class = Class::Manage;
    type Reply = RetentionView;

    fn run(self, host: &Host) -> Result<RetentionView, Fault> {
        host.check_intact()?;
        let plan = host.vault().prune(cutoff(host, self.max_days), Origin::Cli, &mut |removed| {
            tracing::debug!(removed, "entries of the log removed");
        })?;
        Ok(RetentionView::new(&plan, true))
    }
}

fn cutoff(host: &Host, max_days: u32) -> Timestamp {
    host.now().minus(std::time::Duration::from_secs(u64::from(max_days) * DAY))
}

/// A signed checkpoint to be kept elsewhere.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Anchor {}

impl Call for Anchor {
    const NAME: &'static str = "audit.anchor";
    const CLASS: Class = Class::Use;
    type Reply = AnchorEventView;

    fn run(self, host: &Host) -> Result<AnchorEventView, Fault> {
        host.check_intact()?;
        let anchor = host.vault().anchor(Origin::Cli)?;
        let content = serde_json::to_string(&anchor)
            .map_err(|_| Fault::new(ErrorCode::Bug, "a checkpoint has no JSON form"))?;
        Ok(AnchorEventView { event: SignedEvent(host.vault().anchor_event(&anchor, content)?) })
    }
}

/// Goes on with an older vault.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AcceptRollback {}

impl Call for AcceptRollback {
    const NAME: &'static str = "audit.accept_rollback";
    const CLASS: Class = Class::Manage;
    type Reply = RollbackView;

    fn run(self, host: &Host) -> Result<RollbackView, Fault> {
        host.accept_rollback()
    }
}
