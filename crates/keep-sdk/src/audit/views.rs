//! What the calls about the log take and give.

use keep_audit::{Count, SignedCheckpoint};
use keep_vault::{AuditStats, PrunePlan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SignedEvent;

/// Which entries to show. What is empty does not restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AuditFilter {
    /// Keys by name, npub or identifier; one that was deleted by its identifier.
    pub keys: Vec<String>,
    /// Origins by their words: `cli`, `nip46`.
    pub origins: Vec<String>,
    /// Clients by public key, in hexadecimal or as npub.
    pub clients: Vec<String>,
    /// Outcomes by their words: `allowed`, `refused`.
    pub decisions: Vec<String>,
    /// Actions by their words: `sign_event`, `export`.
    pub actions: Vec<String>,
    /// From this time on, Unix seconds.
    pub since: Option<u64>,
    /// Up to this time, Unix seconds.
    pub until: Option<u64>,
}

/// What the log is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditStatsView {
    /// How many entries it has.
    pub entries: u64,
    /// The number of the first entry that is still there.
    pub first: u64,
    /// How many were removed before it.
    pub removed: u64,
    /// The time of the first entry, RFC 3339.
    pub oldest: Option<String>,
    /// The time of the last entry, RFC 3339.
    pub latest: Option<String>,
    /// How many segments of 1,024 entries.
    pub segments: u64,
    /// How many commits hold what came since.
    pub batches: u64,
    /// How many entries there are of what, the most frequent first.
    pub counts: Vec<AuditCountView>,
    /// The checkpoint that stands for removed entries.
    pub pruned: Option<AnchorView>,
}

/// How many entries there are of one action, outcome and origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditCountView {
    /// What was done or asked for.
    pub action: String,
    /// How it was decided.
    pub outcome: String,
    /// Who asked.
    pub origin: String,
    /// How many.
    pub entries: u64,
}

impl From<&Count> for AuditCountView {
    fn from(count: &Count) -> Self {
        Self {
            action: count.action.as_str().to_owned(),
            outcome: count.outcome.as_str().to_owned(),
            origin: count.origin.clone(),
            entries: count.entries,
        }
    }
}

impl From<AuditStats> for AuditStatsView {
    fn from(stats: AuditStats) -> Self {
        let mut counts: Vec<AuditCountView> = stats.counts.iter().map(AuditCountView::from).collect();
        counts.sort_by(|a, b| (b.entries, &a.action, &a.outcome).cmp(&(a.entries, &b.action, &b.outcome)));
        Self {
            entries: stats.entries,
            first: stats.first,
            removed: stats.first.saturating_sub(1),
            oldest: stats.oldest.map(|time| time.to_string()),
            latest: stats.latest.map(|time| time.to_string()),
            segments: stats.segments,
            batches: stats.batches,
            counts,
            pruned: stats.pruned.as_ref().map(AnchorView::from),
        }
    }
}

/// Where the log stood once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnchorView {
    /// The last entry that it covers.
    pub entry: u64,
    /// The hash of that entry, in hexadecimal.
    pub hash: String,
    /// The revision of the vault.
    pub revision: u64,
    /// When it was signed, RFC 3339.
    pub time: String,
}

impl From<&SignedCheckpoint> for AnchorView {
    fn from(signed: &SignedCheckpoint) -> Self {
        let checkpoint = &signed.checkpoint;
        Self {
            entry: checkpoint.next.saturating_sub(1),
            hash: hex::encode(checkpoint.hash),
            revision: checkpoint.revision,
            time: checkpoint.time.to_string(),
        }
    }
}

/// What tells a vault from every other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FingerprintView {
    /// 40 hex digits: compare them with what an export or an anchor says.
    pub fingerprint: String,
    /// The audit public key (Ed25519) in hexadecimal.
    pub public_key: String,
}

/// What retention removes, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetentionView {
    /// Whether it was done.
    pub applied: bool,
    /// How many entries go.
    pub removed: u64,
    /// How many stay.
    pub kept: u64,
    /// Entries before this time go, RFC 3339.
    pub before: String,
    /// The number of the first entry that goes.
    pub first: u64,
    /// The number of the first entry that stays.
    pub keep_from: u64,
}

impl RetentionView {
    pub(crate) fn new(plan: &PrunePlan, applied: bool) -> Self {
        Self {
            applied,
            removed: plan.removed(),
            kept: plan.kept,
            before: plan.cutoff.to_string(),
            first: plan.first,
            keep_from: plan.keep_from,
        }
    }
}

/// A signed head: the last line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedHeadView {
    /// The head and its signature.
    #[schemars(with = "serde_json::Value")]
    pub head: SignedCheckpoint,
}

/// A part of the log as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageView {
    /// The entries in CBOR (see the vault format), in hexadecimal.
    pub entries: String,
}

/// A signed checkpoint as a Nostr event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnchorEventView {
    /// The event.
    pub event: SignedEvent,
}

/// An export that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditExportView {
    /// How many entries it has.
    pub entries: u64,
    /// The hash of the last one, in hexadecimal.
    pub head: String,
    /// The revision of the vault.
    pub revision: u64,
    /// The fingerprint of the vault that signed it.
    pub fingerprint: String,
}

/// Whose signature an export has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignerView {
    /// That of the vault that was named.
    Known,
    /// Nobody said whose it should be: anyone can write a log and sign it with a key of their own.
    Unknown,
}

/// What an exported log says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditFileReport {
    /// Always true: what is not intact is an error.
    pub intact: bool,
    /// Whether the signer is the one that was named.
    pub signer: SignerView,
    /// The fingerprint of the key that signed it.
    pub fingerprint: String,
    /// How many entries it has.
    pub entries: u64,
    /// The number of the first entry.
    pub first: u64,
    /// The hash of the last one, in hexadecimal.
    pub head: String,
    /// The time of the last one, RFC 3339.
    pub last: Option<String>,
    /// The revision of the vault.
    pub revision: u64,
    /// When it was signed, RFC 3339.
    pub signed_at: String,
}

/// A vault that was put back, and is gone on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackView {
    /// The revision that this vault had.
    pub revision: u64,
    /// The revision that was in use on this machine.
    pub seen: u64,
    /// How many clients, endpoints and sessions are suspended until their owner lets them go on.
    pub suspended: u64,
    /// The owner's policies. Look at each: it may be older than it was.
    pub policies: Vec<String>,
    /// The persons who approved beside the owner, whose codes are worthless now.
    pub persons: Vec<String>,
}
