//! `keep export`.

use std::io::{self, IsTerminal};

use keep_sdk::{ErrorCode, Fault, KeyView, SecretText};
use serde::Serialize;

use crate::args::Export;
use crate::commands::keyring::Keyring;
use crate::ending::Ending;
use crate::output::{View, in_clear, optional_in_clear};
use crate::secrets::Source;
use crate::session::Session;
use crate::style::Style;
use crate::terminal::Terminal;

/// Variables by which automation can be told from a person.
const AUTOMATION: [&str; 8] = [
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "JENKINS_URL",
    "BUILDKITE",
    "CIRCLECI",
    "TF_BUILD",
    "TEAMCITY_VERSION",
];

#[derive(Serialize)]
struct Exported<'a> {
    name: &'a str,
    npub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_in_clear")]
    nsec: Option<SecretText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ncryptsec: Option<String>,
}

impl View for Exported<'_> {
    fn human(&self, _: Style) -> String {
        match (&self.nsec, &self.ncryptsec) {
            (Some(nsec), _) => nsec.expose().to_owned(),
            (None, ncryptsec) => ncryptsec.clone().unwrap_or_default(),
        }
    }
}

pub fn run(session: &Session, arguments: &Export) -> Result<(), Ending> {
    if !arguments.ncryptsec {
        refuse_automation()?;
    }
    if arguments.mnemonic {
        return mnemonic(session, &arguments.named.name);
    }
    let source = Source::ncryptsec(arguments.passphrase_file.as_deref());
    // What is missing is better known before the vault is unlocked.
    let given = if arguments.ncryptsec { source.given()? } else { None };
    if arguments.ncryptsec && given.is_none() {
        source.terminal()?;
    }
    let keys = Keyring::open(session, arguments.damaged)?;
    let key = keys.find(&arguments.named.name)?;
    let (nsec, ncryptsec) = if arguments.ncryptsec {
        (None, Some(encrypted(session, &keys, &key, &source, given)?))
    } else {
        (Some(raw(&keys, &key)?), None)
    };
    session.output.show(&Exported { name: &key.name, npub: &key.npub, nsec, ncryptsec })
}

#[derive(Serialize)]
struct Words<'a> {
    name: &'a str,
    npub: &'a str,
    path: String,
    #[serde(serialize_with = "in_clear")]
    mnemonic: SecretText,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_in_clear")]
    passphrase: Option<SecretText>,
}

impl View for Words<'_> {
    fn human(&self, _: Style) -> String {
        self.mnemonic.expose().to_owned()
    }
}

fn mnemonic(session: &Session, name: &str) -> Result<(), Ending> {
    let keys = session.open()?.keys();
    let key = keys.find(Some(name))?;
    let question =
        format!("Whoever sees the words has {} and all that follows from them. Print them?", key.name);
    if !Terminal::open().ok_or_else(refusal)?.ask_yes(&question)? {
        return Err(Fault::new(ErrorCode::RefusedByPerson, "nothing was exported").into());
    }
    let found = keys.export_mnemonic(&key)?;
    if found.passphrase.is_some() {
        session
            .output
            .talk("The words were imported with a passphrase, which belongs to them: --json shows it.");
    }
    session.output.talk(&format!("The Nostr key is at {}.", found.path));
    session.output.show(&Words {
        name: &key.name,
        npub: &key.npub,
        path: found.path,
        mnemonic: found.mnemonic,
        passphrase: found.passphrase,
    })
}

fn encrypted(
    session: &Session,
    keys: &Keyring,
    key: &KeyView,
    source: &Source<'_>,
    given: Option<SecretText>,
) -> Result<String, Ending> {
    let passphrase = match given {
        Some(passphrase) => passphrase,
        None => source.get_new(session.yes_safe())?,
    };
    Ok(keys.export_ncryptsec(key, &passphrase)?)
}

fn raw(keys: &Keyring, key: &KeyView) -> Result<SecretText, Ending> {
    let question = format!("Whoever sees it can sign as {} for ever. Print the secret key?", key.name);
    let agreed = Terminal::open().ok_or_else(refusal)?.ask_yes(&question)?;
    if !agreed {
        return Err(Fault::new(ErrorCode::RefusedByPerson, "nothing was exported")
            .with_hint("with --ncryptsec it is encrypted under a passphrase")
            .into());
    }
    Ok(keys.export_nsec(key)?)
}

/// A raw key is for a person who looks at a terminal, not for logs of machines.
fn refuse_automation() -> Result<(), Fault> {
    let by_machine =
        AUTOMATION.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if by_machine || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(refusal());
    }
    Ok(())
}

fn refusal() -> Fault {
    Fault::new(
        ErrorCode::RefusedByPolicy,
        "a secret key is printed in clear only on a terminal, and never in automation",
    )
    .with_hint("use --ncryptsec with KEEP_PASSPHRASE or --passphrase-file, or run it in a terminal")
}
