//! `keep note`.

use crate::args::Note;
use crate::ending::Ending;
use crate::key_view::OneKey;
use crate::session::Session;

pub fn run(session: &Session, arguments: &Note) -> Result<(), Ending> {
    let keys = session.open()?.keys();
    let key = keys.find(Some(&arguments.named.name))?;
    session.output.show(&OneKey(&keys.note(&key, arguments.text.clone())?))
}
