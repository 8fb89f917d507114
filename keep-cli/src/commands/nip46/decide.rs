//! `keep pending`, `approve` and `deny`.

use keep_sdk::{Breadth, Lasting, PendingView, VoteView};
use serde::Serialize;

use super::seconds;
use crate::args::nip46::{Decide, ScopeName};
use crate::ending::Ending;
use crate::output::View;
use crate::prompt::spend_rows;
use crate::secrets::Source;
use crate::session::Session;
use crate::style::Style;

/// The most characters of a content in a list.
const SHOWN: usize = 400;

#[derive(Serialize)]
struct Pending {
    pending: Vec<PendingView>,
}

impl View for Pending {
    fn human(&self, style: Style) -> String {
        if self.pending.is_empty() {
            return style.dim("nothing waits for a decision");
        }
        self.pending.iter().map(|pending| entry(pending, style)).collect::<Vec<_>>().join("\n\n")
    }
}

fn entry(pending: &PendingView, style: Style) -> String {
    let who = match (pending.name.as_str(), pending.claims.as_str()) {
        ("", "") => "a client without a name".to_owned(),
        ("", claims) => format!("a client that calls itself \"{claims}\""),
        (name, _) => name.to_owned(),
    };
    let kind = pending.kind.map(|kind| match &pending.kind_name {
        Some(name) => format!(" of kind {kind} ({name})"),
        None => format!(" of kind {kind}"),
    });
    let mut lines = vec![
        format!(
            "{} {who} asks {}: {}{}",
            style.bold(&pending.id),
            pending.key,
            pending.method,
            kind.unwrap_or_default()
        ),
        format!("  since {}, because {}", pending.since, pending.because),
    ];
    if let Some(npub) = &pending.client_npub {
        lines.push(format!("  client {npub}"));
    }
    if let Some(peer) = &pending.peer {
        lines.push(format!("  with {peer}"));
    }
    if let Some(amount) = pending.zap_millisats {
        lines.push(format!("  zap of {} sat", amount / 1000));
    }
    if let Some(spend) = &pending.spend {
        lines.extend(spend_rows(spend).into_iter().map(|(label, text)| format!("  {label:6} {text}")));
    }
    if let Some(message) = &pending.message {
        let address = message.address.as_ref().map_or("no address", |address| address.as_str());
        let text: String = message.message.as_str().chars().take(SHOWN).collect();
        lines.push(format!("  as {address}: {text}"));
    }
    for tag in &pending.tags {
        let parts: Vec<&str> = tag.iter().map(|part| part.as_str()).collect();
        lines.push(style.dim(&format!("  tag {}", parts.join(" "))));
    }
    if !pending.content.as_str().is_empty() {
        let shown: String = pending.content.as_str().chars().take(SHOWN).collect();
        lines.push(format!("  {shown}"));
    }
    if pending.persons > 1 {
        lines.push(format!(
            "  takes {} persons; approved by {}",
            pending.persons,
            pending.approved_by.join(", ")
        ));
    }
    lines.join("\n")
}

#[derive(Serialize)]
#[serde(transparent)]
struct Voted(VoteView);

impl View for Voted {
    fn human(&self, style: Style) -> String {
        match (self.0.settled, self.0.approved) {
            (true, true) => format!("{} approved", style.tick()),
            (true, false) => format!("{} refused", style.tick()),
            (false, _) => format!("{} noted; it takes {} more", style.tick(), self.0.needs),
        }
    }
}

pub fn pending(session: &Session) -> Result<(), Ending> {
    let pending = session.open()?.inbox().pending()?;
    session.output.show(&Pending { pending })
}

pub fn approve(session: &Session, arguments: &Decide) -> Result<(), Ending> {
    decide(session, arguments, true)
}

pub fn deny(session: &Session, arguments: &Decide) -> Result<(), Ending> {
    decide(session, arguments, false)
}

fn decide(session: &Session, arguments: &Decide, approve: bool) -> Result<(), Ending> {
    let breadth = match arguments.scope {
        ScopeName::Kind => Breadth::Kind,
        ScopeName::Client => Breadth::Client,
    };
    let lasting = arguments.lasting.as_deref().map(|text| {
        Ok::<_, keep_sdk::Fault>(Lasting { breadth, seconds: seconds(text, &["always", "forever"])? })
    });
    let lasting = lasting.transpose()?;
    let inbox = session.open()?.inbox();
    let view = match &arguments.person {
        None => inbox.decide(&arguments.id, approve, lasting)?,
        Some(person) => {
            let code = Source::approval().get()?;
            inbox.vote(&arguments.id, approve, person, code)?
        }
    };
    session.output.show(&Voted(view))
}
