//! Where the daemon of a vault is met: a socket in a directory that only its user can enter.

#[cfg(unix)]
#[path = "place/unix.rs"]
mod system;
#[cfg(windows)]
#[path = "place/windows.rs"]
mod system;

use std::fs::{File, Metadata, OpenOptions};
use std::path::{Path, PathBuf};

use keep_types::{ErrorCode, Fault};
use sha2::{Digest, Sha256};

use crate::Home;

/// The socket of a vault's daemon, and the lock beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    directory: PathBuf,
    name: String,
}

impl Place {
    /// The place for the vault in `home`: in `keep` of `$XDG_RUNTIME_DIR` (or of `/run/user/UID`), else in `/tmp/keep-UID`; on
    /// Windows in `keep\\run` of `%LOCALAPPDATA%`. Its name is a hash of the vault's path and tells nothing about it.
    pub fn of(home: &Home) -> Self {
        Self::within(home, system::directory(std::env::var_os(system::VARIABLE).map(PathBuf::from)))
    }

    pub(super) fn within(home: &Home, directory: PathBuf) -> Self {
        let path = home.path().canonicalize().unwrap_or_else(|_| home.path().to_owned());
        let digest = Sha256::new()
            .chain_update(b"keep daemon v1")
            .chain_update(path.as_os_str().as_encoded_bytes())
            .finalize();
        Self { directory, name: hex::encode(&digest[..16]) }
    }

    /// The socket; on Windows the file with the name of the pipe.
    pub fn socket(&self) -> PathBuf {
        self.directory.join(format!("{}.{}", self.name, system::ADDRESS))
    }

    /// The directory of the sockets.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether there is a socket that can be trusted with a passphrase. What is not ours is named.
    ///
    /// # Errors
    /// When the directory or the socket belongs to somebody else, can be written by others, or is something else.
    pub fn look(&self) -> Result<bool, Fault> {
        let Some(found) = look_at(&self.directory)? else { return Ok(false) };
        check_directory(&self.directory, &found)?;
        let socket = self.socket();
        let Some(found) = look_at(&socket)? else { return Ok(false) };
        check_socket(&socket, &found)?;
        Ok(true)
    }

    /// Makes the directory, or checks the one that is there.
    pub fn prepare(&self) -> Result<(), Fault> {
        match system::make_directory(&self.directory) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Fault::new(
                    ErrorCode::Storage,
                    format!("cannot make {}: {error}", self.directory.display()),
                )
                .with_hint(format!(
                    "point {} to a directory of yours that can be written",
                    system::VARIABLE
                )));
            }
            Ok(()) | Err(_) => {}
        }
        let found = look_at(&self.directory)?
            .ok_or_else(|| unsafe_place(&self.directory, "vanished while it was made"))?;
        check_directory(&self.directory, &found)
    }

    /// Takes the lock that only one daemon of this vault can have; `None` if another one has it. The lock ends with the
    /// file, and with the process at the latest.
    pub fn lock(&self) -> Result<Option<File>, Fault> {
        let (file, path) = self.open_lock()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => {
                Err(unsafe_place(&path, &format!("cannot be locked ({error})")))
            }
        }
    }

    fn open_lock(&self) -> Result<(File, PathBuf), Fault> {
        let path = self.directory.join(format!("{}.lock", self.name));
        let mut options = OpenOptions::new();
        let opened = system::privately(options.write(true).create(true).truncate(false)).open(&path);
        let file = opened.map_err(|error| unsafe_place(&path, &format!("cannot be opened ({error})")))?;
        let found = file.metadata().map_err(|error| unsafe_place(&path, &error.to_string()))?;
        if !found.is_file() || !system::is_ours(&found) {
            return Err(unsafe_place(&path, "is not a file of yours"));
        }
        Ok((file, path))
    }

    /// Leaves what every session leaves, the file of the lock and the directory's time: a passphrase that opens nothing is then not
    /// told from one that opens a vault which leaves no other trace.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub(super) fn visit(&self) -> Result<(), Fault> {
        self.prepare()?;
        self.open_lock()?;
        system::touch(&self.directory);
        Ok(())
    }

    /// Makes a file of this vault's that was not there, beside the socket.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub(super) fn make(&self, suffix: &str) -> Result<(PathBuf, File), Fault> {
        self.prepare()?;
        let path = self.directory.join(format!("{}.{suffix}", self.name));
        let made = system::privately(OpenOptions::new().write(true).create_new(true)).open(&path);
        let file = made.map_err(|error| unsafe_place(&path, &format!("cannot be made ({error})")))?;
        Ok((path, file))
    }

    /// The files of this vault's with this ending.
    ///
    /// # Errors
    /// When the directory belongs to somebody else, or cannot be read.
    pub(super) fn files(&self, ending: &str) -> Result<Vec<PathBuf>, Fault> {
        let Some(found) = look_at(&self.directory)? else { return Ok(Vec::new()) };
        check_directory(&self.directory, &found)?;
        let failed =
            |error: std::io::Error| unsafe_place(&self.directory, &format!("cannot be read ({error})"));
        let (begins, ends) = (format!("{}.", self.name), format!(".{ending}"));
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_one = |name: &str| name.starts_with(&begins) && name.ends_with(&ends);
            if entry.file_name().to_str().is_some_and(is_one) {
                paths.push(entry.path());
            }
        }
        Ok(paths)
    }

    /// Notes that the owner locked the vault by hand, so that a program that starts the daemon again does not have to ask the vault
    /// for it. The note is empty, named after the directory, and the same whichever vault of it was open, and also if none was.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn note_locked(&self) -> Result<(), Fault> {
        self.prepare()?;
        let path = self.note();
        let mut options = OpenOptions::new();
        system::privately(options.write(true).create(true).truncate(false))
            .open(&path)
            .map(drop)
            .map_err(|error| unsafe_place(&path, &format!("cannot be made ({error})")))
    }

    /// Whether that is noted.
    ///
    /// # Errors
    /// When the directory belongs to somebody else.
    pub fn is_noted_locked(&self) -> Result<bool, Fault> {
        let Some(found) = look_at(&self.directory)? else { return Ok(false) };
        check_directory(&self.directory, &found)?;
        Ok(look_at(&self.note())?.is_some())
    }

    /// Takes the note away: the owner unlocked the vault in the database, whose own records tell it, too.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_locked(&self) -> Result<(), Fault> {
        let path = self.note();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(unsafe_place(&path, &format!("cannot be removed ({error})")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn note(&self) -> PathBuf {
        self.directory.join(format!("{}.locked", self.name))
    }

    /// Removes a socket that nobody listens on any more. Only whoever has the lock may do it.
    pub fn clear(&self) -> Result<(), Fault> {
        let socket = self.socket();
        let Some(found) = look_at(&socket)? else { return Ok(()) };
        check_socket(&socket, &found)?;
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(unsafe_place(&socket, &format!("cannot be removed ({error})")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// What is there, without following links.
fn look_at(path: &Path) -> Result<Option<Metadata>, Fault> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unsafe_place(path, &format!("cannot be looked at ({error})"))),
    }
}

fn check_directory(path: &Path, found: &Metadata) -> Result<(), Fault> {
    let problem = if found.is_symlink() {
        "is a symbolic link"
    } else if !found.is_dir() {
        "is not a directory"
    } else if !system::is_ours(found) {
        "belongs to another user"
    } else if system::is_open_to_others(found) {
        "can be entered by other users"
    } else {
        return Ok(());
    };
    Err(unsafe_place(path, problem))
}

fn check_socket(path: &Path, found: &Metadata) -> Result<(), Fault> {
    if system::is_address(found) && system::is_ours(found) {
        return Ok(());
    }
    Err(unsafe_place(path, &format!("is not {} of yours", system::KIND)))
}

fn unsafe_place(path: &Path, problem: &str) -> Fault {
    Fault::new(ErrorCode::StorageUnsupported, format!("{} {problem}", path.display())).with_hint(
        "look who put it there, and remove it; only this user may enter the directory of Keep's sockets",
    )
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn place(root: &Path) -> Place {
        Place::within(&Home::new("/nonexistent/vault").unwrap(), root.join("keep"))
    }

    #[test]
    fn a_directory_of_ours_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let place = place(root.path());
        assert!(!place.look().unwrap());
        place.prepare().unwrap();
        place.prepare().unwrap();
        assert!(!place.look().unwrap());
        let _listener = UnixListener::bind(place.socket()).unwrap();
        assert!(place.look().unwrap());
        assert_eq!(std::fs::metadata(place.directory()).unwrap().mode() & 0o777, 0o700);
        place.clear().unwrap();
        assert!(!place.look().unwrap());
    }

    #[test]
    fn squatted_places_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let place = place(root.path());
        let refused = |place: &Place, what: &str| {
            let fault = place.prepare().unwrap_err();
            assert_eq!(fault.code(), ErrorCode::StorageUnsupported);
            assert!(fault.message().contains(what), "{fault}");
            assert!(place.look().is_err());
        };
        std::fs::create_dir(root.path().join("elsewhere")).unwrap();
        symlink(root.path().join("elsewhere"), place.directory()).unwrap();
        refused(&place, "symbolic link");
        std::fs::remove_file(place.directory()).unwrap();
        std::fs::write(place.directory(), "").unwrap();
        refused(&place, "not a directory");
        std::fs::remove_file(place.directory()).unwrap();
        std::fs::create_dir(place.directory()).unwrap();
        std::fs::set_permissions(place.directory(), Permissions::from_mode(0o770)).unwrap();
        refused(&place, "other users");
        std::fs::set_permissions(place.directory(), Permissions::from_mode(0o700)).unwrap();
        if std::os::unix::fs::chown(place.directory(), Some(65534), None).is_ok() {
            refused(&place, "another user");
            std::os::unix::fs::chown(place.directory(), Some(rustix::process::geteuid().as_raw()), None)
                .unwrap();
        }
        symlink("/dev/null", place.socket()).unwrap();
        assert!(place.look().is_err() && place.clear().is_err());
        symlink("/dev/null", place.directory().join(format!("{}.lock", place.name))).unwrap();
        assert!(place.lock().is_err());
    }

    #[test]
    fn a_lock_by_hand_is_noted_until_it_is_unlocked() {
        let root = tempfile::tempdir().unwrap();
        let place = place(root.path());
        assert!(!place.is_noted_locked().unwrap());
        place.forget_locked().unwrap();
        place.note_locked().unwrap();
        place.note_locked().unwrap();
        assert!(place.is_noted_locked().unwrap());
        place.forget_locked().unwrap();
        assert!(!place.is_noted_locked().unwrap());
        symlink("/dev/null", place.note()).unwrap();
        assert!(place.note_locked().is_err() && place.is_noted_locked().unwrap());
        std::fs::set_permissions(place.directory(), Permissions::from_mode(0o770)).unwrap();
        assert!(place.is_noted_locked().is_err());
    }

    #[test]
    fn one_lock_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let place = place(root.path());
        place.prepare().unwrap();
        let first = place.lock().unwrap();
        assert!(first.is_some() && place.lock().unwrap().is_none());
        drop(first);
        assert!(place.lock().unwrap().is_some());
    }

    #[test]
    fn strange_runtime_directories_are_not_used() {
        let user = rustix::process::geteuid().as_raw();
        for strange in ["relative", "/nonexistent", "/dev/null"] {
            assert_eq!(system::directory(Some(strange.into())), PathBuf::from(format!("/tmp/keep-{user}")));
        }
    }
}
