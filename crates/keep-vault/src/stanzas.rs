//! The ways to unlock: passphrases and recovery codes beside each other.

use std::collections::HashMap;

use keep_audit::{Action, Draft, Outcome};
use keep_types::{Name, Origin, SecretKey32, SecretText, Timestamp};

use crate::batch::{Batch, Changes};
use crate::cache::Cache;
use crate::header::{Header, Stanza, StanzaId};
use crate::kdf::Derived;
use crate::vault::read_header;
use crate::{Vault, VaultError, WeakKdf, recovery};

pub use crate::header::StanzaKind;

/// One way to unlock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaInfo {
    /// What names it, 8 hexadecimal digits. A replaced passphrase has another.
    pub id: String,
    /// How it is opened; `None` for a kind that this version does not know.
    pub kind: Option<StanzaKind>,
    /// What its owner calls it. Stands in clear in the vault.
    pub label: Option<Name>,
    /// Since when it is there.
    pub created_at: Option<Timestamp>,
    /// Whether the vault was opened with it in this process.
    pub current: bool,
}

impl Vault {
    /// Every way to unlock the vault.
    ///
    /// # Errors
    /// When the header cannot be read.
    pub fn stanzas(&self) -> Result<Vec<StanzaInfo>, VaultError> {
        let header = read_header(&*self.store)?;
        Ok(header.stanzas.iter().map(|stanza| self.info(stanza)).collect())
    }

    /// Adds a passphrase. Runs Argon2id once.
    ///
    /// # Errors
    /// [`VaultError::PassphraseTaken`], [`VaultError::NoRoom`]; when the store cannot be written.
    pub fn add_passphrase(
        &self,
        passphrase: &SecretText,
        label: Option<Name>,
    ) -> Result<StanzaInfo, VaultError> {
        self.refuse_hidden()?;
        let kek = self.derive_new(passphrase)?.outer_kek();
        self.change_header("passphrase added", |header, data_key, now| {
            header.wrap(StanzaKind::Passphrase, &kek, data_key, label.clone(), now)
        })
    }

    /// Adds a recovery code; the words, which are shown this once.
    ///
    /// # Errors
    /// As [`add_passphrase`](Self::add_passphrase).
    pub fn add_recovery_code(&self, label: Option<Name>) -> Result<(StanzaInfo, SecretText), VaultError> {
        self.refuse_hidden()?;
        let (entropy, words) = recovery::generate()?;
        let kek = recovery::kek(entropy.expose(), &read_header(&*self.store)?.kdf.salt);
        let info = self.change_header("recovery code added", |header, data_key, now| {
            header.wrap(StanzaKind::Recovery, &kek, data_key, label.clone(), now)
        })?;
        Ok((info, words))
    }

    /// Removes a way to unlock. What was copied of the vault before still opens with it.
    ///
    /// # Errors
    /// [`VaultError::NoSuchStanza`], [`VaultError::LastStanza`]; when the store cannot be written.
    pub fn remove_stanza(&self, id: &str) -> Result<StanzaInfo, VaultError> {
        let header = read_header(&*self.store)?;
        let removed = find(&header, id).map(|at| self.info(&header.stanzas[at]))?;
        self.change_header("way to unlock removed", |header, _, _| {
            let at = find(header, id)?;
            let stanza = header.stanzas.remove(at);
            if !header.stanzas.iter().any(|stanza| stanza.kind().is_some()) {
                return Err(VaultError::LastStanza);
            }
            Ok(stanza.id())
        })?;
        Ok(removed)
    }

    /// Replaces a passphrase: that with the given id; else the one that the vault was opened with; else the only one. The data
    /// key stays the same, so that an old copy of the header still opens today's records with the old passphrase.
    ///
    /// # Errors
    /// [`VaultError::PassphraseTaken`], [`VaultError::WhichPassphrase`], [`VaultError::NoSuchStanza`]; when the store cannot be written.
    pub fn change_passphrase(&self, new: &SecretText, id: Option<&str>) -> Result<StanzaInfo, VaultError> {
        let derived = self.derive_new(new)?;
        let kek = derived.outer_kek();
        if let Some(reserve) = &self.reserve {
            reserve.prepare(&derived.reserve_kek())?;
        }
        let changed = self.change_header("passphrase replaced", |header, data_key, now| {
            let at = self.passphrase_meant(header, id)?;
            let label = at.and_then(|at| header.stanzas.remove(at).label);
            header.wrap(StanzaKind::Passphrase, &kek, data_key, label, now)
        });
        if let (Some(reserve), Err(_)) = (&self.reserve, &changed) {
            reserve.cancel();
        }
        changed
    }

    /// The slots of the reserve are opened by one passphrase.
    fn refuse_hidden(&self) -> Result<(), VaultError> {
        if self.reserve.is_some() { Err(VaultError::HiddenHasOne) } else { Ok(()) }
    }

    /// The place of the passphrase to be replaced; `None` if there is none yet.
    fn passphrase_meant(&self, header: &Header, id: Option<&str>) -> Result<Option<usize>, VaultError> {
        if let Some(id) = id {
            let at = find(header, id)?;
            let is_passphrase = header.stanzas[at].kind() == Some(StanzaKind::Passphrase);
            return is_passphrase.then_some(Some(at)).ok_or_else(|| VaultError::NoSuchStanza(id.to_owned()));
        }
        let passphrases: Vec<usize> = (0..header.stanzas.len())
            .filter(|at| header.stanzas[*at].kind() == Some(StanzaKind::Passphrase))
            .collect();
        let current =
            passphrases.iter().copied().find(|at| self.shared.is_opened_by(header.stanzas[*at].id()));
        match (current, passphrases.as_slice()) {
            (Some(at), _) => Ok(Some(at)),
            (None, []) => Ok(None),
            (None, [only]) => Ok(Some(*only)),
            (None, _) => Err(VaultError::WhichPassphrase),
        }
    }

    /// What a new passphrase comes to by the vault's own cost, which was accepted when the vault was opened. Refused when it
    /// opens a vault here already.
    fn derive_new(&self, passphrase: &SecretText) -> Result<Derived, VaultError> {
        let header = read_header(&*self.store)?;
        let derived = header.kdf.derive(passphrase, WeakKdf::Allow)?;
        self.refuse_taken(&header, &derived)?;
        Ok(derived)
    }

    /// Changes the header, with the head that binds it and an entry in the log, in one transaction. Gives the stanza that
    /// `change` names, if it is there afterwards.
    pub(crate) fn change_header(
        &self,
        what: &str,
        mut change: impl FnMut(&mut Header, &SecretKey32, Timestamp) -> Result<StanzaId, VaultError>,
    ) -> Result<StanzaInfo, VaultError> {
        let (keys, data_key) = (self.shared.keys()?, self.shared.data_key()?);
        let seen = self.shared.seen();
        let mut outcome = None;
        self.write_whole(&mut |tx| {
            let bytes = tx.header()?.unwrap_or_default();
            let sealed = tx.head()?.unwrap_or_default();
            let mut step = || -> Result<(), VaultError> {
                let mut head = self.shared.open_head(&bytes, &sealed, seen)?;
                let now = self.shared.time().max(head.max_time);
                let mut header = Header::from_bytes(&bytes)?;
                let id = change(&mut header, &data_key, now)?;
                let new = header.to_bytes()?;
                tx.set_header(&new)?;
                head.header_hash = Header::hash(&new);
                let draft = Draft::new(Action::UnlockChanged, Outcome::Allowed, &Origin::Cli).reason(what);
                let batch = Batch {
                    raw: tx,
                    keys: &keys,
                    identity: self.shared.identity,
                    head,
                    now,
                    cache: &mut Cache::default(),
                    before: HashMap::new(),
                    names_before: HashMap::new(),
                    changes: Changes { drafts: vec![draft], ..Changes::default() },
                };
                batch.flush()?;
                let stanza = header.stanzas.iter().find(|stanza| stanza.id() == id);
                outcome = Some((id, stanza.cloned()));
                Ok(())
            };
            step()
        })?;
        match outcome {
            Some((_, Some(stanza))) => Ok(self.info(&stanza)),
            Some((id, None)) => Ok(StanzaInfo {
                id: to_hex(id),
                kind: None,
                label: None,
                created_at: None,
                current: self.shared.is_opened_by(id),
            }),
            None => Err(VaultError::Closed),
        }
    }

    pub(crate) fn info(&self, stanza: &Stanza) -> StanzaInfo {
        StanzaInfo {
            id: to_hex(stanza.id()),
            kind: stanza.kind(),
            label: stanza.label.clone(),
            created_at: stanza.created_at,
            current: self.shared.is_opened_by(stanza.id()),
        }
    }
}

pub(crate) fn to_hex(id: StanzaId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn find(header: &Header, id: &str) -> Result<usize, VaultError> {
    let at = header.stanzas.iter().position(|stanza| to_hex(stanza.id()) == id.to_ascii_lowercase());
    at.ok_or_else(|| VaultError::NoSuchStanza(keep_types::DisplayText::truncated(id, 40).to_string()))
}
