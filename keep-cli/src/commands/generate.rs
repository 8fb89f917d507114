//! `keep generate`.

use keep_sdk::{ErrorCode, Fault, KeyPath, KeyView, SecretText};
use serde::Serialize;

use crate::args::{Derived, Generate, PathName};
use crate::ending::Ending;
use crate::key_view::OneKey;
use crate::output::{View, in_clear};
use crate::session::{Session, name};
use crate::style::Style;

#[derive(Serialize)]
struct Made {
    key: KeyView,
    #[serde(serialize_with = "in_clear")]
    mnemonic: SecretText,
}

impl View for Made {
    fn human(&self, style: Style) -> String {
        format!("{}  {}\n{}", style.bold(&self.key.name), self.key.npub, self.mnemonic.expose())
    }
}

pub fn run(session: &Session, arguments: &Generate) -> Result<(), Ending> {
    let name = name(&arguments.named.name)?;
    if !arguments.mnemonic {
        if arguments.path.path != PathName::default() || arguments.path.account.is_some() {
            return Err(Fault::new(ErrorCode::Usage, "--path and --account are for keys from a mnemonic")
                .with_hint("add --mnemonic")
                .into());
        }
        return session.output.show(&OneKey(&session.open()?.keys().generate(name)?));
    }
    if !matches!(arguments.words, 12 | 24) {
        return Err(Fault::new(ErrorCode::Usage, "a new mnemonic has 12 or 24 words").into());
    }
    let made = session.open()?.keys().generate_mnemonic(name, arguments.words, path(arguments.path))?;
    session.output.show(&Made { key: made.key, mnemonic: made.mnemonic })?;
    session.output.talk(
        "Write the words down in this order and keep the paper safe: whoever has them has the key, and the Bitcoin keys\n\
         that follow from them. The vault keeps them too: keep export --mnemonic shows them again.",
    );
    Ok(())
}

/// Where in the tree the Nostr key is.
pub fn path(derived: Derived) -> KeyPath {
    KeyPath { nip06: derived.path == PathName::Nip06, account: derived.account }
}
