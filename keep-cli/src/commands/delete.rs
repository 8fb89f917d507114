//! `keep delete`.

use keep_sdk::{ErrorCode, Fault, KeyView};
use serde::Serialize;

use crate::args::Delete;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;
use crate::terminal::Terminal;

#[derive(Serialize)]
struct Deleted {
    deleted: KeyView,
}

impl View for Deleted {
    fn human(&self, style: Style) -> String {
        format!("{} deleted {}  {}", style.tick(), style.bold(&self.deleted.name), self.deleted.npub)
    }
}

pub fn run(session: &Session, arguments: &Delete) -> Result<(), Ending> {
    if !arguments.yes {
        terminal()?;
    }
    let keep = session.open()?;
    let key = keep.keys().find(Some(&arguments.named.name))?;
    if !arguments.yes {
        session.output.talk(&format!("{}  {}", key.name, key.npub));
        let question = "Its secret is gone for good then. Type the key's name to delete it: ";
        if terminal()?.ask_line(question)? != key.name {
            return Err(Fault::new(ErrorCode::RefusedByPerson, "nothing was deleted")
                .with_hint("type the name exactly as it is")
                .into());
        }
    }
    keep.keys().delete(&key)?;
    session.output.show(&Deleted { deleted: key })
}

fn terminal() -> Result<Terminal, Fault> {
    Terminal::open().ok_or_else(|| {
        Fault::new(
            ErrorCode::ApprovalUnavailable,
            "deleting a key needs a yes, and there is no terminal to ask on",
        )
        .with_hint("pass --yes if you mean it")
    })
}
