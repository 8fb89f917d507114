//! What is shown of policies.

use keep_policy::PolicyDocument;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A policy in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyView {
    /// Its name.
    pub name: String,
    /// Whether it comes with Keep and cannot be changed.
    pub builtin: bool,
    /// What it is for.
    pub description: Option<String>,
    /// How many rules it has.
    pub rules: usize,
    /// How many clients have it.
    pub clients: usize,
}

/// A policy as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyShown {
    /// Whether it comes with Keep and cannot be changed.
    pub builtin: bool,
    /// As TOML.
    pub toml: String,
    /// The same as JSON.
    #[schemars(with = "serde_json::Value")]
    pub policy: PolicyDocument,
}

/// What a look at a written policy found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyCheck {
    /// Its name.
    pub name: String,
    /// How many rules it has.
    pub rules: usize,
    /// Rules (by number) that never decide, because an earlier one covers all that they are about.
    pub unreachable: Vec<usize>,
}

/// A person who may approve beside the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PersonView {
    /// The name.
    pub name: String,
    /// Since when, RFC 3339.
    pub added_at: String,
}

/// What would have been different under another policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SimulationView {
    /// The policy that was tried.
    pub policy: String,
    /// How many clients' requests were looked at.
    pub clients: usize,
    /// How many requests.
    pub requests: usize,
    /// How many of them would have been decided as they were.
    pub same: usize,
    /// How many cannot be told, because the log keeps no tags, contents or relays.
    pub uncertain: usize,
    /// Those that would have been decided otherwise, the oldest first.
    pub differences: Vec<Difference>,
}

/// A request that another policy would have decided otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The number of its audit entry.
    pub seq: u64,
    /// When, RFC 3339.
    pub time: String,
    /// The client's public key in hexadecimal.
    pub client: String,
    /// The method.
    pub method: String,
    /// The kind of the event.
    pub kind: Option<u16>,
    /// What happened: `allow`, `ask` or `deny`.
    pub was: String,
    /// What would have happened.
    pub would: String,
    /// Why.
    pub because: String,
}
