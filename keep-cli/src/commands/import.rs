//! `keep import`.

use keep_sdk::{BunkerUri, Fault, Home, Keep, SecretInput, SecretText};

use crate::args::Import;
use crate::commands::generate::path;
use crate::commands::nip46::address;
use crate::ending::Ending;
use crate::interruptible::interruptible;
use crate::key_view::OneKey;
use crate::secrets::{Source, read_key};
use crate::session::{Session, name};

/// The shortest mnemonic.
const MIN_WORDS: usize = 12;

pub fn run(session: &Session, arguments: &Import) -> Result<(), Ending> {
    let name = name(&arguments.named.name)?;
    Keep::expect_vault(&Home::from_environment()?)?;
    if let Some(uri) = &arguments.bunker {
        let uri = address(uri)?;
        // What is wrong with it is said before the vault is opened.
        BunkerUri::parse(&uri).map_err(Fault::from)?;
        let keep = session.open()?;
        let told = ("no key was taken", "`keep list` shows whether the key was taken before");
        let key = interruptible(&session.output, told, || keep.remote_keys().add(name, &uri))?;
        return session.output.show(&OneKey(&key));
    }
    let text = read_key(&session.output)?;
    let file = arguments.passphrase_file.as_deref();
    let key = if text.expose().split_whitespace().count() >= MIN_WORDS {
        // Most mnemonics have no passphrase, so nobody is asked for one.
        let passphrase = Source::mnemonic(file).given()?.unwrap_or_else(|| SecretText::new(String::new()));
        session.open()?.keys().import_mnemonic(name, text, passphrase, path(arguments.path))?
    } else {
        let secret = SecretInput::parse(&text)?;
        let source = Source::ncryptsec(file);
        let passphrase = if secret.is_encrypted() { Some(source.get()?) } else { None };
        session.open()?.keys().import(name, secret, passphrase.as_ref())?
    };
    session.output.show(&OneKey(&key))
}
