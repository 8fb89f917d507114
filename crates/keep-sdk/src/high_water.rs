//! What this machine remembers of a vault outside of it: the highest revision that was in use here.
//!
//! A vault that is put back as a whole, or loses its `-wal` file, is a consistent older vault; nothing inside it can tell. This
//! mark tells the accidental case. It guards against nobody who can write to the directory in which it lies.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use keep_types::VaultId;
use keep_vault::Vault;
use sha2::{Digest, Sha256};

/// Where the mark of one vault lies.
#[derive(Debug)]
pub(crate) struct HighWater {
    path: PathBuf,
    vault: VaultId,
}

/// A mark is one short line.
const MAX_LEN: u64 = 200;

impl HighWater {
    /// In `directory`, under a name that follows from the vault's id.
    pub fn new(directory: &Path, vault: VaultId) -> Self {
        let hash =
            Sha256::new().chain_update(b"keep v1 high water").chain_update(vault.as_bytes()).finalize();
        Self { path: directory.join(hex::encode(&hash[..16])), vault }
    }

    /// The directory for such marks: `keep` in `XDG_STATE_HOME`, or in `.local/state` of the home directory.
    pub fn directory() -> Option<PathBuf> {
        let absolute = |path: PathBuf| path.is_absolute().then_some(path);
        let state = std::env::var_os(if cfg!(windows) { "LOCALAPPDATA" } else { "XDG_STATE_HOME" });
        let state = state.and_then(|path| absolute(path.into()));
        let state = state.or_else(|| absolute(std::env::home_dir()?.join(".local/state")));
        Some(state?.join("keep"))
    }

    /// The highest revision that was in use here. A mark that is missing, damaged or not this vault's own says nothing.
    pub fn read(&self, vault: &Vault) -> Option<u64> {
        let length = fs::symlink_metadata(&self.path).ok()?.len();
        if length > MAX_LEN {
            return None;
        }
        let text = fs::read_to_string(&self.path).ok()?;
        let (revision, mac) = text.trim_end().split_once(' ')?;
        let revision = revision.parse().ok()?;
        let expected = vault.outside_mac(&self.message(revision)).ok()??;
        (mac == hex::encode(expected)).then_some(revision)
    }

    /// Notes the vault's revision, unless a higher one is noted already. Failing to is no reason to fail.
    pub fn raise(&self, vault: &Vault) {
        let revision = vault.revision().get();
        if self.read(vault).is_none_or(|noted| noted < revision) {
            self.write(vault, revision);
        }
    }

    fn write(&self, vault: &Vault, revision: u64) {
        let Ok(Some(mac)) = vault.outside_mac(&self.message(revision)) else { return };
        if let Err(error) = self.replace(format!("{revision} {}\n", hex::encode(mac)).as_bytes()) {
            tracing::debug!(%error, "the highest revision of the vault cannot be noted");
        }
    }

    /// Replaces the file as a whole. It is not synced: after a loss of power an older mark is as good.
    fn replace(&self, bytes: &[u8]) -> std::io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory)?;
        let unfinished = self.path.with_extension(format!("{}.new", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&unfinished)?.write_all(bytes)?;
        fs::rename(&unfinished, &self.path).inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        })
    }

    fn message(&self, revision: u64) -> Vec<u8> {
        let mut message = b"keep v1 high water".to_vec();
        message.extend_from_slice(self.vault.as_bytes());
        message.extend_from_slice(&revision.to_be_bytes());
        message
    }
}
