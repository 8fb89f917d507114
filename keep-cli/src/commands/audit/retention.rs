//! `keep audit retention`.

use keep_sdk::{ErrorCode, Fault, RetentionView, counted};

use crate::args::AuditRetention;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;
use crate::terminal::Terminal;

impl View for RetentionView {
    fn human(&self, style: Style) -> String {
        if self.removed == 0 {
            return format!("no entry is older than {}; {} stay", self.before, self.kept);
        }
        let entries = format!("{} before {}", counted(self.removed, "entry"), self.before);
        let range = style.dim(&format!("(numbers {} to {})", self.first, self.keep_from - 1));
        if self.applied {
            return format!(
                "{} removed {entries} {range}; a signed checkpoint stands for them",
                style.tick()
            );
        }
        format!("would remove {entries} {range} and keep {}", self.kept)
    }
}

pub fn run(session: &Session, arguments: &AuditRetention) -> Result<(), Ending> {
    if arguments.apply && !arguments.yes {
        terminal()?;
    }
    let audit = session.open()?.audit();
    let plan = audit.plan_retention(arguments.max_days)?;
    if !arguments.apply {
        session.output.show(&plan)?;
        if plan.removed > 0 {
            session.output.talk("Nothing was removed. Pass --apply to do it.");
        }
        return Ok(());
    }
    if plan.removed > 0 && !arguments.yes {
        session.output.ask(&plan.human(session.output.talk_style()));
        if !terminal()?.ask_yes("They are gone for good then. Remove them?")? {
            return Err(Fault::new(ErrorCode::RefusedByPerson, "nothing was removed")
                .with_hint("without --apply it only says what would be removed")
                .into());
        }
    }
    session.output.show(&audit.retain(arguments.max_days)?)
}

fn terminal() -> Result<Terminal, Fault> {
    Terminal::open().ok_or_else(|| {
        let message = "removing entries of the log needs a yes, and there is no terminal to ask on";
        Fault::new(ErrorCode::ApprovalUnavailable, message).with_hint("pass --yes if you mean it")
    })
}
