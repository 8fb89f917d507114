//! Failures as a model sees them.

use keep_sdk::agent::Failure;
use keep_sdk::{ErrorCode, Fault};
use rmcp::model::{CallToolResult, ContentBlock};
use serde::Serialize;

/// The one form of errors, the same as on the command line.
#[derive(Debug, Serialize)]
struct Told<'a> {
    error: Failure<'a>,
}

/// The result of a tool that failed.
pub fn result(fault: &Fault) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text(fault))])
}

/// The error as JSON.
pub fn text(fault: &Fault) -> String {
    serde_json::to_string(&Told { error: fault.into() }).unwrap_or_default()
}

/// A failure of this program itself.
pub fn bug(message: impl Into<String>) -> Fault {
    Fault::new(ErrorCode::Bug, message)
}

/// The client ended the request.
pub fn cancelled() -> Fault {
    Fault::new(ErrorCode::RefusedByPerson, "the request was cancelled")
}
