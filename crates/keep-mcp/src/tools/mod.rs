//! The tools.

mod bitcoin;
mod cipher;
mod input;
mod session;
mod sign;
mod using;

use std::borrow::Cow;
use std::sync::Arc;

use keep_sdk::Fault;
use rmcp::RoleServer;
use rmcp::model::{CallToolResult, JsonObject, Tool, ToolAnnotations};
use rmcp::service::RequestContext;
use schemars::JsonSchema;
use serde_json::Value;

use crate::Server;

/// What a tool does to the world.
#[derive(Debug, Clone, Copy)]
enum Effect {
    /// It tells something.
    Reads,
    /// It uses the key; nothing is published.
    Uses,
    /// It tells the world, which cannot be undone.
    Publishes,
}

/// A tool's description. `I` are its arguments, `O` its result.
fn tool<I: JsonSchema, O: JsonSchema>(
    name: &'static str,
    title: &str,
    description: &'static str,
    effect: Effect,
) -> Tool {
    let (reads, destroys, world) = match effect {
        Effect::Reads => (true, false, false),
        Effect::Uses => (false, false, false),
        Effect::Publishes => (false, true, true),
    };
    let annotations = ToolAnnotations::with_title(title)
        .read_only(reads)
        .destructive(destroys)
        .idempotent(reads)
        .open_world(world);
    Tool::new(Cow::Borrowed(name), Cow::Borrowed(description), schema::<I>())
        .with_title(title)
        .with_raw_output_schema(schema::<O>())
        .with_annotations(annotations)
}

/// A schema whose root is an object, as the protocol wants it.
fn schema<T: JsonSchema>() -> Arc<JsonObject> {
    let schema = schemars::SchemaGenerator::default().into_root_schema_for::<T>();
    let mut value = schema.to_value();
    plain(&mut value);
    match value {
        Value::Object(object) => Arc::new(object),
        _ => Arc::default(),
    }
}

/// Takes away formats of numbers that JSON Schema does not know; clients would warn of them.
fn plain(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("format").and_then(Value::as_str).is_some_and(|format| format.contains("int")) {
                object.remove("format");
            }
            object.values_mut().for_each(plain);
        }
        Value::Array(values) => values.iter_mut().for_each(plain),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every tool.
pub fn all() -> Vec<Tool> {
    let mut tools = session::tools();
    tools.extend(sign::tools());
    tools.extend(cipher::tools());
    tools.extend(bitcoin::tools());
    tools
}

/// Calls a tool; `None` if there is no such tool.
pub async fn call(
    server: &Server,
    name: &str,
    arguments: JsonObject,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResult, Fault>> {
    let using = using::Using { server, context };
    Some(match name {
        "get_public_key" => session::public_key(using, arguments).await,
        "session_info" => session::info(using, arguments).await,
        "check_operation" => session::check(using, arguments).await,
        "list_pending" => session::pending(using, arguments).await,
        "sign_event" => sign::event(using, arguments).await,
        "publish_note" => sign::publish_note(using, arguments).await,
        "encrypt" => cipher::encrypt(using, arguments).await,
        "decrypt" => cipher::decrypt(using, arguments).await,
        "bitcoin_address" => bitcoin::address(using, arguments).await,
        "analyze_psbt" => bitcoin::analyze(using, arguments).await,
        "sign_psbt" => bitcoin::sign(using, arguments).await,
        "sign_message" => bitcoin::message(using, arguments).await,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_tool_says_what_it_is() {
        let tools = super::all();
        assert_eq!(tools.len(), 12);
        for tool in tools {
            assert!(
                tool.title.is_some() && tool.description.is_some_and(|text| text.len() > 20),
                "{}",
                tool.name
            );
            let annotations = tool.annotations.unwrap();
            assert!(annotations.read_only_hint.is_some() && annotations.destructive_hint.is_some());
            let is_object = |schema: &rmcp::model::JsonObject| schema["type"] == "object";
            assert!(
                is_object(&tool.input_schema) && is_object(&tool.output_schema.unwrap()),
                "{}",
                tool.name
            );
        }
    }
}
