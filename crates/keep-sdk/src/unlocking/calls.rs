//! What can be asked about ways to unlock.

use keep_types::{ErrorCode, Fault, Name, SecretText};
use keep_vault::StanzaInfo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::{Call, Class, Host, secret};

/// One way to unlock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StanzaView {
    /// What names it.
    pub id: String,
    /// `passphrase`, `recovery_code` or `unknown`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What its owner calls it.
    pub label: Option<String>,
    /// Since when it is there, RFC 3339.
    pub created_at: Option<String>,
    /// Whether the vault was opened with it.
    pub current: bool,
}

impl From<&StanzaInfo> for StanzaView {
    fn from(info: &StanzaInfo) -> Self {
        Self {
            id: info.id.clone(),
            kind: info.kind.map_or("unknown", |kind| kind.as_str()).to_owned(),
            label: info.label.as_ref().map(ToString::to_string),
            created_at: info.created_at.map(|time| time.to_string()),
            current: info.current,
        }
    }
}

/// Lists the ways to unlock.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct List {}

impl Call for List {
    const NAME: &'static str = "unlocking.list";
    const CLASS: Class = Class::Use;
    type Reply = Vec<StanzaView>;

    fn run(self, host: &Host) -> Result<Vec<StanzaView>, Fault> {
        Ok(host.vault().stanzas()?.iter().map(StanzaView::from).collect())
    }
}

/// Adds a passphrase.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AddPassphrase {
    #[serde(with = "secret::text")]
    pub passphrase: SecretText,
    pub label: Option<Name>,
}

impl Call for AddPassphrase {
    const NAME: &'static str = "unlocking.add_passphrase";
    const CLASS: Class = Class::Manage;
    type Reply = StanzaView;

    fn run(self, host: &Host) -> Result<StanzaView, Fault> {
        host.check_intact()?;
        refuse_empty(&self.passphrase)?;
        Ok(StanzaView::from(&host.vault().add_passphrase(&self.passphrase, self.label)?))
    }
}

/// Adds a recovery code.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AddCode {
    pub label: Option<Name>,
}

/// A new recovery code.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct NewCode {
    /// The way to unlock that it is.
    pub stanza: StanzaView,
    /// The 24 words, shown this once.
    #[serde(with = "secret::text")]
    #[schemars(with = "String")]
    pub recovery_code: SecretText,
}

impl Call for AddCode {
    const NAME: &'static str = "unlocking.add_recovery_code";
    const CLASS: Class = Class::Manage;
    type Reply = NewCode;

    fn run(self, host: &Host) -> Result<NewCode, Fault> {
        host.check_intact()?;
        let (info, recovery_code) = host.vault().add_recovery_code(self.label)?;
        Ok(NewCode { stanza: StanzaView::from(&info), recovery_code })
    }
}

/// Removes a way to unlock.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Remove {
    pub id: String,
}

impl Call for Remove {
    const NAME: &'static str = "unlocking.remove";
    const CLASS: Class = Class::Manage;
    type Reply = StanzaView;

    fn run(self, host: &Host) -> Result<StanzaView, Fault> {
        host.check_intact()?;
        Ok(StanzaView::from(&host.vault().remove_stanza(&self.id)?))
    }
}

/// Replaces a passphrase.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChangePassphrase {
    #[serde(with = "secret::text")]
    pub new: SecretText,
    pub id: Option<String>,
}

impl Call for ChangePassphrase {
    const NAME: &'static str = "unlocking.change_passphrase";
    const CLASS: Class = Class::Manage;
    type Reply = StanzaView;

    fn run(self, host: &Host) -> Result<StanzaView, Fault> {
        host.check_intact()?;
        refuse_empty(&self.new)?;
        Ok(StanzaView::from(&host.vault().change_passphrase(&self.new, self.id.as_deref())?))
    }
}

fn refuse_empty(passphrase: &SecretText) -> Result<(), Fault> {
    if passphrase.expose().is_empty() {
        return Err(Fault::new(ErrorCode::InvalidInput, "the passphrase is empty")
            .with_hint("choose a passphrase; several random words are a good one"));
    }
    Ok(())
}
