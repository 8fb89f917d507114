//! Where keys are read from: the vault, or what a search of a damaged vault's files finds.

use keep_sdk::{ErrorCode, Fault, Keep, KeyView, Rescue, SecretText};

use crate::args::Damaged;
use crate::ending::Ending;
use crate::session::Session;

/// Keys that can be listed and exported.
pub enum Keyring {
    Vault(Keep),
    Rescued(Rescue),
}

impl Keyring {
    /// Opens the vault, or searches its files where that was asked for.
    pub fn open(session: &Session, how: Damaged) -> Result<Self, Ending> {
        if !how.rescue {
            return Ok(Self::Vault(session.open()?));
        }
        let rescued = session.rescue()?;
        let hint = "import them into a new vault, then put the damaged one away";
        session.output.warn(
            ErrorCode::Integrity,
            "exports from a damaged vault are not recorded in its log",
            hint,
        );
        Ok(Self::Rescued(rescued))
    }

    pub fn list(&self) -> Result<Vec<KeyView>, Fault> {
        match self {
            Self::Vault(keep) => keep.keys().list(),
            Self::Rescued(rescued) => Ok(rescued.list()),
        }
    }

    /// The key with this name, npub or public key in hexadecimal.
    pub fn find(&self, name: &str) -> Result<KeyView, Fault> {
        match self {
            Self::Vault(keep) => keep.keys().find(Some(name)),
            Self::Rescued(rescued) => rescued
                .list()
                .into_iter()
                .find(|key| [&key.name, &key.npub, &key.pubkey].iter().any(|known| *known == name))
                .ok_or_else(|| Fault::new(ErrorCode::NotFound, "no key of this name could be rescued"))
                .map_err(|fault| fault.with_hint("see `keep list --rescue`")),
        }
    }

    pub fn export_nsec(&self, key: &KeyView) -> Result<SecretText, Fault> {
        match self {
            Self::Vault(keep) => keep.keys().export_nsec(key),
            Self::Rescued(rescued) => rescued.export_nsec(key),
        }
    }

    pub fn export_ncryptsec(&self, key: &KeyView, passphrase: &SecretText) -> Result<String, Fault> {
        match self {
            Self::Vault(keep) => keep.keys().export_ncryptsec(key, passphrase),
            Self::Rescued(rescued) => rescued.export_ncryptsec(key, passphrase),
        }
    }
}
