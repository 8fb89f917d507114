//! `keep frost`, `keep sign` and `keep verify`: threshold keys.

mod exchange;
mod files;
mod folder;
mod groups;
mod message;
mod psbt;
mod release;
mod renew;
mod rounds;
mod shares;
mod sign;
mod view;

use crate::args::frost::Frost;
use crate::ending::Ending;
use crate::session::Session;

pub use release::{sign as sign_file, verify as verify_file};
pub use sign::sign_event;

pub fn run(session: &Session, command: Frost) -> Result<(), Ending> {
    match command {
        Frost::Generate(arguments) => groups::generate(session, &arguments),
        Frost::Split(arguments) => groups::split(session, &arguments),
        Frost::List => groups::list(session),
        Frost::Show(arguments) => groups::show(session, &arguments),
        Frost::DeleteShare(arguments) => groups::delete_share(session, &arguments),
        Frost::Confirm(arguments) => groups::confirm(session, &arguments),
        Frost::Grant(arguments) => groups::grant(session, &arguments),
        Frost::Revoke(arguments) => groups::revoke(session, &arguments),
        Frost::Export(arguments) => shares::export(session, &arguments),
        Frost::Import(arguments) => shares::import(session, &arguments),
        Frost::Sign(arguments) => sign::sign(session, &arguments),
        Frost::SignPsbt(arguments) => psbt::sign(session, &arguments),
        Frost::Verify(arguments) => sign::verify(session, &arguments),
        Frost::Refresh(arguments) => renew::refresh(session, &arguments),
        Frost::Repair(arguments) => renew::repair(session, &arguments),
        Frost::Recover(arguments) => shares::recover(session, &arguments),
        Frost::Device(arguments) => renew::device(session, &arguments),
    }
}
