//! `keep audit`.

use keep_sdk::{AuditEntryView, AuditReport};
use serde::Serialize;

use crate::args::Audit;
use crate::ending::Ending;
use crate::key_view::short;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
struct Entries {
    entries: Vec<AuditEntryView>,
}

impl View for Entries {
    fn human(&self, style: Style) -> String {
        let width = self.entries.iter().map(|entry| entry.action.len()).max().unwrap_or(0);
        self.entries.iter().map(|entry| line(entry, width, style)).collect::<Vec<_>>().join("\n")
    }
}

/// One entry on one line: number, time, what, how it ended, and the details.
pub fn line(entry: &AuditEntryView, width: usize, style: Style) -> String {
    let outcome = format!("{:9}", entry.outcome);
    let outcome = match entry.outcome {
        "allowed" | "approved" => style.green(&outcome),
        "refused" | "declined" | "unanswered" => style.yellow(&outcome),
        "failed" | "abandoned" => style.red(&outcome),
        _ => outcome,
    };
    let mut details = Vec::new();
    if let Some(key) = &entry.key {
        details.push(format!("key {key}"));
    }
    if let Some(kind) = entry.kind {
        details.push(format!("kind {kind}"));
    }
    if let Some(subject) = &entry.subject {
        details.push(short(subject));
    }
    match &entry.client {
        Some(client) => details.push(format!("for client {}", short(client))),
        None => details.push(format!("by {}", entry.origin)),
    }
    if let Some(reason) = &entry.reason {
        details.push(reason.to_string());
    }
    let (seq, time) = (style.dim(&format!("{:>5}", entry.seq)), style.dim(&entry.time));
    format!("{seq}  {time}  {:width$}  {outcome}  {}", entry.action, details.join(style.dim(" · ").as_str()))
}

#[derive(Serialize)]
struct Verified {
    intact: bool,
    #[serde(flatten)]
    report: AuditReport,
}

impl View for Verified {
    fn human(&self, style: Style) -> String {
        let report = &self.report;
        let last = report.last.as_deref().map(|last| format!(", the last of {last}")).unwrap_or_default();
        format!(
            "{tick} {} entries{last}: the chain is whole\n{tick} {} records at revision {}: as they were written\n  {}",
            report.entries,
            report.records,
            report.revision,
            style.dim(&format!("head {}", report.head)),
            tick = style.tick(),
        )
    }
}

pub fn run(session: &Session, arguments: &Audit) -> Result<(), Ending> {
    let audit = session.open()?.audit();
    match arguments {
        Audit::List { limit } => session.output.show(&Entries { entries: audit.list(*limit)? }),
        Audit::Verify => session.output.show(&Verified { intact: true, report: audit.verify()? }),
    }
}
