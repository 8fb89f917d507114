//! `keep pending`, `approve` and `deny`.

use keep_sdk::{Breadth, Lasting, PendingView, VoteView};
use serde::Serialize;

use super::seconds;
use crate::args::nip46::{Decide, PendingCommand, ScopeName};
use crate::ending::Ending;
use crate::output::View;
use crate::prompt::whole;
use crate::screen::detail::rows;
use crate::secrets::Source;
use crate::session::Session;
use crate::style::Style;

/// The most characters of each text in a list.
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

/// One of them, whole.
#[derive(Serialize)]
#[serde(transparent)]
struct Whole(PendingView);

impl View for Whole {
    fn human(&self, style: Style) -> String {
        entry(&self.0, style)
    }
}

/// What is asked, as on the screen.
fn entry(pending: &PendingView, style: Style) -> String {
    let mut lines = vec![format!("{} {}", style.bold(&pending.id), pending.headline)];
    lines.extend(
        rows(pending, &whole(&pending.id))
            .into_iter()
            .map(|(label, text)| format!("  {} {text}", style.dim(&format!("{label:10}")))),
    );
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

pub fn pending(session: &Session, which: Option<&PendingCommand>) -> Result<(), Ending> {
    let inbox = session.open()?.inbox();
    match which {
        Some(PendingCommand::Show { id }) => session.output.show(&Whole(inbox.show(id)?)),
        None if session.output.is_json() => session.output.show(&Pending { pending: inbox.pending()? }),
        None => session.output.show(&Pending { pending: inbox.pending_within(SHOWN)? }),
    }
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
