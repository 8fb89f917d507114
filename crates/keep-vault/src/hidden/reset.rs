//! A new reserve: new random bytes, and a new salt.

use std::path::Path;

use keep_types::SecretText;

use crate::header::StanzaKind;
use crate::reserve::{self, Medium, ReserveFile};
use crate::vault::read_header;
use crate::{KdfParams, Vault, VaultError, WeakKdf, Which, recovery};

/// What a reset did to the ways to unlock.
#[derive(Debug)]
pub struct ReserveReset {
    /// The new recovery code: 24 words, shown this once. Only where there was one before.
    pub recovery_code: Option<SecretText>,
    /// How many other passphrases and codes do not open the vault any more.
    pub dropped: usize,
}

impl Vault {
    /// Overwrites the reserve in `directory` with new random bytes, or makes it if it was lost. **A hidden vault in it is
    /// gone.** The salt of every passphrase changes with it, so only `passphrase`, which opens this vault, goes on doing so;
    /// other passphrases are dropped, and recovery codes are replaced by one new one.
    ///
    /// If it is interrupted, the vault is as it was, without what was in the reserve; repeat it.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`]; [`VaultError::InReserve`] in a hidden vault; [`VaultError::Tampered`] when the vault
    /// is not as it was recorded; when a hidden vault is open, or a file cannot be written.
    pub fn reset_reserve(
        &self,
        directory: &Path,
        passphrase: &SecretText,
    ) -> Result<ReserveReset, VaultError> {
        if self.which() == Which::Hidden {
            return Err(VaultError::InReserve);
        }
        let report = self.verify()?;
        if !report.is_intact() {
            return Err(VaultError::Tampered(report.problems.join("; ")));
        }
        let old = read_header(&*self.store)?;
        let (_, opened) = old.unwrap_key(&old.kdf.derive(passphrase, WeakKdf::Allow)?.keks())?;
        let stanza = old.stanzas.iter().find(|stanza| stanza.id() == opened);
        let stanza = stanza.filter(|stanza| stanza.kind() == Some(StanzaKind::Passphrase));
        let (label, since) =
            stanza.map(|s| (s.label.clone(), s.created_at)).ok_or(VaultError::WrongPassphrase)?;
        let codes = old.stanzas.iter().filter(|stanza| stanza.kind() == Some(StanzaKind::Recovery)).count();
        let mut salt = [0; 32];
        getrandom::getrandom(&mut salt)?;
        let kdf = KdfParams { salt, ..old.kdf.clone() };
        let kek = kdf.derive(passphrase, WeakKdf::Allow)?.outer_kek();
        let code = if codes > 0 { Some(recovery::generate()?) } else { None };

        let reserve = ReserveFile::open(directory).ok();
        if let Some(reserve) = &reserve {
            reserve.lock(&self.holder)?;
        }
        // First what is to be destroyed: until the header is changed, everything else is as it was.
        reserve::randomise(directory, &old.kdf.salt)?;
        self.change_header("reserve made anew", |header, data_key, now| {
            if header.stanzas.len() != old.stanzas.len() || header.kdf != old.kdf {
                return Err(VaultError::HeaderChanged);
            }
            header.kdf = kdf.clone();
            header.stanzas.clear();
            let since = since.unwrap_or(now);
            let id = header.wrap(StanzaKind::Passphrase, &kek, data_key, label.clone(), since)?;
            if let Some((entropy, _)) = &code {
                let kek = recovery::kek(entropy.expose(), &salt);
                header.wrap(StanzaKind::Recovery, &kek, data_key, None, now)?;
            }
            Ok(id)
        })?;
        let mut file = ReserveFile::open(directory)?;
        file.write(0, &salt).and_then(|()| file.sync()).map_err(reserve::failed)?;
        let dropped = old.stanzas.len() - 1 - codes;
        Ok(ReserveReset { recovery_code: code.map(|(_, words)| words), dropped })
    }
}
