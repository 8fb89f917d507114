//! Signing as the owner.

use std::sync::Arc;

use keep_signer::Signer;
use keep_types::{Answer, ErrorCode, Event, EventTemplate, Fault, Intent, KeyId, PublicKey};

use crate::KeyView;
use crate::keys::{bug, owner_request};

/// Signs with the keys of the vault in the owner's name. Every signature is in the audit log before it is released.
#[derive(Debug, Clone)]
pub struct Sign {
    owner: Arc<Signer>,
}

impl Sign {
    pub(crate) const fn new(owner: Arc<Signer>) -> Self {
        Self { owner }
    }

    /// Signs a Nostr event (NIP-01) with `key`.
    ///
    /// # Errors
    /// When the template is no event or names another author, or the vault fails.
    pub fn event(&self, key: &KeyView, template: EventTemplate) -> Result<Event, Fault> {
        // The view says which key; whether it is still there, and has this public key, is judged and checked below.
        let unknown = || Fault::new(ErrorCode::NotFound, "this is not a key of the vault");
        let id: KeyId = key.id.parse().map_err(|_| unknown())?;
        let author = PublicKey::from_hex(&key.pubkey).map_err(|_| unknown())?;
        let intent = Intent::SignEvent(template.into_unsigned(author)?);
        match self.owner.handle_blocking(owner_request(id, intent)?)? {
            Answer::Event(event) => Ok(*event),
            Answer::PublicKey(_) | Answer::Ciphertext(_) | Answer::Plaintext(_) | Answer::SecretKey(_) => {
                Err(bug("signing gave something else than an event"))
            }
        }
    }
}
