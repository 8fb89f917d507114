//! `keep restore`.

use keep_sdk::{ErrorCode, Fault, Home, RestoreTarget, RestoreView, restore_backup};
use serde::Serialize;

use crate::args::Restore;
use crate::commands::backup::{content, open};
use crate::ending::Ending;
use crate::output::View;
use crate::secrets::Source;
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
#[serde(transparent)]
struct Restored(RestoreView);

impl View for Restored {
    fn human(&self, style: Style) -> String {
        format!("{} a vault in {}: {}", style.tick(), style.bold(&self.0.home), content(&self.0.from))
    }
}

pub fn run(session: &Session, arguments: &Restore) -> Result<(), Ending> {
    let target = std::path::absolute(&arguments.target)
        .map_err(|error| Fault::new(ErrorCode::InvalidInput, format!("the target is no path: {error}")))?;
    let home = Home::new(target)?;
    let (file, key) = open(&arguments.opened)?;
    let source = Source::restored_vault(arguments.new_password_file.as_deref());
    let passphrase = source.get_new(session.yes_safe())?;
    let target = RestoreTarget { home, passphrase, take_over: arguments.take_over };
    let restored = restore_backup(file, &key, &target, &session.options(Some(&arguments.kdf)))?;
    let suspended = restored.suspended;
    session.output.show(&Restored(restored))?;
    if suspended > 0 {
        session.output.talk(
            "Clients, bunker addresses and agents' sessions are suspended, because the vault that was backed up may still be in\n\
             use. If that is gone, restore with --take-over; otherwise connect them anew.",
        );
    }
    Ok(())
}
