//! `keep nip46 connect`.

use std::io::Read;

use keep_sdk::{ConnectTerms, ConnectedView, ErrorCode, Fault};
use serde::Serialize;

use super::{limits, seconds};
use crate::args::nip46::Connect;
use crate::ending::Ending;
use crate::output::View;
use crate::qr_picture;
use crate::session::Session;
use crate::style::Style;

/// Longest address that is read, in bytes.
const MAX_LEN: u64 = 64 << 10;

#[derive(Serialize)]
#[serde(transparent)]
struct Connected(ConnectedView);

impl View for Connected {
    fn human(&self, style: Style) -> String {
        let view = &self.0;
        let claims = view
            .claims
            .as_ref()
            .map(|claims| format!(", which calls itself \"{claims}\""))
            .unwrap_or_default();
        let wishes =
            if view.wishes.is_empty() { String::new() } else { format!("\n  it wishes: {}", view.wishes) };
        format!(
            "{} connected {}{claims}\n  key {} · policy {} · relays {}{wishes}",
            style.tick(),
            view.npub,
            view.key,
            view.policy,
            view.relays.join(", ")
        )
    }
}

pub fn run(session: &Session, arguments: &Connect) -> Result<(), Ending> {
    let uri = match (&arguments.qr, &arguments.uri) {
        (Some(picture), _) => qr_picture::read(picture, "nostrconnect://")?,
        (None, given) => address(given.as_deref().unwrap_or("-"))?,
    };
    let terms = ConnectTerms {
        uri,
        without_secret: arguments.without_secret,
        key: session.key_name().map(str::to_owned),
        policy: arguments.policy.clone(),
        name: arguments.name.clone(),
        seconds: seconds(&arguments.duration, &["forever"])?,
        limits: limits(&arguments.bounds),
    };
    // What is wrong with it is said before the vault is opened.
    terms.read_uri().map_err(Fault::from)?;
    let view = session.open()?.nip46().connect(terms)?;
    if !view.serving {
        let relays: Vec<String> = view.relays.iter().map(|relay| format!("--relay {relay}")).collect();
        session.output.talk(&format!("Now run `keep serve {}` so that it is answered.", relays.join(" ")));
    }
    session.output.show(&Connected(view))
}

/// An address as it was given, or from stdin.
pub fn address(given: &str) -> Result<String, Fault> {
    if given != "-" {
        return Ok(given.trim().to_owned());
    }
    let mut text = String::new();
    std::io::stdin().lock().take(MAX_LEN).read_to_string(&mut text).map_err(|error| {
        Fault::new(ErrorCode::InvalidInput, format!("cannot read the address from stdin: {error}"))
    })?;
    Ok(text.trim().to_owned())
}
