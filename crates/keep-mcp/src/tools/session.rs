//! What a model can know about its session.

use keep_sdk::agent::{CheckView, Identity, SessionInfo};
use keep_sdk::{Fault, PendingView};
use rmcp::model::{CallToolResult, JsonObject, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Nothing, read};
use super::using::{Using, structured};
use super::{Effect, tool};

pub fn tools() -> Vec<Tool> {
    vec![
        tool::<Nothing, Identity>(
            "get_public_key",
            "Public key",
            "The public key of the user's identity on Nostr, as npub and in hexadecimal.",
            Effect::Reads,
        ),
        tool::<Nothing, SessionInfo>(
            "session_info",
            "Session",
            "What this session may do, until when, and how many requests remain.",
            Effect::Reads,
        ),
        tool::<CheckInput, CheckView>(
            "check_operation",
            "Check an operation",
            "Whether an operation is allowed now, needs a person, or is refused. Nothing is done and nothing is counted.",
            Effect::Reads,
        ),
        tool::<Nothing, Waiting>(
            "list_pending",
            "Pending requests",
            "What this session has asked and the user has not decided yet. Only the user can decide it.",
            Effect::Reads,
        ),
    ]
}

/// What waits.
#[derive(Debug, Serialize, JsonSchema)]
struct Waiting {
    /// What this session has asked and the owner has not decided yet, the oldest first.
    pending: Vec<PendingView>,
}

/// An operation to be checked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CheckInput {
    /// The operation: `get_public_key`, `sign_event`, `nip44_encrypt`, `nip44_decrypt`, …
    operation: String,
    /// The kind of the event, for `sign_event`.
    #[serde(default)]
    kind: Option<u16>,
}

pub async fn public_key(using: Using<'_>, arguments: JsonObject) -> Result<CallToolResult, Fault> {
    let Nothing {} = read(arguments)?;
    structured(&using.ask(keep_sdk::Agent::public_key).await?)
}

pub async fn info(using: Using<'_>, arguments: JsonObject) -> Result<CallToolResult, Fault> {
    let Nothing {} = read(arguments)?;
    structured(&using.ask(keep_sdk::Agent::info).await?)
}

pub async fn check(using: Using<'_>, arguments: JsonObject) -> Result<CallToolResult, Fault> {
    let CheckInput { operation, kind } = read(arguments)?;
    structured(&using.ask(move |agent| agent.check(&operation, kind)).await?)
}

pub async fn pending(using: Using<'_>, arguments: JsonObject) -> Result<CallToolResult, Fault> {
    let Nothing {} = read(arguments)?;
    structured(&Waiting { pending: using.ask(keep_sdk::Agent::pending).await? })
}
