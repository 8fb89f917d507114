//! `keep audit anchor` and `keep audit accept-rollback`.

use keep_sdk::{ErrorCode, Event, Fault, RollbackView};

use crate::args::{AuditAcceptRollback, AuditAnchor};
use crate::commands::doctor::to_check;
use crate::commands::serve::relays;
use crate::commands::sign_event::send;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;
use crate::terminal::Terminal;

pub fn run(session: &Session, arguments: &AuditAnchor) -> Result<(), Ending> {
    let relays = relays(&arguments.relay)?;
    let event: Event = session.open()?.audit().anchor()?;
    session.output.value(&event)?;
    if relays.is_empty() {
        session.output.talk(
            "Keep it away from this machine; `keep audit verify --anchor FILE` compares the vault with it.",
        );
        return Ok(());
    }
    send(session, &event, &relays)
}

impl View for RollbackView {
    fn human(&self, style: Style) -> String {
        let went = format!(
            "{} going on from revision {}, although revision {} was in use here\n  {}",
            style.tick(),
            self.revision,
            self.seen,
            style.dim(&format!(
                "what was revoked or spent since that state is not so any more: clients, bunker addresses and agents' sessions \
                 are suspended until you let them go on ({} in all)",
                self.suspended
            )),
        );
        let rest = to_check(&self.policies, &self.persons).map(|line| format!("\n  {}", style.dim(&line)));
        went + &rest.collect::<String>()
    }
}

pub fn accept_rollback(session: &Session, arguments: &AuditAcceptRollback) -> Result<(), Ending> {
    if !arguments.yes {
        terminal()?;
    }
    let audit = session.open()?.audit();
    let question = "Keys, clients and limits are then as they were in this older state. Go on from it?";
    if !arguments.yes && !terminal()?.ask_yes(question)? {
        return Err(Fault::new(ErrorCode::RefusedByPerson, "the vault stays as it is")
            .with_hint("put the newer files back, keep.db-wal among them")
            .into());
    }
    session.output.show(&audit.accept_rollback()?)
}

fn terminal() -> Result<Terminal, Fault> {
    Terminal::open().ok_or_else(|| {
        let message = "going on with an older vault needs a yes, and there is no terminal to ask on";
        Fault::new(ErrorCode::ApprovalUnavailable, message).with_hint("pass --yes if you mean it")
    })
}
