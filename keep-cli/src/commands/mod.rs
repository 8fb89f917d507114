//! The commands, one module each.

mod agent;
mod audit;
mod backup;
mod bitcoin;
mod config;
mod delete;
mod doctor;
mod export;
mod frost;
mod generate;
mod help;
pub mod hwi;
mod import;
mod init;
mod keyring;
mod list;
mod migrate;
mod nip46;
mod note;
mod policy;
mod quickstart;
mod rename;
mod reserve;
mod restore;
mod rotate;
mod schema;
mod secret;
mod serve;
mod shell;
mod sign_event;
mod stanza;
pub(crate) mod unlock;
mod vault_info;

use crate::args::{self, Command, Vault};
use crate::ending::Ending;
use crate::session::Session;

pub use serve::relays;

/// Runs a command to its end.
pub fn run(session: &Session, command: Command) -> Result<(), Ending> {
    match command {
        Command::Init(arguments) => init::run(session, &arguments),
        Command::Unlock(arguments) => unlock::unlock(session, &arguments),
        Command::Lock => unlock::lock(session),
        Command::Status => unlock::status(session),
        Command::DaemonProcess => unlock::process(),
        Command::Generate(arguments) => generate::run(session, &arguments),
        Command::Import(arguments) => import::run(session, &arguments),
        Command::Export(arguments) => export::run(session, &arguments),
        Command::Rename(arguments) => rename::run(session, &arguments),
        Command::Note(arguments) => note::run(session, &arguments),
        Command::Secret(arguments) => secret::run(session, &arguments),
        Command::Vault(Vault::Info) => vault_info::run(session),
        Command::Vault(Vault::Stanza(arguments)) => stanza::run(session, &arguments),
        Command::Backup(arguments) => backup::run(session, &arguments),
        Command::Restore(arguments) => restore::run(session, &arguments),
        Command::RotatePassword(arguments) => rotate::password(session, &arguments),
        Command::RotateDataKey(arguments) => rotate::data_key(session, &arguments),
        Command::List(arguments) => list::run(session, &arguments),
        Command::Delete(arguments) => delete::run(session, &arguments),
        Command::SignEvent(arguments) => sign_event::run(session, arguments),
        Command::Frost(command) => frost::run(session, command),
        Command::Sign(arguments) => frost::sign_file(session, &arguments),
        Command::Verify(arguments) => frost::verify_file(session, &arguments),
        Command::Serve(arguments) => serve::run(session, &arguments),
        Command::Agent(command) => agent::run(session, &command),
        Command::Nip46(command) => nip46::run(session, command),
        Command::Policy(command) => policy::run(session, command),
        Command::Pending { which } => nip46::pending(session, which.as_ref()),
        Command::Approve(arguments) => nip46::approve(session, &arguments),
        Command::Deny(arguments) => nip46::deny(session, &arguments),
        Command::Bitcoin(command) => bitcoin::run(session, command),
        Command::Hwi(arguments) => hwi::run(session, arguments),
        Command::Audit(arguments) => audit::run(session, &arguments),
        Command::Reserve(command) => reserve::run(session, &command),
        Command::Quickstart(arguments) => quickstart::run(session, &arguments),
        Command::Config(command) => config::run(session, &command),
        Command::Doctor(arguments) => doctor::run(session, &arguments),
        Command::Migrate(args::Migrate::Status) => migrate::status(session),
        Command::Schema { call } => schema::run(session, call.as_deref()),
        Command::Completions { shell } => shell::completions(session, shell),
        Command::Man { directory } => shell::man(session, directory.as_deref()),
        Command::Help { topic } => help::run(session, &topic),
    }
}
