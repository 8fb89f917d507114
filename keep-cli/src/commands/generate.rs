//! `keep generate`.

use crate::args::Named;
use crate::ending::Ending;
use crate::key_view::OneKey;
use crate::session::{Session, name};

pub fn run(session: &Session, arguments: &Named) -> Result<(), Ending> {
    let name = name(&arguments.name)?;
    let key = session.open()?.keys().generate(name)?;
    session.output.show(&OneKey(&key))
}
