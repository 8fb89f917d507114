//! `keep nip46 token`.

use keep_sdk::{TokenTerms, TokenView};
use serde::Serialize;

use super::{limits, seconds};
use crate::args::nip46::{Token, TokenCreate};
use crate::commands::serve::relays;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

/// A new token: the address alone on stdout.
#[derive(Serialize)]
#[serde(transparent)]
struct Created(TokenView);

impl View for Created {
    fn human(&self, _: Style) -> String {
        self.0.bunker_url.clone()
    }
}

#[derive(Serialize)]
struct Tokens {
    tokens: Vec<TokenView>,
}

impl View for Tokens {
    fn human(&self, style: Style) -> String {
        if self.tokens.is_empty() {
            return style.dim("there is no token");
        }
        self.tokens.iter().map(|token| entry(token, style)).collect::<Vec<_>>().join("\n")
    }
}

fn entry(token: &TokenView, style: Style) -> String {
    let name = token.name.clone().unwrap_or_else(|| "without a name".to_owned());
    let until = match (&token.expires_at, token.expired) {
        (Some(expires), true) => format!("ended {expires}"),
        (Some(expires), false) => format!("until {expires}"),
        (None, _) => "without end".to_owned(),
    };
    let id = token.id.get(..8).unwrap_or(&token.id);
    let details = [
        format!("key {}", token.key),
        format!("policy {}", token.policy),
        format!("used {} of {}", token.used, token.uses),
        until,
    ];
    format!(
        "{} {}\n  {}\n  {}",
        style.bold(id),
        name,
        details.join(style.dim(" · ").as_str()),
        token.bunker_url
    )
}

#[derive(Serialize)]
struct Revoked {
    revoked: String,
}

impl View for Revoked {
    fn human(&self, style: Style) -> String {
        format!("{} the token and its clients are out", style.tick())
    }
}

pub fn run(session: &Session, command: Token) -> Result<(), Ending> {
    match command {
        Token::Create(arguments) => create(session, &arguments),
        Token::List => {
            let tokens = session.open()?.nip46().tokens()?;
            session.output.show(&Tokens { tokens })
        }
        Token::Revoke { token } => {
            session.open()?.nip46().revoke_token(&token)?;
            session.output.show(&Revoked { revoked: token })
        }
    }
}

fn create(session: &Session, arguments: &TokenCreate) -> Result<(), Ending> {
    let terms = TokenTerms {
        key: session.key_name().map(str::to_owned),
        policy: arguments.policy.clone(),
        name: arguments.name.clone(),
        uses: arguments.uses,
        seconds: seconds(&arguments.expires, &["never", "forever"])?,
        relays: relays(&arguments.relay)?,
        limits: limits(&arguments.bounds),
    };
    let token = session.open()?.nip46().create_token(terms)?;
    session.output.talk("Paste the address into an application. `keep serve` answers it.");
    session.output.show(&Created(token))
}
