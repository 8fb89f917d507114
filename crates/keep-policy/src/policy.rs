//! Named policies.

use std::fmt;
use std::str::FromStr;

use keep_types::{ErrorCode, Fault, Intent, Operation};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{Effect, Rule, SpendLimits};

/// Rules under a name. The first that matches decides; what none matches is asked of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Policy {
    /// The name, as `--policy` takes it.
    #[n(0)]
    pub name: String,
    /// The rules, in order.
    #[n(1)]
    pub rules: Vec<Rule>,
    /// Limits on spending. They hold for what a rule allows and for what a person approves.
    #[n(2)]
    #[cbor(default)]
    #[serde(default, skip_serializing_if = "SpendLimits::is_empty")]
    pub spend: SpendLimits,
}

/// The policies that come with Keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Builtin {
    /// Tells the public key; everything else asks.
    ReadOnly,
    /// What a social client does all day; changing the profile or the contact list, and decrypting, asks.
    #[default]
    Social,
    /// Everything but export.
    Full,
}

/// No policy has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no policy is named \"{0}\"; there are read-only, social and full")]
pub struct PolicyError(keep_types::DisplayText);

impl From<PolicyError> for Fault {
    fn from(error: PolicyError) -> Self {
        Self::new(ErrorCode::Usage, error.to_string()).with_hint("choose read-only, social or full")
    }
}

impl Builtin {
    /// Every built-in policy.
    pub const ALL: [Self; 3] = [Self::ReadOnly, Self::Social, Self::Full];

    /// The name, as `--policy` takes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Social => "social",
            Self::Full => "full",
        }
    }

    /// The rules.
    pub fn policy(self) -> Policy {
        use Effect::{Allow, Ask};
        use Operation::{GetPublicKey, Nip04Decrypt, Nip04Encrypt, Nip44Decrypt, Nip44Encrypt, SignEvent};
        let rules = match self {
            Self::ReadOnly => vec![Rule::new(Allow, &[GetPublicKey])],
            Self::Social => vec![
                Rule::new(Allow, &[GetPublicKey, Nip44Encrypt, Nip04Encrypt]),
                Rule::sign(Allow, &[1, 6, 7, 16, 1111, 9734, 30023]),
                Rule::sign(Allow, &[22242]).own_relays_only(),
                Rule::sign(Ask, &[0, 3, 10002]),
                Rule::new(Ask, &[Nip44Decrypt, Nip04Decrypt]),
            ],
            Self::Full => vec![Rule::new(
                Allow,
                &[GetPublicKey, SignEvent, Nip44Encrypt, Nip44Decrypt, Nip04Encrypt, Nip04Decrypt],
            )],
        };
        Policy { name: self.as_str().to_owned(), rules, spend: SpendLimits::default() }
    }
}

impl fmt::Display for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Builtin {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::ALL.into_iter().find(|b| b.as_str() == text).ok_or_else(|| PolicyError(text.into()))
    }
}

impl Policy {
    /// The number (from 1) and the effect of the first rule that is about `intent`.
    pub fn decide(&self, intent: &Intent, relays: &[String]) -> Option<(usize, Effect)> {
        let hit = self.rules.iter().position(|rule| rule.matches(intent, relays))?;
        Some((hit + 1, self.rules[hit].effect))
    }
}
