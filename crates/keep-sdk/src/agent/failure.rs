//! Failures as programs in other languages see them.

use keep_types::{Blame, ErrorCode, Fault};
use serde::Serialize;

/// A failure: what every front end tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Failure<'a> {
    /// The stable code.
    pub code: &'static str,
    /// Who has to act.
    pub blame: Blame,
    /// What went wrong.
    pub message: &'a str,
    /// What to do next.
    pub hint: &'a str,
}

impl<'a> From<&'a Fault> for Failure<'a> {
    fn from(fault: &'a Fault) -> Self {
        let code = fault.code();
        Self { code: code.as_str(), blame: code.blame(), message: fault.message(), hint: fault.hint() }
    }
}

/// A code of the table of errors, and who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CodeView {
    /// The code.
    pub code: &'static str,
    /// Who has to act.
    pub blame: Blame,
}

/// Every code of the table, in its order.
pub fn error_codes() -> Vec<CodeView> {
    ErrorCode::ALL.iter().map(|code| CodeView { code: code.as_str(), blame: code.blame() }).collect()
}

/// The failure as JSON: an object with `code`, `blame`, `message` and `hint`.
pub fn failure_json(fault: &Fault) -> String {
    serde_json::to_string(&Failure::from(fault)).unwrap_or_default()
}

/// [`error_codes`] as JSON: a list of objects with `code` and `blame`.
pub fn error_codes_json() -> String {
    serde_json::to_string(&error_codes()).unwrap_or_default()
}
