//! `keep list`.

use crate::args::List;
use crate::commands::keyring::Keyring;
use crate::ending::Ending;
use crate::key_view::KeyList;
use crate::session::Session;

pub fn run(session: &Session, arguments: &List) -> Result<(), Ending> {
    let keys = Keyring::open(session, arguments.damaged)?.list()?;
    if keys.is_empty() {
        session.output.talk("The vault has no key yet. Make one: keep generate --name main");
    }
    session.output.show(&KeyList { keys: &keys })
}
