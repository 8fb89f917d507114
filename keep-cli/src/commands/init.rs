//! `keep init`, also with `--hidden`.

use keep_sdk::{ErrorCode, Fault, HIDDEN_CAPACITY, Home, Keep, SecretText};
use serde::Serialize;

use crate::args::Init;
use crate::ending::Ending;
use crate::output::View;
use crate::secrets::Source;
use crate::session::Session;
use crate::style::Style;
use crate::terminal::Terminal;

#[derive(Serialize)]
struct Made {
    home: String,
    /// What tells this vault from every other.
    fingerprint: String,
}

impl View for Made {
    fn human(&self, style: Style) -> String {
        let fingerprint = style.dim(&format!("fingerprint {}", self.fingerprint));
        format!("{} a vault in {}\n  {fingerprint}", style.tick(), style.bold(&self.home))
    }
}

#[derive(Serialize)]
struct MadeHidden {
    home: String,
    /// How much it can hold, in bytes.
    capacity: usize,
}

impl View for MadeHidden {
    fn human(&self, style: Style) -> String {
        format!("{} a hidden vault in the reserve of {}", style.tick(), style.bold(&self.home))
    }
}

pub fn run(session: &Session, arguments: &Init) -> Result<(), Ending> {
    let home = Home::from_environment()?;
    if session.is_hidden() && arguments.keep_reserve {
        let message = "--keep-reserve keeps the hidden vault that is there";
        return Err(Fault::new(ErrorCode::Usage, message).with_hint("use it without --hidden").into());
    }
    if session.is_hidden() {
        return run_hidden(session, arguments, home);
    }
    if arguments.yes || arguments.hidden_password_file.is_some() {
        return Err(Fault::new(ErrorCode::Usage, "--yes and --hidden-password-file are for a hidden vault")
            .with_hint("keep --hidden init makes one")
            .into());
    }
    let options = session.options(Some(&arguments.kdf));
    let keep = if arguments.keep_reserve {
        Keep::expect_lone_reserve(&home)?;
        let passphrase = session.password().get_new(session.yes_safe())?;
        Keep::create_beside(home, &passphrase, &options)?
    } else {
        Keep::expect_none(&home)?;
        let passphrase = session.password().get_new(session.yes_safe())?;
        Keep::create(home, &passphrase, &options)?
    };
    warn_of_readers(session, keep.home());
    let home = keep.home().path().display().to_string();
    let fingerprint = keep.audit().fingerprint()?.fingerprint;
    session.output.show(&Made { home, fingerprint })?;
    session.output.talk(
        "There is no way in without the passphrase: write it down where only you find it.\n\
         Next: keep generate --name main",
    );
    Ok(())
}

/// A directory that was there before keeps the permissions that its owner gave it.
pub fn warn_of_readers(session: &Session, home: &Home) {
    if let Some(found) = super::doctor::readable_by_others(home.path()) {
        let hint = format!("only you should enter it: chmod go-rwx {}", home.path().display());
        session.output.warn(ErrorCode::Storage, &found, &hint);
    }
}

fn run_hidden(session: &Session, arguments: &Init, home: Home) -> Result<(), Ending> {
    let (outer, hidden) = if Keep::expect_none(&home).is_ok() {
        let outer = session.outer_password().get_new(session.yes_safe())?;
        let hidden = new_passphrase(session, arguments, &outer)?;
        drop(Keep::create(home.clone(), &outer, &session.options(Some(&arguments.kdf)))?);
        warn_of_readers(session, &home);
        (outer, hidden)
    } else {
        let outer = session.outer_password().get()?;
        if !arguments.yes {
            ask(session)?;
        }
        let hidden = new_passphrase(session, arguments, &outer)?;
        (outer, hidden)
    };
    let keep = Keep::create_hidden(home, &outer, &hidden, &session.options(None))?;
    let home = keep.home().path().display().to_string();
    session.output.show(&MadeHidden { home, capacity: HIDDEN_CAPACITY })?;
    session.output.talk(&format!(
        "Its passphrase opens it with every command; --hidden only makes sure that no other vault opens.\n\
         It holds {} MiB, which is several thousand keys, and never grows.\n\
         There is no other way in: write the passphrase down where only you find it.\n\
         Your shell remembers what you typed. What else shows, and what does not: docs/hidden.md",
        HIDDEN_CAPACITY >> 20
    ));
    Ok(())
}

fn new_passphrase(session: &Session, arguments: &Init, outer: &SecretText) -> Result<SecretText, Ending> {
    let source = Source::new_hidden(arguments.hidden_password_file.as_deref());
    let hidden = source.get_new(session.yes_safe())?;
    if hidden.expose() == outer.expose() {
        return Err(Fault::new(ErrorCode::InvalidInput, "the two vaults cannot have the same passphrase")
            .with_hint("the passphrase decides which of them opens; choose another one")
            .into());
    }
    Ok(hidden)
}

/// In a vault that was not made just now nobody knows what the reserve holds.
fn ask(session: &Session) -> Result<(), Ending> {
    let mut terminal = Terminal::open().ok_or_else(|| {
        Fault::new(
            ErrorCode::ApprovalUnavailable,
            "making a hidden vault in an existing vault needs a yes, and there is no terminal to ask on",
        )
        .with_hint("if a hidden vault with another passphrase is there already it is destroyed; pass --yes if you mean it")
    })?;
    session.output.talk(
        "Whatever the reserve of this vault holds is lost. Keep cannot know whether that is a hidden vault with another\n\
         passphrase.",
    );
    if terminal.ask_yes("Overwrite it?")? {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::RefusedByPerson, "nothing was changed").into())
}
