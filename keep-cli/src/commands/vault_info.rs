//! `keep vault info`.

use keep_sdk::VaultInfo;
use serde::Serialize;

use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
#[serde(transparent)]
struct Info(VaultInfo);

impl View for Info {
    fn human(&self, style: Style) -> String {
        let info = &self.0;
        let line = |name: &str, value: &str| format!("{name:<12} {}", style.bold(value));
        let fingerprint = info.fingerprint.as_deref().unwrap_or("none yet; `keep audit anchor` makes one");
        let memory = if info.memory_locked { "kept out of swap" } else { "may be swapped to disk" };
        let whole =
            if info.problems.is_empty() { "as it was written".to_owned() } else { info.problems.join("; ") };
        [
            line("directory", &info.home),
            line("id", &info.id),
            line("fingerprint", fingerprint),
            line("revision", &info.revision.to_string()),
            line("keys", &info.keys.to_string()),
            line("in memory", memory),
            line("integrity", &whole),
        ]
        .join("\n")
    }
}

pub fn run(session: &Session) -> Result<(), Ending> {
    session.output.show(&Info(session.open()?.info()?))
}
