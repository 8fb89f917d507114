//! `keep schema`: the JSON schemas of what is printed with `--json`.

use keep_sdk::call::{CallEntry, registry};
use keep_sdk::{ErrorCode, Fault};
use serde_json::{Map, Value, json};

use crate::ending::Ending;
use crate::session::Session;

/// Lists are printed as an object with one member, so that there is room beside it later: call and member.
const LISTS: [(&str, &str); 11] = [
    ("keys.list", "keys"),
    ("audit.list", "entries"),
    ("secrets.list", "secrets"),
    ("nip46.apps", "apps"),
    ("nip46.tokens", "tokens"),
    ("policy.list", "policies"),
    ("policy.persons", "persons"),
    ("agent.list", "sessions"),
    ("frost.list", "groups"),
    ("approvals.pending", "pending"),
    ("unlocking.list", "stanzas"),
];

/// The schema of what the command prints that makes this call.
fn printed(entry: &CallEntry) -> Value {
    let mut reply = entry.reply_schema().to_value();
    let Some((_, member)) = LISTS.iter().find(|(call, _)| *call == entry.name) else { return reply };
    let definitions = reply.as_object_mut().and_then(|reply| reply.remove("$defs"));
    let mut schema = json!({ "type": "object", "properties": { *member: reply }, "required": [member] });
    if let (Some(definitions), Some(schema)) = (definitions, schema.as_object_mut()) {
        schema.insert("$defs".to_owned(), definitions);
    }
    schema
}

pub fn run(session: &Session, call: Option<&str>) -> Result<(), Ending> {
    if let Some(name) = call {
        let entry = registry().iter().find(|entry| entry.name == name).ok_or_else(|| {
            Fault::new(ErrorCode::NotFound, "there is no such call").with_hint("`keep schema` lists them all")
        })?;
        return session.output.value(&printed(entry));
    }
    let all: Map<String, Value> = registry()
        .iter()
        .map(|entry| (entry.name.to_owned(), json!({ "class": entry.class, "printed": printed(entry) })))
        .collect();
    session.output.value(&all)
}
