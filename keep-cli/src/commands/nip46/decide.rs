//! `keep pending`, `approve` and `deny`.

use keep_sdk::{Breadth, ErrorCode, Fault, Inbox, Lasting, PendingView, VoteView, counted};
use serde::Serialize;

use super::seconds;
use crate::args::nip46::{Approve, Decide, PendingCommand, ScopeName};
use crate::ending::Ending;
use crate::output::View;
use crate::prompt::whole;
use crate::screen::detail::rows;
use crate::secrets::Source;
use crate::session::Session;
use crate::style::Style;
use crate::terminal::Terminal;

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
            (false, _) => {
                format!("{} noted; it takes {}", style.tick(), counted(self.0.needs, "more person"))
            }
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

/// What is said yes to is shown first, all of it, and nothing else is said yes to.
pub fn approve(session: &Session, arguments: &Approve) -> Result<(), Ending> {
    let lasting = lasting(&arguments.decide)?;
    let inbox = session.open()?.inbox();
    let asked = inbox.show(&arguments.decide.id)?;
    match Terminal::open().filter(|_| !arguments.yes) {
        Some(mut terminal) => {
            session.output.ask(&entry(&asked, session.output.talk_style()));
            // Of a long request only the end is still to be seen: who asks for what is said again.
            session.output.ask(&asked.headline);
            if !terminal.ask_yes(&question(arguments))? {
                let hint = format!("it waits on; `keep deny {}` refuses it", asked.id);
                let fault = Fault::new(ErrorCode::RefusedByPerson, "nothing was decided");
                return Err(fault.with_hint(hint).into());
            }
        }
        // With the result.
        None if session.output.is_json() => {}
        None => session.output.ask(&entry(&asked, session.output.talk_style())),
    }
    let vote = vote(&inbox, &asked.id, lasting, (&arguments.decide, true))?;
    session.output.show(&Approved { vote: Voted(vote), request: asked })
}

fn question(arguments: &Approve) -> String {
    let decide = &arguments.decide;
    match (&decide.lasting, decide.scope) {
        (None, _) => "Approve this?".to_owned(),
        (Some(time), ScopeName::Kind) => format!("Approve this and all of its kind, for {time}?"),
        (Some(time), ScopeName::Client) => {
            format!("Approve this and EVERYTHING that this client asks, for {time}?")
        }
    }
}

/// What was said yes to, with what came of it: programs read both.
#[derive(Serialize)]
struct Approved {
    #[serde(flatten)]
    vote: Voted,
    request: PendingView,
}

impl View for Approved {
    fn human(&self, style: Style) -> String {
        self.vote.human(style)
    }
}

pub fn deny(session: &Session, arguments: &Decide) -> Result<(), Ending> {
    let lasting = lasting(arguments)?;
    let inbox = session.open()?.inbox();
    session.output.show(&Voted(vote(&inbox, &arguments.id, lasting, (arguments, false))?))
}

/// For how long, and for what else, it is to hold.
fn lasting(arguments: &Decide) -> Result<Option<Lasting>, Ending> {
    let breadth = match arguments.scope {
        ScopeName::Kind => Breadth::Kind,
        ScopeName::Client => Breadth::Client,
    };
    let lasting = arguments.lasting.as_deref().map(|text| {
        Ok::<_, keep_sdk::Fault>(Lasting { breadth, seconds: seconds(text, &["always", "forever"])? })
    });
    Ok(lasting.transpose()?)
}

fn vote(
    inbox: &Inbox,
    id: &str,
    lasting: Option<Lasting>,
    (arguments, approve): (&Decide, bool),
) -> Result<VoteView, Ending> {
    Ok(match &arguments.person {
        None => inbox.decide(id, approve, lasting)?,
        Some(person) => inbox.vote(id, approve, person, Source::approval().get()?)?,
    })
}
