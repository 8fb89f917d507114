//! Signing.

use keep_sdk::{Event, EventTemplate, Fault, PoolOptions, PublishView, RelayUrl, SignedEvent};
use rmcp::model::{CallToolResult, JsonObject, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{EventInput, now, read};
use super::using::{Using, structured};
use super::{Effect, tool};
use crate::fault::bug;

pub fn tools() -> Vec<Tool> {
    vec![
        tool::<EventInput, Signed>(
            "sign_event",
            "Sign an event",
            "Signs a Nostr event in the user's name and returns it. Nothing is published.",
            Effect::Uses,
        ),
        tool::<NoteInput, Published>(
            "publish_note",
            "Publish a note",
            "Signs a short text note (kind 1) in the user's name and sends it to relays that the user chose. Everybody can \
             read it, and it cannot be taken back.",
            Effect::Publishes,
        ),
    ]
}

/// A signed event.
#[derive(Debug, Serialize, JsonSchema)]
struct Signed {
    /// The event, complete with id and signature.
    event: SignedEvent,
}

/// A note to be published.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoteInput {
    /// The text.
    content: String,
    /// The tags: each a list of strings, the first of which is its name.
    #[serde(default)]
    tags: Vec<Vec<String>>,
    /// Which of the relays that the owner chose to send it to, wss://…; all of them, if none are given.
    #[serde(default)]
    relays: Vec<String>,
}

/// A note that was published.
#[derive(Debug, Serialize, JsonSchema)]
struct Published {
    /// The event.
    event: SignedEvent,
    /// What each relay did.
    relays: Vec<PublishView>,
}

pub async fn event(using: Using<'_>, arguments: JsonObject) -> Result<CallToolResult, Fault> {
    let template = read::<EventInput>(arguments)?.template();
    structured(&Signed { event: SignedEvent(sign(using, template).await?) })
}

pub async fn publish_note(using: Using<'_>, arguments: JsonObject) -> Result<CallToolResult, Fault> {
    let note: NoteInput = read(arguments)?;
    // Before anything is signed and counted. No model decides which addresses this machine connects to.
    let named = note.relays.iter().map(|url| relay(url)).collect::<Result<Vec<_>, _>>()?;
    let offer = using.server.relays().clone();
    let relays = using.ask(move |agent| agent.choose_relays(offer, named)).await?;
    let event = sign(using, EventTemplate::new(1, note.content, note.tags, now())).await?;
    using.check_wanted()?;
    let relays = keep_sdk::publish(&event, &relays, PoolOptions::default()).await?;
    structured(&Published { event: SignedEvent(event), relays })
}

async fn sign(using: Using<'_>, template: EventTemplate) -> Result<Event, Fault> {
    let signed = using.ask_person(move |agent, approved| {
        let signed = agent.sign_event(template.clone(), approved)?;
        Ok((signed.event, signed.question))
    });
    Ok(signed.await?.ok_or_else(|| bug("there is no signed event"))?.0)
}

fn relay(url: &str) -> Result<RelayUrl, Fault> {
    url.parse().map_err(Fault::from)
}
