//! `keep agent list`, `show` and `revoke`.

use keep_sdk::agent::{SessionInfo, SpendLimits};
use serde::Serialize;

use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
struct Sessions {
    sessions: Vec<SessionInfo>,
}

impl View for Sessions {
    fn human(&self, style: Style) -> String {
        if self.sessions.is_empty() {
            return "There are no sessions. Make one with `keep agent create --name bot --scope nostr`."
                .to_owned();
        }
        let width = self.sessions.iter().map(|one| one.name.chars().count()).max().unwrap_or(0);
        self.sessions.iter().map(|one| line(one, width, style)).collect::<Vec<_>>().join("\n")
    }
}

fn line(session: &SessionInfo, width: usize, style: Style) -> String {
    let state = format!("{:9}", session.state);
    let state = if session.state == "active" { style.green(&state) } else { style.yellow(&state) };
    let left = session.requests_remaining.map(|left| format!("{left} left"));
    let until = session.expires_at.as_deref().map(|end| format!("until {end}"));
    let used = Some(format!("{} used", session.requests));
    let details = [session.key.clone(), Some(session.scope.clone()), used, left, until];
    let details: Vec<String> = details.into_iter().flatten().collect();
    format!("{:width$}  {state}  {}", session.name, details.join(style.dim(" · ").as_str()))
}

#[derive(Serialize)]
#[serde(transparent)]
struct One<'a>(&'a SessionInfo);

impl View for One<'_> {
    fn human(&self, style: Style) -> String {
        describe(self.0, style)
    }
}

/// A session, one fact on each line.
pub fn describe(session: &SessionInfo, style: Style) -> String {
    let kinds = session.kinds.as_ref().map_or_else(
        || "every kind".to_owned(),
        |kinds| kinds.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
    );
    let signs = session.operations.iter().any(|operation| operation == "sign_event");
    let rest = if session.otherwise == "ask" { "asked" } else { "refused" };
    let asked = if session.asks == "client" { "the person at the agent" } else { "you, at the vault" };
    let mut facts = vec![
        ("session", session.name.clone()),
        ("state", session.state.clone()),
        ("key", session.key.clone().unwrap_or_else(|| "(gone)".to_owned())),
        ("allowed", session.operations.join(", ")),
    ];
    if signs {
        facts.push(("kinds", kinds));
    }
    if let Some(people) = &session.recipients {
        facts.push(("with", if people.is_empty() { "nobody".to_owned() } else { people.join(", ") }));
    }
    if let Some(relays) = &session.relays {
        facts.push(("publishes", if relays.is_empty() { "nowhere".to_owned() } else { relays.join(", ") }));
    }
    facts.push(("the rest", format!("is {rest}")));
    if session.otherwise == "ask" || session.self_made {
        facts.push(("asked", asked.to_owned()));
    }
    let rates = rates(session);
    if !rates.is_empty() {
        facts.push(("rate", rates));
    }
    if session.operations.iter().any(|operation| operation == "sign_psbt") {
        facts.push(("may spend", spending(&session.spend)));
    }
    facts.push(("used", session.requests.to_string()));
    if let Some(left) = session.requests_remaining {
        facts.push(("left now", left.to_string()));
    }
    if let Some(end) = &session.expires_at {
        facts.push(("until", end.clone()));
    }
    let lines = facts.iter().map(|(what, fact)| format!("{} {fact}", style.dim(&format!("{what:11}"))));
    lines.collect::<Vec<_>>().join("\n")
}

fn rates(session: &SessionInfo) -> String {
    let rates = &session.rates;
    let per_minute = rates.per_minute.map(|most| format!("{most} a minute"));
    let per_hour = rates.per_hour.map(|most| format!("{most} an hour"));
    let per_day = rates.per_day.map(|most| format!("{most} a day"));
    let uses = rates.uses.map(|most| format!("{most} in all"));
    [per_minute, per_hour, per_day, uses].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn spending(spend: &SpendLimits) -> String {
    let each = spend.per_transaction_sats.map(|most| format!("{most} sats at once"));
    let budgets = spend.budgets.iter().map(|one| format!("{} sats in {} s", one.sats, one.window_secs));
    let asked = spend.ask_above_sats.map(|most| format!("asked above {most} sats"));
    let to = (!spend.allow.is_empty()).then(|| format!("to {}", spend.allow.join(", ")));
    let parts: Vec<String> = each.into_iter().chain(budgets).chain(asked).chain(to).collect();
    if parts.is_empty() { "without a limit".to_owned() } else { parts.join("; ") }
}

pub fn list(session: &Session) -> Result<(), Ending> {
    session.output.show(&Sessions { sessions: session.open()?.agents().list()? })
}

pub fn show(session: &Session, name: &str) -> Result<(), Ending> {
    session.output.show(&One(&session.open()?.agents().show(name)?))
}

pub fn revoke(session: &Session, name: &str) -> Result<(), Ending> {
    let keep = session.open()?;
    let revoked = keep.agents().revoke(name)?;
    // Where `agent create` wrote its token; anywhere else the file is the owner's.
    let _ = std::fs::remove_file(keep.home().path().join("sessions").join(&revoked.id));
    session.output.talk(&format!("Nothing more is signed for {}.", revoked.name));
    session.output.show(&One(&revoked))
}
