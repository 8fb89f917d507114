//! `keep audit`.

use keep_sdk::{AuditEntryView, AuditReport};
use serde::Serialize;

use crate::args::Audit;
use crate::ending::Ending;
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

/// One entry on one line: number, time (UTC), what, how it ended, and the details.
fn line(entry: &AuditEntryView, width: usize, style: Style) -> String {
    let outcome = format!("{:9}", entry.outcome);
    let outcome = match entry.outcome.as_str() {
        "allowed" | "approved" => style.green(&outcome),
        "refused" | "declined" | "unanswered" => style.yellow(&outcome),
        "failed" | "abandoned" => style.red(&outcome),
        _ => outcome,
    };
    let kind = entry.kind.map(|kind| format!("kind {kind}"));
    let subject = entry.subject.as_deref().map(head);
    let client = entry.client.as_deref().map(|client| format!("for {}", head(client)));
    let reason =
        entry.reason.as_ref().map(ToString::to_string).filter(|reason| entry.key.as_ref() != Some(reason));
    // A key that is no longer there is named by its identifier.
    let is_id = |key: &str| key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = entry.key.as_deref().map(|key| if is_id(key) { head(key) } else { key.to_owned() });
    let details = [key, kind, subject, client, reason];
    let details: Vec<String> = details.into_iter().flatten().collect();
    let time = entry.time.replace('T', " ");
    let (seq, time) = (style.dim(&format!("{:>5}", entry.seq)), style.dim(time.trim_end_matches('Z')));
    format!("{seq}  {time}  {:width$}  {outcome}  {}", entry.action, details.join(style.dim(" · ").as_str()))
}

/// The beginning of a long public text: enough to tell it from others in a list.
fn head(text: &str) -> String {
    text.get(..8).map_or_else(|| text.to_owned(), |head| format!("{head}…"))
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
