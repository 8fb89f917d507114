//! Locking by hand, which wins against every unlock that began before.
//!
//! Whoever unlocks makes a file beside the socket first, derives the key, listens, and then looks whether the file is still there.
//! Whoever locks removes such files first and looks for a listener then. So an unlock either sees that it is no longer wanted, or
//! is found and told to lock. The files are gone after each unlock, whatever came of it and whichever vault it opened.

use std::fs::{File, TryLockError};
use std::path::PathBuf;

use keep_types::{ErrorCode, Fault};

use super::client::Connection;
use super::place::Place;
use crate::Home;

/// What the names of such files end with.
const ENDING: &str = "opening";

/// An unlock that is under way, until this is dropped.
#[derive(Debug)]
pub struct Opening {
    path: PathBuf,
    /// Locked for as long as this process is at it.
    _file: File,
}

impl Opening {
    /// Begins one: before the key is derived.
    ///
    /// # Errors
    /// When the socket's place is not safe, or cannot be written.
    pub fn begin(home: &Home) -> Result<Self, Fault> {
        let mut random = [0; 8];
        getrandom::getrandom(&mut random)
            .map_err(|_| Fault::new(ErrorCode::Bug, "the system gives no random numbers"))?;
        let (path, file) = Place::of(home).make(&format!("{}.{ENDING}", hex::encode(random)))?;
        // Without it whoever locks cannot say that this was under way, and ends it all the same.
        let _ = file.try_lock();
        Ok(Self { path, _file: file })
    }

    /// Whether nobody has locked since.
    pub(super) fn stands(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What locking by hand came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// A process held the vault, and has let go of it.
    Now,
    /// Nobody held it yet: an unlock was under way, and ends with an error.
    BeforeItOpened,
    /// Nobody held it.
    Already,
}

/// Locks the vault in `home` for its owner: no process holds it any more, no unlock that has begun opens it, and no program unlocks
/// it again by itself.
///
/// # Errors
/// When the daemon cannot be reached or does not end; when none of this can be noted beside the socket.
pub fn lock(home: &Home) -> Result<Locked, Fault> {
    let place = Place::of(home);
    // First: a process that is just being started looks for both once it can be found.
    let noted = place.note_locked();
    let cancelled = cancel(&place);
    if let Some(connection) = Connection::find(home, None)? {
        connection.lock()?;
        cancelled?;
        return Ok(Locked::Now);
    }
    // The owner means it all the same.
    noted?;
    Ok(if cancelled? { Locked::BeforeItOpened } else { Locked::Already })
}

/// Ends every unlock that is under way; says whether there was one. What killed processes left goes, too.
fn cancel(place: &Place) -> Result<bool, Fault> {
    let mut any = false;
    for path in place.files(ENDING)? {
        let lives =
            File::open(&path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        match std::fs::remove_file(&path) {
            Ok(()) => any |= lives,
            // It ended just now.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let message = format!("an unlock that is under way cannot be ended: {error}");
                return Err(
                    Fault::new(ErrorCode::Storage, message).with_hint("`keep status` tells what came of it")
                );
            }
        }
    }
    Ok(any)
}

/// What an unlock that lost is told.
pub(super) fn locked_meanwhile() -> Fault {
    Fault::new(ErrorCode::Locked, "this vault was locked by hand while it was being unlocked")
        .with_hint("run `keep unlock` again if it is to be open")
}
