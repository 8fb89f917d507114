//! Arguments as models give them.

use keep_sdk::{ErrorCode, EventTemplate, Fault, PublicKey};
use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// No arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// An event to be signed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventInput {
    /// The kind of the event, for example 1 for a note or 7 for a reaction.
    pub kind: u16,
    /// The content.
    #[serde(default)]
    pub content: String,
    /// The tags: each a list of strings, the first of which is its name.
    #[serde(default)]
    pub tags: Vec<Vec<String>>,
    /// Unix seconds; now, if it is not given.
    #[serde(default)]
    pub created_at: Option<u64>,
}

impl EventInput {
    pub fn template(self) -> EventTemplate {
        EventTemplate::new(self.kind, self.content, self.tags, self.created_at.unwrap_or_else(now))
    }
}

pub fn now() -> u64 {
    use keep_sdk::Clock;
    keep_sdk::SystemClock.now().as_secs()
}

/// The arguments as a type.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] with what does not fit.
pub fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, Fault> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| {
        Fault::new(ErrorCode::InvalidInput, format!("the arguments do not fit: {error}"))
            .with_hint("see the tool's input schema")
    })
}

/// A public key: npub or hexadecimal.
///
/// # Errors
/// [`ErrorCode::InvalidKey`].
pub fn public_key(text: &str) -> Result<PublicKey, Fault> {
    PublicKey::parse(text).map_err(|_| {
        Fault::new(ErrorCode::InvalidKey, "this is no public key")
            .with_hint("give an npub1… or 64 hex digits")
    })
}
