//! The passphrase decides which vault opens: the one in the database, or one that is hidden in the reserve.

use std::path::Path;
use std::sync::Arc;

use keep_store::Store;
use keep_types::{SecretKey32, SecretText};

use crate::header::{Header, StanzaId};
use crate::kdf::Derived;
use crate::presence::{Attended, Presence};
use crate::reserve::{self, Layout, Medium, ReserveFile};
use crate::vault::read_header;
use crate::{Environment, KdfCost, Vault, VaultError};

mod beside;
mod reset;
mod room;
#[cfg(test)]
mod tests;

pub(crate) use beside::Beside;
pub use reset::ReserveReset;
pub(crate) use room::Housekeeper;

/// How many bytes a hidden vault can hold. It never grows.
pub const HIDDEN_CAPACITY: usize = Layout::STANDARD.capacity();

/// One of the two vaults of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one in the database.
    Outer,
    /// The one in the reserve.
    Hidden,
}

/// A vault that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The vault.
    pub vault: Vault,
    /// Which of the two it is.
    pub which: Which,
}

impl Vault {
    /// Opens the vault that the passphrase opens: the one in `store`, which lies in `directory`, or the one hidden in the
    /// reserve there. Argon2id runs once, the whole reserve is read, and every stanza position and both slots are tried,
    /// whichever opens, and also if nothing does. With `only`, the other vault stays closed.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`], without saying whether there is a hidden vault; otherwise as [`Vault::open`].
    pub fn open_either(
        store: Arc<dyn Store>,
        directory: &Path,
        passphrase: &SecretText,
        only: Option<Which>,
        environment: &Environment,
    ) -> Result<Opened, VaultError> {
        let header = read_header(&*store)?;
        let derived = header.kdf.derive(passphrase, environment.weak_kdf)?;
        let attempt = Attempt::new(directory, &header, &derived);
        let presence = Presence::begin(directory, header.kdf.salt);
        match (only, attempt.outer, attempt.hidden) {
            (None | Some(Which::Outer), Some(data_key), _) => {
                let store: Arc<dyn Store> = Arc::new(Attended::new(store, None, presence));
                let vault = Self::open_unwrapped(store, &header, &data_key, environment)?;
                Ok(Opened { vault: vault.in_directory(directory), which: Which::Outer })
            }
            (None | Some(Which::Hidden), _, Some(reserve)) => {
                let vault = open_hidden(reserve, store, &header, &derived, presence, environment)?;
                Ok(Opened { vault, which: Which::Hidden })
            }
            (_, _, hidden) => {
                // Closed before the times are set.
                drop((hidden, store));
                Err(VaultError::WrongPassphrase)
            }
        }
    }

    /// Makes a hidden vault in the reserve of `directory` and opens it. The passphrase of the vault in `store` is asked for
    /// so that nobody else can do this. **What is in the reserve is lost**, and nobody can know whether that is a hidden
    /// vault under another passphrase.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`] for the outer vault; [`VaultError::PassphraseTaken`] when the new passphrase opens a
    /// vault here already; when the reserve is missing, in use or cannot be written.
    pub fn create_hidden(
        store: Arc<dyn Store>,
        directory: &Path,
        outer: &SecretText,
        passphrase: &SecretText,
        environment: &Environment,
    ) -> Result<Self, VaultError> {
        let header = read_header(&*store)?;
        header.unwrap_key(&header.kdf.derive(outer, environment.weak_kdf)?.keks())?;
        let derived = header.kdf.derive(passphrase, environment.weak_kdf)?;
        let reserve = ReserveFile::open(directory)?;
        reserve.lock(&environment.holder)?;
        let attempt = Attempt::new(directory, &header, &derived);
        if attempt.outer.is_some() || attempt.hidden.is_some() {
            return Err(VaultError::PassphraseTaken);
        }
        let presence = Presence::begin(directory, header.kdf.salt);
        let (memory, rekey) =
            reserve::make(Box::new(reserve), Layout::STANDARD, header.kdf.salt, &derived.reserve_kek())?;
        let beside = Arc::clone(&store);
        let housekeeper = Housekeeper::new(memory.another_handle());
        let memory: Arc<dyn Store> = Arc::new(Attended::new(Arc::new(memory), Some(store), presence));
        let mut vault = Self::create_derived(memory, header.kdf, &derived, environment)?;
        (vault.reserve, vault.beside) = (Some(rekey), Beside::Database(beside));
        vault.housekeeper = Some(housekeeper);
        Ok(vault)
    }

    /// The KDF salt of the reserve in `directory`, for a new vault beside a reserve whose database is lost. What lies in it opens
    /// again with its own passphrase, if the lost vault had the same `cost`.
    ///
    /// # Errors
    /// [`VaultError::PassphraseTaken`] when `passphrase`, which is to open the new vault, opens what lies in the reserve; when the
    /// reserve cannot be read, or the cost is refused.
    pub fn adopt_reserve(
        directory: &Path,
        passphrase: &SecretText,
        cost: KdfCost,
        environment: &Environment,
    ) -> Result<[u8; 32], VaultError> {
        let bytes = ReserveFile::open(directory)?.read().map_err(reserve::failed)?;
        let mut salt = [0; 32];
        salt.copy_from_slice(&bytes[..32]);
        let derived = cost.params(salt).derive(passphrase, environment.weak_kdf)?;
        match reserve::find(&bytes, Layout::STANDARD, &salt, &derived.reserve_kek()) {
            Some(_) => Err(VaultError::PassphraseTaken),
            None => Ok(salt),
        }
    }

    /// The store of a new vault in `directory`, so that at the end of the session the times of its files say as little as
    /// after any other.
    pub fn attend(store: Arc<dyn Store>, directory: &Path, salt: [u8; 32]) -> Arc<dyn Store> {
        Arc::new(Attended::new(store, None, Presence::begin(directory, salt)))
    }

    /// Which of the two vaults of its directory this is.
    pub const fn which(&self) -> Which {
        if self.reserve.is_some() { Which::Hidden } else { Which::Outer }
    }
}

/// What one passphrase opens.
struct Attempt {
    /// The outer vault's data key.
    outer: Option<(SecretKey32, StanzaId)>,
    /// The reserve, if a slot of it opens.
    hidden: Option<ReserveFile>,
}

impl Attempt {
    fn new(directory: &Path, header: &Header, derived: &Derived) -> Self {
        let outer = header.unwrap_key(&derived.keks()).ok();
        let reserve = ReserveFile::open(directory).and_then(|mut file| {
            let bytes = file.read().map_err(reserve::failed)?;
            Ok((file, bytes))
        });
        let hidden = reserve.ok().and_then(|(file, bytes)| {
            let found = reserve::find(&bytes, Layout::STANDARD, &header.kdf.salt, &derived.reserve_kek());
            found.map(|_| file)
        });
        Self { outer, hidden }
    }
}

fn open_hidden(
    mut file: ReserveFile,
    beside: Arc<dyn Store>,
    outer: &Header,
    derived: &Derived,
    presence: Presence,
    environment: &Environment,
) -> Result<Vault, VaultError> {
    file.lock(&environment.holder)?;
    // Only now nobody else writes there.
    let bytes = file.read_durable().map_err(reserve::failed)?;
    let (salt, kek) = (outer.kdf.salt, derived.reserve_kek());
    let found = reserve::find(&bytes, Layout::STANDARD, &salt, &kek).ok_or(VaultError::WrongPassphrase)?;
    let lost = found.lost;
    let (memory, rekey) = found.into_store(Box::new(file), Layout::STANDARD, salt, &kek)?;
    let housekeeper = Housekeeper::new(memory.another_handle());
    let outer_store = Arc::clone(&beside);
    let store: Arc<dyn Store> = Arc::new(Attended::new(Arc::new(memory), Some(beside), presence));
    let header = read_header(&*store)?;
    let mut vault = Vault::open_derived(store, &header, derived, environment)?;
    if let Some(lost) = lost {
        vault.shared.alarm(lost.as_str().into());
    }
    (vault.reserve, vault.beside) = (Some(rekey), Beside::Database(outer_store));
    housekeeper.look(&vault);
    vault.housekeeper = Some(housekeeper);
    Ok(vault)
}
