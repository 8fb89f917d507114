//! `keep audit list`.

use keep_sdk::{AuditEntryView, AuditFilter, Clock, DisplayText, Fault, SystemClock, parse_when};
use serde::Serialize;

use crate::args::AuditList;
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
    let by: Vec<&str> = entry.by.iter().map(DisplayText::as_str).collect();
    let by = (!by.is_empty()).then(|| format!("by {}", by.join(", ")));
    let details = [key, kind, subject, client, by, reason];
    let details: Vec<String> = details.into_iter().flatten().collect();
    let time = entry.time.replace('T', " ");
    let (seq, time) = (style.dim(&format!("{:>5}", entry.seq)), style.dim(time.trim_end_matches('Z')));
    format!("{seq}  {time}  {:width$}  {outcome}  {}", entry.action, details.join(style.dim(" · ").as_str()))
}

/// The beginning of a long public text: enough to tell it from others in a list.
fn head(text: &str) -> String {
    text.get(..8).map_or_else(|| text.to_owned(), |head| format!("{head}…"))
}

pub fn run(session: &Session, arguments: &AuditList) -> Result<(), Ending> {
    let now = SystemClock.now();
    let when = |text: &Option<String>| -> Result<Option<u64>, Fault> {
        text.as_deref().map(|text| parse_when(text, now).map(|time| time.as_secs())).transpose()
    };
    let filter = AuditFilter {
        keys: session.key_name().map(str::to_owned).into_iter().collect(),
        origins: arguments.origin.clone(),
        clients: arguments.client.clone(),
        decisions: arguments.decision.clone(),
        actions: arguments.action.clone(),
        since: when(&arguments.since)?,
        until: when(&arguments.until)?,
    };
    let entries = session.open()?.audit().search(filter, arguments.limit)?;
    session.output.show(&Entries { entries })
}
