//! `keep audit`.

mod anchor;
mod export;
mod list;
mod retention;
mod stats;
mod verify;

use crate::args::Audit;
use crate::ending::Ending;
use crate::session::Session;

pub fn run(session: &Session, arguments: &Audit) -> Result<(), Ending> {
    match arguments {
        Audit::List(arguments) => list::run(session, arguments),
        Audit::Verify(arguments) => verify::run(session, arguments),
        Audit::Stats => stats::run(session),
        Audit::Export(arguments) => export::run(session, arguments),
        Audit::Retention(arguments) => retention::run(session, arguments),
        Audit::Anchor(arguments) => anchor::run(session, arguments),
        Audit::AcceptRollback(arguments) => anchor::accept_rollback(session, arguments),
    }
}
