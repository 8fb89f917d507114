//! The reserve: the 16 MiB beside the vault in which a hidden one may lie.

use keep_types::{Fault, SecretText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Keep;
use crate::call::{Call, Class, Host, secret};

/// Overwrites the reserve.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reset {
    #[serde(with = "secret::text")]
    pub passphrase: SecretText,
}

/// What became of the ways to unlock when the reserve was made anew.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReserveResetView {
    /// The new recovery code, shown this once; only where there was one before.
    #[serde(with = "secret::optional_text")]
    #[schemars(with = "Option<String>")]
    pub recovery_code: Option<SecretText>,
    /// How many other passphrases do not open the vault any more.
    pub dropped: usize,
}

impl Call for Reset {
    const NAME: &'static str = "reserve.reset";
    const CLASS: Class = Class::Manage;
    type Reply = ReserveResetView;

    fn run(self, host: &Host) -> Result<ReserveResetView, Fault> {
        let done = host.vault().reset_reserve(host.home().path(), &self.passphrase)?;
        Ok(ReserveResetView { recovery_code: done.recovery_code, dropped: done.dropped })
    }
}

impl Keep {
    /// Overwrites the reserve of the vault with new random bytes, or makes it if it was lost. **A hidden vault in it is
    /// gone**, and nobody can know whether there is one: ask first. The salt of the passphrases lies there, too, so only
    /// `passphrase` goes on opening this vault; recovery codes are replaced by one new one.
    ///
    /// # Errors
    /// [`ErrorCode::WrongPassphrase`](keep_types::ErrorCode::WrongPassphrase);
    /// [`ErrorCode::InvalidInput`](keep_types::ErrorCode::InvalidInput) in a hidden vault;
    /// [`ErrorCode::StorageBusy`](keep_types::ErrorCode::StorageBusy) while a hidden one is open.
    pub fn reset_reserve(&self, passphrase: SecretText) -> Result<ReserveResetView, Fault> {
        self.call(Reset { passphrase })
    }
}
