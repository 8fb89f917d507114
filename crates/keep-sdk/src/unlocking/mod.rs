//! The ways to unlock a vault, and its data key.

mod calls;

use keep_types::{Fault, Name, SecretText};
use keep_vault::StanzaInfo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Keep;
use crate::call::secret;

pub(crate) use calls::{AddCode, AddPassphrase, ChangePassphrase, List, Remove};
pub use calls::{NewCode, StanzaView};

/// Lists, adds, removes and replaces ways to unlock the vault.
#[derive(Debug, Clone)]
pub struct Unlocking {
    keep: Keep,
}

/// What a new data key would do to the ways to unlock.
pub struct RotationPlan {
    plan: keep_vault::RotationPlan,
    /// Those that go on working.
    pub keeps: Vec<StanzaView>,
    /// Those that do not, because nobody presented their secret.
    pub drops: Vec<StanzaView>,
}

impl std::fmt::Debug for RotationPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RotationPlan").field("drops", &self.drops).finish_non_exhaustive()
    }
}

/// What a new data key did.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RotationView {
    /// How many records were sealed anew.
    pub records: u64,
    /// The new recovery code: 24 words, shown this once. A hidden vault has none.
    #[serde(with = "secret::optional_text")]
    #[schemars(with = "Option<String>")]
    pub recovery_code: Option<SecretText>,
    /// The ways to unlock that still work.
    pub kept: Vec<StanzaView>,
    /// Those that do not any more.
    pub dropped: Vec<StanzaView>,
    /// Why the old bytes could not be wiped from the file, if they could not.
    pub not_wiped: Option<String>,
}

impl Unlocking {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// Every way to unlock the vault.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn list(&self) -> Result<Vec<StanzaView>, Fault> {
        self.keep.call(List {})
    }

    /// Adds a passphrase. The label stands in clear in the vault.
    ///
    /// # Errors
    /// When all eight places are taken.
    pub fn add_passphrase(&self, passphrase: SecretText, label: Option<Name>) -> Result<StanzaView, Fault> {
        self.keep.call(AddPassphrase { passphrase, label })
    }

    /// Adds a recovery code of 24 words, which is shown this once.
    ///
    /// # Errors
    /// As [`add_passphrase`](Self::add_passphrase).
    pub fn add_recovery_code(&self, label: Option<Name>) -> Result<NewCode, Fault> {
        self.keep.call(AddCode { label })
    }

    /// Removes a way to unlock, never the last one.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](keep_types::ErrorCode::NotFound).
    pub fn remove(&self, id: &str) -> Result<StanzaView, Fault> {
        self.keep.call(Remove { id: id.to_owned() })
    }

    /// Replaces a passphrase: the one with this id, else the one that the vault was opened with, else the only one. What
    /// was copied of the vault before still opens with the old passphrase, and with such an old header so do the records of
    /// today: see [`rotate`](Self::rotate).
    ///
    /// # Errors
    /// When it is not clear which one is meant.
    pub fn change_passphrase(&self, new: SecretText, id: Option<String>) -> Result<StanzaView, Fault> {
        self.keep.call(ChangePassphrase { new, id })
    }

    /// What a new data key would keep and drop. Costs one key derivation for each presented secret.
    ///
    /// # Errors
    /// [`ErrorCode::WrongPassphrase`](keep_types::ErrorCode::WrongPassphrase) when one of them opens nothing; when the vault is
    /// open in another process only.
    pub fn plan_rotation(&self, presented: &[SecretText]) -> Result<RotationPlan, Fault> {
        let host = self.keep.host()?;
        host.check_intact()?;
        let plan = host.vault().plan_rotation(presented)?;
        let views = |stanzas: &[StanzaInfo]| stanzas.iter().map(StanzaView::from).collect();
        Ok(RotationPlan { keeps: views(&plan.keeps), drops: views(&plan.drops), plan })
    }

    /// Gives the vault a new data key and seals every record anew, in one step. All that have the vault open, this one too,
    /// must open it anew afterwards. `progress` hears how many records of how many are done.
    ///
    /// # Errors
    /// [`ErrorCode::Integrity`](keep_types::ErrorCode::Integrity) when the vault was tampered with; the storage errors. Nothing was
    /// changed then.
    pub fn rotate(
        &self,
        plan: RotationPlan,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<RotationView, Fault> {
        let done = self.keep.host()?.vault().rotate_data_key(plan.plan, progress);
        let done = done.map_err(Fault::from)?;
        Ok(RotationView {
            records: done.records,
            recovery_code: done.recovery_code,
            kept: plan.keeps,
            dropped: plan.drops,
            not_wiped: done.not_wiped,
        })
    }
}
