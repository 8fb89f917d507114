//! `keep rename`.

use crate::args::Rename;
use crate::ending::Ending;
use crate::key_view::OneKey;
use crate::session::{Session, name};

pub fn run(session: &Session, arguments: &Rename) -> Result<(), Ending> {
    let to = name(&arguments.to)?;
    let keys = session.open()?.keys();
    let key = keys.find(Some(&arguments.named.name))?;
    session.output.show(&OneKey(&keys.rename(&key, to)?))
}
