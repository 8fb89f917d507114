//! Sessions of agents: what a program with a token may do.

mod judge;
mod outlook;

use keep_types::{Collection, KeyId, Record, SessionId, Timestamp};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{Effect, Limits, Policy, Rule, Usage};

pub use judge::{Acting, Scope, judge_session, judge_session_within};
pub use outlook::Outlook;

/// Who decides what the policy of a session asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Encode, Decode)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Asks {
    /// The person at the vault.
    #[default]
    #[n(0)]
    Vault,
    /// The person at the program that has the token. The token is then enough to say yes: only for programs that show the
    /// question to a person themselves.
    #[n(1)]
    Client,
}

/// What an agent may do with one key, as long as it shows the token. Judged like a client of a bunker: with a policy,
/// within limits, counted inside the write lock.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Session {
    /// Its number.
    #[n(0)]
    pub id: SessionId,
    /// Its name; no two sessions of a vault have the same.
    #[n(1)]
    pub name: String,
    /// The SHA-256 of its token (32 bytes). The token itself is stored nowhere.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub token_hash: [u8; 32],
    /// The key that it may use.
    #[n(3)]
    pub key: KeyId,
    /// What it may do.
    #[n(4)]
    pub policy: Policy,
    /// Within which bounds.
    #[n(5)]
    pub limits: Limits,
    /// Since when.
    #[n(6)]
    pub created_at: Timestamp,
    /// The session that it narrows: both must allow, both count.
    #[n(7)]
    pub parent: Option<SessionId>,
    /// Whether the agent made it without the owner, and the owner's policy for agents holds beside its own.
    #[n(8)]
    pub self_made: bool,
    /// Who decides what is asked about.
    #[n(9)]
    pub asks: Asks,
    /// Whether nothing is allowed until the owner says so.
    #[n(10)]
    pub suspended: bool,
    /// Where its notes may be published; `None` for wherever the agent's server may.
    #[n(11)]
    pub relays: Option<Vec<String>>,
}

impl Record for Session {
    const COLLECTION: Collection = Collection::Sessions;

    fn unique_name(&self) -> Option<&str> {
        Some(&self.name)
    }
}

impl Session {
    /// What identifies the counters of a session.
    pub fn usage_key(id: SessionId) -> [u8; 24] {
        let mut key = *b"session:0000000000000000";
        key[8..].copy_from_slice(id.as_bytes());
        key
    }

    /// What identifies the counters of all agents together that use a key without a session of the owner's.
    pub fn unnamed_usage_key(key: keep_types::KeyId) -> [u8; 24] {
        let mut place = *b"unnamed:0000000000000000";
        place[8..].copy_from_slice(key.as_bytes());
        place
    }

    /// How often agents may use a key to whom the owner granted nothing, all together: each use is an entry of the log.
    pub fn unnamed_limits() -> Limits {
        Limits { per_minute: Some(600), per_day: Some(20_000), ..Limits::default() }
    }

    /// The policy for agents to whom the owner granted nothing: they may know the public key, and ask for the rest.
    pub fn unnamed() -> Policy {
        Policy {
            name: "agent".into(),
            rules: vec![Rule::new(Effect::Allow, &[keep_types::Operation::GetPublicKey])],
            ..Policy::default()
        }
    }

    /// Whether its time is over at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.limits.expires.is_some_and(|expires| now >= expires)
    }
}

/// How many more uses `limits` leave at `now`; `None` if they leave any number.
pub fn remaining(limits: &Limits, usage: &Usage, now: Timestamp) -> Option<u64> {
    if limits.expires.is_some_and(|expires| now >= expires) {
        return Some(0);
    }
    let total = if usage.uses_lost.is_some() { u64::MAX } else { usage.total };
    let by_uses = limits.uses.map(|uses| uses.saturating_sub(total));
    usage.rates_left(limits, now).chain(by_uses).min()
}
