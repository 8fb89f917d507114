//! Signed checkpoints of the log, and what is recorded about the vault as a whole.

use keep_audit::{Action, Checkpoint, Draft, Fingerprint, Outcome, Purpose, SignedCheckpoint};
use keep_types::{Event, EventTemplate, Origin};

use crate::records::SecretRecord;
use crate::secrets::{AUDIT_KEY, new_audit_key};
use crate::{Tx, Vault, VaultError};

/// Application data that relays keep by author and name (NIP-78).
const ANCHOR_KIND: u16 = 30078;

impl Vault {
    /// What tells this vault from every other: the fingerprint of its audit key. `None` in a vault of an older version,
    /// until it is next unlocked by its owner.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn fingerprint(&self) -> Result<Option<Fingerprint>, VaultError> {
        Ok(self.audit_public_key()?.map(|key| Fingerprint::of(&key)))
    }

    /// Records that the owner opened the vault, after so many passphrases that did not open it, tried by the same process.
    /// A vault of an older version gets its audit key with the same commit.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn record_unlock(&self, origin: Origin, failed: u32) -> Result<(), VaultError> {
        self.submit(move |tx| {
            ensure_audit_key(tx)?;
            if failed > 0 {
                let draft = Draft::new(Action::UnlockFailed, Outcome::Refused, &origin);
                tx.audit(draft.reason(attempts(failed)));
            }
            tx.audit(Draft::new(Action::Unlocked, Outcome::Allowed, &origin));
            Ok(())
        })
        .wait()
        .map(drop)
    }

    /// Records passphrases that did not open the vault, while it is open: those that a running process is asked with.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn record_failed_unlocks(&self, origin: Origin, failed: u32) -> Result<(), VaultError> {
        self.submit(move |tx| {
            tx.audit(Draft::new(Action::UnlockFailed, Outcome::Refused, &origin).reason(attempts(failed)));
            Ok(())
        })
        .wait()
        .map(drop)
    }

    /// Makes the audit key if there is none; says which vault it makes this.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn ensure_audit_key(&self) -> Result<Fingerprint, VaultError> {
        if let Some(known) = self.fingerprint()? {
            return Ok(known);
        }
        self.submit(ensure_audit_key).wait()?;
        self.fingerprint()?.ok_or(VaultError::NoSuchKey)
    }

    /// A signed head for an export, with the export's own entry in front of it.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn export_checkpoint(&self, origin: Origin) -> Result<SignedCheckpoint, VaultError> {
        self.recorded_checkpoint(Purpose::Export, Action::LogExported, origin)
    }

    /// A signed checkpoint to be kept elsewhere.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn anchor(&self, origin: Origin) -> Result<SignedCheckpoint, VaultError> {
        self.recorded_checkpoint(Purpose::Anchor, Action::AnchorMade, origin)
    }

    /// The Nostr event (kind 30078, NIP-78) that carries an anchor of this vault.
    ///
    /// # Errors
    /// When the audit key cannot be read.
    pub fn anchor_event(&self, anchor: &SignedCheckpoint, content: String) -> Result<Event, VaultError> {
        let name = format!("keep audit anchor {}", anchor.checkpoint.next);
        let tags = vec![vec!["d".to_owned(), name]];
        let time = anchor.checkpoint.time.as_secs();
        self.sign_anchor_event(EventTemplate::new(ANCHOR_KIND, content, tags, time))
    }

    fn recorded_checkpoint(
        &self,
        purpose: Purpose,
        action: Action,
        origin: Origin,
    ) -> Result<SignedCheckpoint, VaultError> {
        self.submit(move |tx| {
            ensure_audit_key(tx)?;
            tx.audit(Draft::new(action, Outcome::Allowed, &origin));
            Ok(())
        })
        .wait()?;
        self.sign_checkpoint(self.checkpoint(purpose)?)
    }

    /// Where the log stands now.
    fn checkpoint(&self, purpose: Purpose) -> Result<Checkpoint, VaultError> {
        self.view_log(|log| {
            let begin = log.head.log_begin();
            Ok(Checkpoint {
                purpose,
                first: begin.next_seq,
                next: log.head.audit.next_seq,
                base: begin.hash,
                hash: log.head.audit.hash,
                revision: log.head.revision.get(),
                time: log.head.max_time,
            })
        })
    }
}

fn attempts(failed: u32) -> String {
    if failed == 1 { "one attempt".to_owned() } else { format!("{failed} attempts") }
}

/// Makes the audit key in the job that needs it.
fn ensure_audit_key(tx: &mut Tx<'_, '_>) -> Result<(), VaultError> {
    if tx.get_any::<SecretRecord>(&AUDIT_KEY)?.is_none() {
        tx.put_any(AUDIT_KEY, &new_audit_key()?)?;
        tx.audit(Draft::new(Action::AuditKeyMade, Outcome::Allowed, &Origin::Cli));
    }
    Ok(())
}
