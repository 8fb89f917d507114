//! What a client may read: its policy, its session, what was done with it.

use keep_sdk::Fault;
use keep_sdk::agent::SessionInfo;
use rmcp::RoleServer;
use rmcp::model::{ErrorData, ReadResourceResult, Resource, ResourceContents};
use rmcp::service::RequestContext;
use serde::Serialize;

use crate::{Server, fault};

const POLICY: &str = "keep://policy";
const SESSION: &str = "keep://session";
const AUDIT: &str = "keep://audit/recent";

/// How many entries of the log are shown.
const RECENT: usize = 50;

/// Every resource.
pub fn all() -> Vec<Resource> {
    let resource = |uri: &str, name: &str, title: &str, description: &str| {
        let mut resource = Resource::new(uri, name);
        resource.title = Some(title.to_owned());
        resource.description = Some(description.to_owned());
        resource.mime_type = Some("application/json".to_owned());
        resource
    };
    vec![
        resource(
            POLICY,
            "policy",
            "Policy",
            "What this session may do without asking, and what happens to the rest",
        ),
        resource(SESSION, "session", "Session", "The session, its limits, and what is left of them"),
        resource(
            AUDIT,
            "audit",
            "Recent audit entries",
            "The latest uses of this session, and how they were decided",
        ),
    ]
}

/// What the session may do.
#[derive(Debug, Serialize)]
struct PolicyView {
    scope: String,
    allowed_operations: Vec<String>,
    allowed_kinds: Option<Vec<u16>>,
    recipients: Option<Vec<String>>,
    relays: Option<Vec<String>>,
    otherwise: String,
    who_is_asked: String,
}

impl From<SessionInfo> for PolicyView {
    fn from(info: SessionInfo) -> Self {
        Self {
            scope: info.scope,
            allowed_operations: info.operations,
            allowed_kinds: info.kinds,
            recipients: info.recipients,
            relays: info.relays,
            otherwise: info.otherwise,
            who_is_asked: info.asks,
        }
    }
}

/// Reads one.
pub async fn read(
    server: &Server,
    uri: &str,
    context: &RequestContext<RoleServer>,
) -> Result<ReadResourceResult, ErrorData> {
    let internal = |fault: Fault| ErrorData::internal_error(fault::text(&fault), None);
    let agent = server.session(context).await.map_err(internal)?;
    let wanted = uri.to_owned();
    let read = tokio::task::spawn_blocking(move || match wanted.as_str() {
        POLICY => agent.info().map(|info| json(&PolicyView::from(info))).map(Some),
        SESSION => agent.info().map(|info| json(&info)).map(Some),
        AUDIT => agent.audit(RECENT).map(|entries| json(&entries)).map(Some),
        _ => Ok(None),
    });
    let text = read.await.map_err(|_| internal(fault::bug("reading failed")))?.map_err(internal)?;
    let text =
        text.ok_or_else(|| ErrorData::resource_not_found(format!("there is no resource {uri}"), None))?;
    let contents = ResourceContents::TextResourceContents {
        uri: uri.to_owned(),
        mime_type: Some("application/json".to_owned()),
        text,
        meta: None,
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
