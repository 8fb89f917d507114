//! `keep list`.

use crate::ending::Ending;
use crate::key_view::KeyList;
use crate::session::Session;

pub fn run(session: &Session) -> Result<(), Ending> {
    let keys = session.open()?.keys().list()?;
    if keys.is_empty() {
        session.output.talk("The vault has no key yet. Make one: keep generate --name main");
    }
    session.output.show(&KeyList { keys: &keys })
}
