//! Signing as the owner.

use keep_types::{Answer, ErrorCode, Event, EventTemplate, Fault, Intent, KeyId, PublicKey};
use serde::{Deserialize, Serialize};

use crate::call::{Call, Class, Host};
use crate::keys::bug;
use crate::views::SignedEvent;
use crate::{Keep, KeyView};

/// Signs with the keys of the vault in the owner's name. Every signature is in the audit log before it is released.
#[derive(Debug, Clone)]
pub struct Sign {
    keep: Keep,
}

impl Sign {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// Signs a Nostr event (NIP-01) with `key`.
    ///
    /// # Errors
    /// When the template is no event or names another author, or the vault fails.
    pub fn event(&self, key: &KeyView, template: EventTemplate) -> Result<Event, Fault> {
        let call = SignEvent { id: key.id.clone(), pubkey: key.pubkey.clone(), template };
        Ok(self.keep.call(call)?.0)
    }
}

/// Signs an event. The key is named by its id in the vault; its public key must be the one that the vault has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignEvent {
    id: String,
    pubkey: String,
    template: EventTemplate,
}

impl Call for SignEvent {
    const NAME: &'static str = "sign.event";
    const CLASS: Class = Class::Use;
    type Reply = SignedEvent;

    fn run(self, host: &Host) -> Result<SignedEvent, Fault> {
        // The caller says which key; whether it is still there, and has this public key, is judged and checked below.
        let unknown = || Fault::new(ErrorCode::NotFound, "this is not a key of the vault");
        let id: KeyId = self.id.parse().map_err(|_| unknown())?;
        let author = PublicKey::from_hex(&self.pubkey).map_err(|_| unknown())?;
        if host.vault().key_by_public(&author.to_bytes())?.is_none()
            && let Some(event) = crate::remote::sign_event(host, id, &self.template)?
        {
            return Ok(SignedEvent(event));
        }
        match host.answer(id, Intent::SignEvent(self.template.into_unsigned(author)?))? {
            Answer::Event(event) => Ok(SignedEvent(*event)),
            _ => Err(bug("signing gave something else than an event")),
        }
    }
}
