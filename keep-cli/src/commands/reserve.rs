//! `keep reserve reset`.

use keep_sdk::{ErrorCode, Fault, ReserveResetView, SecretText, counted};
use serde::Serialize;

use crate::args::Reserve;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;
use crate::terminal::Terminal;

#[derive(Serialize)]
#[serde(transparent)]
struct Done(ReserveResetView);

impl View for Done {
    fn human(&self, style: Style) -> String {
        let mut text = format!("{} the reserve is new", style.tick());
        if let Some(code) = &self.0.recovery_code {
            text.push_str(
                "\nThe recovery code that was printed before does not work any more. This one does:\n",
            );
            text.push_str(code.expose());
        }
        text
    }
}

pub fn run(session: &Session, command: &Reserve) -> Result<(), Ending> {
    let Reserve::Reset { yes } = command;
    if !*yes {
        ask(session)?;
    }
    let done = session.with_password(&mut |passphrase| {
        let again = || SecretText::from(passphrase.expose().to_owned());
        session.open_as(passphrase)?.reset_reserve(again())
    })?;
    let dropped = done.dropped;
    session.output.show(&Done(done))?;
    if dropped > 0 {
        session.output.talk(&format!(
            "The vault is no longer opened by {}; add again what you still use.",
            counted(dropped, "other passphrase")
        ));
    }
    Ok(())
}

fn ask(session: &Session) -> Result<(), Ending> {
    let mut terminal = Terminal::open().ok_or_else(|| {
        Fault::new(
            ErrorCode::ApprovalUnavailable,
            "overwriting the reserve needs a yes, and there is no terminal to ask on",
        )
        .with_hint("a hidden vault in it would be destroyed; pass --yes if you mean it")
    })?;
    session.output.talk(
        "A hidden vault in the reserve would be destroyed; Keep cannot know whether there is one. Other passphrases than the one\n\
         that you give do not open the vault afterwards, and recovery codes are replaced by a new one.",
    );
    if terminal.ask_yes("Overwrite the reserve?")? {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::RefusedByPerson, "nothing was changed").into())
}
