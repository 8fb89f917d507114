//! Signing as the owner.

use std::sync::Arc;

use keep_signer::Signer;
use keep_types::{Answer, Event, EventTemplate, Fault, Intent};

use crate::keys::{bug, owner_request};
use crate::{KeyView, Keys};

/// Signs with the keys of the vault in the owner's name. Every signature is in the audit log before it is released.
#[derive(Debug, Clone)]
pub struct Sign {
    keys: Keys,
    owner: Arc<Signer>,
}

impl Sign {
    pub(crate) const fn new(keys: Keys, owner: Arc<Signer>) -> Self {
        Self { keys, owner }
    }

    /// Signs a Nostr event (NIP-01) with `key`.
    ///
    /// # Errors
    /// When the template is no event or names another author, or the vault fails.
    pub fn event(&self, key: &KeyView, template: EventTemplate) -> Result<Event, Fault> {
        let record = self.keys.record(Some(key.pubkey.as_str()))?;
        let intent = Intent::SignEvent(template.into_unsigned(record.nostr_key())?);
        match self.owner.handle_blocking(owner_request(record.id, intent)?)? {
            Answer::Event(event) => Ok(*event),
            Answer::PublicKey(_) | Answer::Ciphertext(_) | Answer::Plaintext(_) | Answer::SecretKey(_) => {
                Err(bug("signing gave something else than an event"))
            }
        }
    }
}
