//! `keep import`.

use keep_sdk::{Home, Keep, SecretInput};

use crate::args::Import;
use crate::ending::Ending;
use crate::key_view::OneKey;
use crate::secrets::{Source, read_key};
use crate::session::{Session, name};

pub fn run(session: &Session, arguments: &Import) -> Result<(), Ending> {
    let name = name(&arguments.named.name)?;
    Keep::expect_vault(&Home::from_environment()?)?;
    let secret = SecretInput::parse(&read_key(&session.output)?)?;
    let source = Source::ncryptsec(arguments.passphrase_file.as_deref());
    let passphrase = if secret.is_encrypted() { Some(source.get()?) } else { None };
    let key = session.open()?.keys().import(name, secret, passphrase.as_ref())?;
    session.output.show(&OneKey(&key))
}
