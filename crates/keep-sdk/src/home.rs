//! Where a vault lives.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use keep_types::{ErrorCode, Fault};

/// The directory of one vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

/// The database's name in the directory.
const DATABASE: &str = "keep.db";
/// The reserve's.
const RESERVE: &str = "reserve";
/// Everything that making a vault may leave behind when it is interrupted.
const OWN_FILES: [&str; 6] = [RESERVE, DATABASE, "keep.db-wal", "keep.db-shm", "next.lock", "write.lock"];

impl Home {
    /// A vault in `directory`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] when the path is empty or relative: a vault must not depend on where a command is run.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self, Fault> {
        let directory = directory.into();
        if directory.is_absolute() {
            return Ok(Self(directory));
        }
        let hint = std::path::absolute(&directory)
            .map(|full| format!("give the full path, for example KEEP_HOME={}", full.display()))
            .unwrap_or_else(|_| "give the full path of the vault's directory".into());
        let message = format!("the vault's directory must be an absolute path: \"{}\"", directory.display());
        Err(Fault::new(ErrorCode::InvalidInput, message).with_hint(hint))
    }

    /// The directory that `KEEP_HOME` names, or `.keep` in the user's home directory.
    ///
    /// # Errors
    /// When `KEEP_HOME` is relative, or there is neither `KEEP_HOME` nor a home directory.
    pub fn from_environment() -> Result<Self, Fault> {
        Self::resolve(std::env::var_os("KEEP_HOME"), std::env::home_dir())
    }

    fn resolve(keep_home: Option<OsString>, user_home: Option<PathBuf>) -> Result<Self, Fault> {
        match (keep_home, user_home) {
            (Some(directory), _) => Self::new(directory),
            (None, Some(home)) => Self::new(home.join(".keep")),
            (None, None) => {
                Err(Fault::new(ErrorCode::InvalidInput, "there is no home directory to keep a vault in")
                    .with_hint("set KEEP_HOME to the full path of the vault's directory"))
            }
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join(DATABASE)
    }

    /// Whether the reserve of a vault is there whose database is gone.
    pub(crate) fn has_lone_reserve(&self) -> bool {
        let reserve = std::fs::metadata(self.0.join(RESERVE));
        reserve.is_ok_and(|meta| meta.len() > 0) && !self.database().exists()
    }

    /// Removes what an interrupted `create` left. Only called when the database holds no vault.
    pub(crate) fn clear_leftovers(&self) -> std::io::Result<()> {
        for name in OWN_FILES {
            match std::fs::remove_file(self.0.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_refused_with_the_full_one() {
        let error = Home::resolve(Some("vault".into()), None).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidInput);
        assert!(error.hint().contains("/vault"), "{}", error.hint());
        assert!(Home::resolve(Some("".into()), None).is_err());
        assert!(Home::resolve(None, None).is_err());
    }

    #[test]
    fn the_default_is_in_the_users_home() {
        let home = Home::resolve(None, Some("/home/someone".into())).unwrap();
        assert_eq!(home.path(), Path::new("/home/someone/.keep"));
    }
}
