//! `keep sign-event`.

use std::io::Read;
use std::path::Path;

use keep_sdk::{
    Clock, ErrorCode, Event, EventTemplate, Fault, PoolOptions, PublishView, RelayUrl, SystemClock,
};
use serde::{Deserialize, Serialize};

use crate::args;
use crate::ending::Ending;
use crate::secrets::unreadable;
use crate::session::Session;

/// Longest template that is read, in bytes.
const MAX_TEMPLATE: u64 = 8 << 20;

pub fn run(session: &Session, arguments: args::SignEvent) -> Result<(), Ending> {
    let relays = if arguments.publish { session.relays(&arguments.relay)? } else { Vec::new() };
    let publish = arguments.publish;
    if arguments.group.is_none() && arguments.together.interactive {
        let message = "only a threshold key is signed with together with others";
        return Err(Fault::new(ErrorCode::Usage, message).with_hint("name it with --group").into());
    }
    let event = match arguments.group.clone() {
        Some(group) => super::frost::sign_event(session, &group, arguments)?,
        None => {
            let template = template(arguments)?;
            let keep = session.open()?;
            let key = session.key(&keep)?;
            keep.sign().event(&key, template)?
        }
    };
    session.output.value(&event)?;
    if publish { send(session, &event, &relays) } else { Ok(()) }
}

pub fn template(arguments: args::SignEvent) -> Result<EventTemplate, Fault> {
    if let Some(file) = &arguments.file {
        return from_json(&read(file)?);
    }
    let tags = arguments.tags.iter().map(|tag| tag.split(',').map(str::to_owned).collect()).collect();
    let created_at = arguments.created_at.unwrap_or_else(now);
    Ok(EventTemplate::new(arguments.kind.unwrap_or(1), arguments.content, tags, created_at))
}

fn now() -> u64 {
    SystemClock.now().as_secs()
}

/// An event as a file has it. Unlike in NIP-46, content, tags and time may be left out.
#[derive(Deserialize, Serialize)]
struct Template {
    kind: u16,
    #[serde(default)]
    content: String,
    #[serde(default)]
    tags: Vec<Vec<String>>,
    #[serde(default = "now")]
    created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pubkey: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

fn from_json(json: &str) -> Result<EventTemplate, Fault> {
    let unreadable = |error: serde_json::Error| {
        let hint = "write it as {\"kind\": 1, \"content\": \"…\", \"tags\": []}";
        Fault::new(ErrorCode::InvalidEvent, format!("this is not an event: {error}")).with_hint(hint)
    };
    let template: Template = serde_json::from_str(json).map_err(unreadable)?;
    let complete = serde_json::to_string(&template).map_err(unreadable)?;
    Ok(EventTemplate::from_json(&complete)?)
}

fn read(file: &Path) -> Result<String, Fault> {
    let mut json = String::new();
    let (name, outcome) = if file == Path::new("-") {
        ("stdin".to_owned(), std::io::stdin().lock().take(MAX_TEMPLATE).read_to_string(&mut json))
    } else {
        let opened = std::fs::File::open(file);
        (
            file.display().to_string(),
            opened.and_then(|open| open.take(MAX_TEMPLATE).read_to_string(&mut json)),
        )
    };
    outcome.map_err(|error| unreadable(&name, &error))?;
    Ok(json)
}

/// Sends the event. One relay that takes it is enough.
pub fn send(session: &Session, event: &Event, relays: &[RelayUrl]) -> Result<(), Ending> {
    let runtime = super::serve::runtime()?;
    let reports = runtime.block_on(keep_sdk::publish(event, relays, PoolOptions::default()))?;
    let style = session.output.talk_style();
    for report in reports.iter().filter(|report| report.accepted) {
        session.output.talk(&format!("{} {} took it", style.tick(), report.relay));
    }
    let refused: Vec<&PublishView> = reports.iter().filter(|report| !report.accepted).collect();
    if refused.len() < reports.len() {
        for report in refused {
            session.output.warn(
                ErrorCode::RelayUnreachable,
                &because(report),
                "the other relays have the event",
            );
        }
        return Ok(());
    }
    let reasons: Vec<String> = refused.into_iter().map(because).collect();
    Err(Fault::new(ErrorCode::RelayUnreachable, format!("no relay took the event: {}", reasons.join("; ")))
        .with_hint("the event above is signed; send it again with other relays, or later")
        .into())
}

fn because(report: &PublishView) -> String {
    let reason = report.reason.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}: {reason}", report.relay)
}
