//! `keep nip46 apps`, `revoke` and `auto-approve`.

use keep_sdk::{AppView, RevokedView, counted};
use serde::Serialize;

use crate::args::nip46::AutoApprove;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
pub struct Apps {
    pub apps: Vec<AppView>,
}

impl View for Apps {
    fn human(&self, style: Style) -> String {
        if self.apps.is_empty() {
            return style.dim("no client is connected");
        }
        self.apps.iter().map(|app| entry(app, style)).collect::<Vec<_>>().join("\n")
    }
}

fn entry(app: &AppView, style: Style) -> String {
    let claims = app.claims.as_ref().map(|claims| format!("calls itself \"{claims}\""));
    let name = app.name.clone().or_else(|| claims.clone()).unwrap_or_else(|| "without a name".to_owned());
    let state = match (app.suspended, app.expired) {
        (true, _) => style.red("  suspended"),
        (false, true) => style.yellow("  ended"),
        (false, false) => String::new(),
    };
    let until = match (&app.expires_at, app.session) {
        (Some(expires), _) => format!("until {expires}"),
        (None, true) => "for this session".to_owned(),
        (None, false) => "forever".to_owned(),
    };
    let used = app.last_used.as_ref().map_or_else(
        || "never used".to_owned(),
        |last| format!("used {}, last {last}", counted(app.uses, "time")),
    );
    let details = [
        app.name.as_ref().and(claims),
        Some(format!("key {}", app.key)),
        Some(format!("policy {}", app.policy)),
        Some(until),
        Some(used),
    ];
    let details: Vec<String> = details.into_iter().flatten().collect();
    format!("{}{state}\n  {}\n  {}", style.bold(&name), app.npub, details.join(style.dim(" · ").as_str()))
}

#[derive(Serialize)]
#[serde(transparent)]
struct Revoked(RevokedView);

impl View for Revoked {
    fn human(&self, style: Style) -> String {
        self.0
            .revoked
            .iter()
            .map(|npub| format!("{} revoked {npub}", style.tick()))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

pub fn list(session: &Session) -> Result<(), Ending> {
    let apps = session.open()?.nip46().apps()?;
    session.output.show(&Apps { apps })
}

pub fn revoke(session: &Session, client: &str) -> Result<(), Ending> {
    let view = session.open()?.nip46().revoke(client)?;
    session.output.show(&Revoked(view))
}

pub fn auto_approve(session: &Session, arguments: &AutoApprove) -> Result<(), Ending> {
    let apps = session.open()?.nip46().auto_approve(arguments.client.as_deref(), &arguments.kinds)?;
    session.output.show(&Apps { apps })
}
