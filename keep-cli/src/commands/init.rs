//! `keep init`.

use keep_sdk::{Home, Keep};
use serde::Serialize;

use crate::args::Init;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
struct Made {
    home: String,
}

impl View for Made {
    fn human(&self, style: Style) -> String {
        format!("{} a vault in {}", style.tick(), style.bold(&self.home))
    }
}

pub fn run(session: &Session, arguments: &Init) -> Result<(), Ending> {
    let home = Home::from_environment()?;
    Keep::expect_none(&home)?;
    let passphrase = session.password().get_new(session.yes_safe())?;
    let keep = Keep::create(home, &passphrase, &session.options(Some(&arguments.kdf)))?;
    session.output.show(&Made { home: keep.home().path().display().to_string() })?;
    session.output.talk(
        "There is no way in without the passphrase: write it down where only you find it.\n\
         Next: keep generate --name main",
    );
    Ok(())
}
