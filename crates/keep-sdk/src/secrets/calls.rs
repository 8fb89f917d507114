//! What can be asked about stored secrets.

use keep_types::{Answer, Fault, Intent, Name, SecretText};
use keep_vault::SecretItem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::{Call, Class, Host, secret};
use crate::keys::bug;

/// A stored secret, without the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretItemView {
    /// Its name.
    pub name: String,
    /// What its owner noted about it.
    pub note: Option<String>,
    /// Since when it is in the vault, RFC 3339.
    pub created_at: String,
    /// When it was last replaced, RFC 3339.
    pub changed_at: String,
}

impl From<&SecretItem> for SecretItemView {
    fn from(item: &SecretItem) -> Self {
        Self {
            name: item.name.to_string(),
            note: item.note.clone(),
            created_at: item.created_at.to_string(),
            changed_at: item.changed_at.to_string(),
        }
    }
}

/// A stored secret in clear.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SecretValue {
    /// Its name.
    pub name: String,
    /// The secret.
    #[serde(with = "secret::text")]
    #[schemars(with = "String")]
    pub secret: SecretText,
}

/// Stores a secret.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Add {
    pub name: Name,
    #[serde(with = "secret::text")]
    pub secret: SecretText,
    pub note: Option<String>,
    pub replace: bool,
}

impl Call for Add {
    const NAME: &'static str = "secrets.add";
    const CLASS: Class = Class::Use;
    type Reply = SecretItemView;

    fn run(self, host: &Host) -> Result<SecretItemView, Fault> {
        host.check_intact()?;
        let item = host.vault().store_secret(self.name, &self.secret, self.note, self.replace)?;
        Ok(SecretItemView::from(&item))
    }
}

/// Lists what is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct List {}

impl Call for List {
    const NAME: &'static str = "secrets.list";
    const CLASS: Class = Class::Use;
    type Reply = Vec<SecretItemView>;

    fn run(self, host: &Host) -> Result<Vec<SecretItemView>, Fault> {
        Ok(host.vault().stored_secrets()?.iter().map(SecretItemView::from).collect())
    }
}

/// Hands out a stored secret.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Get {
    pub name: String,
}

impl Call for Get {
    const NAME: &'static str = "secrets.get";
    const CLASS: Class = Class::Manage;
    type Reply = SecretValue;

    fn run(self, host: &Host) -> Result<SecretValue, Fault> {
        let item = host.vault().stored_secret(&self.name)?;
        match host.answer(item.id, Intent::RevealSecret)? {
            Answer::Plaintext(secret) => Ok(SecretValue { name: item.name.to_string(), secret }),
            _ => Err(bug("a stored secret came out as something else")),
        }
    }
}

/// Removes a stored secret.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Remove {
    pub name: String,
}

impl Call for Remove {
    const NAME: &'static str = "secrets.remove";
    const CLASS: Class = Class::Manage;
    type Reply = SecretItemView;

    fn run(self, host: &Host) -> Result<SecretItemView, Fault> {
        host.check_intact()?;
        let item = host.vault().stored_secret(&self.name)?;
        host.vault().remove_secret(item.id)?;
        Ok(SecretItemView::from(&item))
    }
}
