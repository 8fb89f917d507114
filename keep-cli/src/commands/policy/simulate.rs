//! `keep policy simulate`.

use keep_sdk::{Difference, ErrorCode, Fault, Past, SimulationView, counted, parse_duration};
use serde::Serialize;

use super::file;
use crate::args::policy::Simulate;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
#[serde(transparent)]
struct Simulated(SimulationView);

impl View for Simulated {
    fn human(&self, style: Style) -> String {
        let view = &self.0;
        let uncertain = match view.uncertain {
            0 => String::new(),
            count => format!(", {count} depend on what the log does not keep"),
        };
        let head = format!(
            "{} of {}: {} as before, {} otherwise{uncertain}",
            counted(view.requests, "request"),
            counted(view.clients, "client"),
            view.same,
            view.differences.len()
        );
        let line = |difference: &Difference| {
            let kind = difference.kind.map(|kind| format!(" of kind {kind}")).unwrap_or_default();
            let client = difference.client.get(..8).unwrap_or_default();
            format!(
                "{}  {}  {}{kind} for {client}…: {} instead of {} ({})",
                style.dim(&format!("{:>5}", difference.seq)),
                difference.time,
                difference.method,
                difference.would,
                difference.was,
                difference.because
            )
        };
        std::iter::once(head).chain(view.differences.iter().map(line)).collect::<Vec<_>>().join("\n")
    }
}

pub fn run(session: &Session, arguments: &Simulate) -> Result<(), Ending> {
    let since = parse_duration(&arguments.since).map_err(|e| Fault::new(ErrorCode::Usage, e.to_string()))?;
    let past = Past {
        policy: arguments.policy.clone(),
        toml: arguments.file.as_deref().map(file::read).transpose()?,
        client: arguments.client.clone(),
        seconds: since.as_secs(),
    };
    session.output.show(&Simulated(session.open()?.policies().simulate(past)?))
}
