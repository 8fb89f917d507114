//! Secrets beside the keys: passphrases, tokens, notes.

mod calls;

use keep_types::{Fault, Name, SecretText};

use crate::Keep;

pub(crate) use calls::{Add, Get, List, Remove};
pub use calls::{SecretItemView, SecretValue};

/// Stores, lists, hands out and removes secrets that are no keys.
#[derive(Debug, Clone)]
pub struct Secrets {
    keep: Keep,
}

impl Secrets {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// Stores a secret text of up to 64 KiB under a name; `replace` takes the place of one that has the name.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyExists`](keep_types::ErrorCode::AlreadyExists) when the name is taken.
    pub fn add(
        &self,
        name: Name,
        secret: SecretText,
        note: Option<String>,
        replace: bool,
    ) -> Result<SecretItemView, Fault> {
        self.keep.call(Add { name, secret, note, replace })
    }

    /// Every stored secret, by name, without the secrets themselves.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn list(&self) -> Result<Vec<SecretItemView>, Fault> {
        self.keep.call(List {})
    }

    /// A stored secret. Recorded before it leaves.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](keep_types::ErrorCode::NotFound).
    pub fn get(&self, name: &str) -> Result<SecretValue, Fault> {
        self.keep.call(Get { name: name.to_owned() })
    }

    /// Removes a stored secret for good.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](keep_types::ErrorCode::NotFound).
    pub fn remove(&self, name: &str) -> Result<SecretItemView, Fault> {
        self.keep.call(Remove { name: name.to_owned() })
    }
}
