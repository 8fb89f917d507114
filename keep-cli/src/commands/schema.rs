//! `keep schema`: the JSON schemas of what calls reply.

use keep_sdk::call::registry;
use keep_sdk::{ErrorCode, Fault};
use serde_json::{Map, Value, json};

use crate::ending::Ending;
use crate::session::Session;

pub fn run(session: &Session, call: Option<&str>) -> Result<(), Ending> {
    if let Some(name) = call {
        let entry = registry().iter().find(|entry| entry.name == name).ok_or_else(|| {
            Fault::new(ErrorCode::NotFound, "there is no such call").with_hint("`keep schema` lists them all")
        })?;
        return session.output.value(&entry.reply_schema());
    }
    let all: Map<String, Value> = registry()
        .iter()
        .map(|entry| (entry.name.to_owned(), json!({ "class": entry.class, "reply": entry.reply_schema() })))
        .collect();
    session.output.value(&all)
}
