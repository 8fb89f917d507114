//! `keep audit stats`.

use keep_sdk::{AuditStatsView, counted};

use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

impl View for AuditStatsView {
    fn human(&self, style: Style) -> String {
        let span = match (&self.oldest, &self.latest) {
            (Some(oldest), Some(latest)) => format!(", from {oldest} to {latest}"),
            _ => String::new(),
        };
        let mut lines = vec![format!("{}{span}", counted(self.entries, "entry"))];
        if self.removed > 0 {
            lines.push(format!("{} older ones were removed by retention", self.removed));
        }
        lines
            .push(style.dim(&format!("{} segments of 1,024, {} commits since", self.segments, self.batches)));
        let width = self.counts.iter().map(|count| count.action.len()).max().unwrap_or(0);
        lines.extend(self.counts.iter().map(|count| {
            format!("{:>9}  {:width$}  {:10}  {}", count.entries, count.action, count.outcome, count.origin)
        }));
        lines.join("\n")
    }
}

pub fn run(session: &Session) -> Result<(), Ending> {
    let stats = session.open()?.audit().stats()?;
    session.output.show(&stats)
}
