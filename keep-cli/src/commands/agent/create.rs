//! `keep agent create`.

use keep_sdk::agent::{Asks, Exceeding, Preset, SessionInfo, SessionScope};
use keep_sdk::{ErrorCode, Fault};
use serde::Serialize;

use super::list::describe;
use super::token;
use crate::args::agent::{AsksName, Create};
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

/// Against whom the limits hold. The same for every session, and said each time one is made.
const HOLDS: [(&str, bool, &str); 4] = [
    ("an agent that only calls tools", true, "they hold"),
    (
        "code that runs as you: a shell, a script",
        false,
        "they do not: it can read your files and use the vault as you do",
    ),
    ("code that runs as another user, or in a container", true, "they hold"),
    ("code on another machine, through a bunker", true, "they hold"),
];

/// What bounds operations that the scope does not have would look like a permission.
fn refuse_idle(scope: &SessionScope) -> Result<(), Fault> {
    let idle = if scope.preset != Preset::Public || scope.exceeding == Exceeding::Ask {
        None
    } else if scope.kinds.is_some() {
        Some("--kinds")
    } else if scope.recipients.is_some() {
        Some("--to")
    } else if scope.relays.is_some() {
        Some("--relay")
    } else if !scope.spend.is_empty() {
        Some("limits on spending")
    } else {
        None
    };
    let Some(idle) = idle else { return Ok(()) };
    Err(Fault::new(
        ErrorCode::Usage,
        format!("the scope public signs nothing, so {idle} would bound nothing"),
    )
    .with_hint("name the scope too: --scope nostr, bitcoin or full"))
}

#[derive(Serialize)]
struct Created<'a> {
    #[serde(flatten)]
    session: &'a SessionInfo,
    token_file: String,
    holds_against: Vec<Against>,
}

#[derive(Serialize)]
struct Against {
    agent: &'static str,
    holds: bool,
}

impl View for Created<'_> {
    fn human(&self, style: Style) -> String {
        let mut text = describe(self.session, style);
        text.push_str(&format!("\n\ntoken       {}\n\nWhat the limits are worth against", self.token_file));
        for (agent, holds, why) in HOLDS {
            let mark = if holds { style.tick() } else { style.red("✗") };
            text.push_str(&format!("\n  {mark} {agent}: {why}"));
        }
        text.push_str(
            "\nHere the vault runs as your own user: what the agent can start must not be a shell.",
        );
        text
    }
}

pub fn run(session: &Session, arguments: &Create) -> Result<(), Ending> {
    let scope = super::scope(&arguments.scope, Preset::Public)?;
    let mut scope = scope.unwrap_or_else(|| SessionScope::of(Preset::Public));
    scope.relays = (!arguments.relay.is_empty()).then(|| arguments.relay.clone());
    refuse_idle(&scope)?;
    let asks = match arguments.asks {
        AsksName::Vault => Asks::Vault,
        AsksName::Client => Asks::Client,
    };
    let keep = session.open()?;
    if arguments.output.is_none() && keep.info()?.hidden {
        let message = "a token beside the vault would show that there is another vault";
        return Err(Fault::new(ErrorCode::Usage, message)
            .with_hint("say with --output where the token goes, outside of the vault's directory")
            .into());
    }
    let place = token::Place::prepare(keep.home(), arguments.output.as_deref())?;
    let made = keep.agents().create(&arguments.name, session.key_name(), scope, asks)?;
    let path = match place.write(&made.session.id, &made.token) {
        Ok(path) => path,
        Err(fault) => {
            // A session whose token nobody has is of no use.
            keep.agents().revoke(&made.session.name)?;
            return Err(fault.into());
        }
    };
    let holds_against = HOLDS.into_iter().map(|(agent, holds, _)| Against { agent, holds }).collect();
    let token_file = path.display().to_string();
    session.output.show(&Created { session: &made.session, token_file, holds_against })
}
