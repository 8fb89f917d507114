//! Where the vault of a quick start lives: in `KEEP_HOME`, or in a directory that is thrown away.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use keep_sdk::daemon::Opening;
use keep_sdk::{ErrorCode, Fault, Home, Keep, SecretText};
use zeroize::Zeroizing;

use super::steps::Steps;
use crate::args::Kdf;
use crate::ending::Ending;
use crate::session::Session;
use crate::system::{is_ours, make_directory, privately};
use crate::terminal::Terminal;

/// The vault's place.
pub enum Place {
    /// `KEEP_HOME`.
    Home(Home),
    /// Thrown away with this value.
    Scratch(Scratch),
}

impl Place {
    /// `KEEP_HOME`, unless it is to be thrown away or nobody could say a passphrase.
    pub fn choose(session: &Session, ephemeral: bool) -> Result<Self, Fault> {
        if ephemeral || (!session.has_password() && Terminal::open().is_none()) {
            return Ok(Self::Scratch(Scratch::new()?));
        }
        Home::from_environment().map(Self::Home)
    }

    pub const fn is_thrown_away(&self) -> bool {
        matches!(self, Self::Scratch(_))
    }

    /// Opens the vault, or makes it. One that was there comes with the note that its opening is under way, unless this is but
    /// a `check`, which shares it with nobody.
    pub fn open(
        &self,
        session: &Session,
        kdf: &Kdf,
        steps: &Steps<'_>,
        check: bool,
    ) -> Result<(Keep, Option<Opening>), Ending> {
        let create = session.options(Some(kdf));
        let (home, passphrase) = match self {
            Self::Scratch(scratch) => (Home::new(&scratch.path)?, random_passphrase()?),
            Self::Home(home) if Keep::expect_none(home).is_err() => {
                let opened = if check { (session.open_here()?, None) } else { session.open_to_serve()? };
                // No time: somebody may have typed a passphrase meanwhile.
                steps.done("vault", &format!("{}, there already", home.path().display()));
                return Ok(opened);
            }
            Self::Home(home) => {
                if session.is_hidden() {
                    Keep::expect_vault(home)?;
                }
                session.output.talk(&format!("First a vault of your own, in {}.", home.path().display()));
                (home.clone(), session.password().get_new(session.yes_safe())?)
            }
        };
        let clock = steps.clock();
        // A vault that is thrown away leaves nothing behind.
        let create = if self.is_thrown_away() { create.state_directory(None) } else { create };
        let keep = Keep::create(home, &passphrase, &create)?;
        crate::commands::init::warn_of_readers(session, keep.home());
        let how = if self.is_thrown_away() { "thrown away at the end" } else { "new" };
        clock.done("vault", &format!("{}, {how}", keep.home().path().display()));
        Ok((keep, None))
    }

    /// What to know about the end.
    pub fn farewell(&self) -> String {
        match self {
            Self::Home(home) => {
                format!(
                    "Ctrl-C ends it, and the address with it; the vault in {} stays.",
                    home.path().display()
                )
            }
            Self::Scratch(_) => "Ctrl-C ends it, and throws the vault away.".to_owned(),
        }
    }

    /// What to do after it.
    pub const fn next(&self) -> &'static str {
        match self {
            Self::Home(_) => "For every day: keep serve --relay wss://…",
            Self::Scratch(_) => {
                "For every day: keep init, keep generate --name main, keep serve --relay wss://…"
            }
        }
    }
}

/// A directory that only this user can enter, removed with this value.
pub struct Scratch {
    path: PathBuf,
    /// Says that it is in use, for as long as this process lives.
    _lock: File,
}

/// How their names begin.
const PREFIX: &str = "keep-quickstart-";
/// The file in it that is locked while it is in use.
const LOCK: &str = "in-use.lock";

impl Scratch {
    fn new() -> Result<Self, Fault> {
        let parent = std::env::temp_dir();
        let parent = std::path::absolute(&parent).unwrap_or(parent);
        clear_leftovers(&parent);
        let path = parent.join(format!("{PREFIX}{}", hex(&random::<4>()?)));
        let failed = |error: std::io::Error| {
            Fault::new(ErrorCode::Storage, format!("cannot make {}: {error}", path.display()))
                .with_hint("point TMPDIR to a directory that can be written")
        };
        make_directory(&path).map_err(failed)?;
        let lock = lock(&path).map_err(|error| {
            let _ = fs::remove_dir_all(&path);
            failed(error)
        })?;
        Ok(Self { path, _lock: lock })
    }
}

/// Locks a new directory before anybody can find it unlocked.
fn lock(directory: &Path) -> std::io::Result<File> {
    let unfinished = directory.join("lock.new");
    let file = privately(File::options().write(true).create_new(true)).open(&unfinished)?;
    file.lock()?;
    fs::rename(&unfinished, directory.join(LOCK))?;
    Ok(file)
}

/// Removes what processes left that were killed: directories of this user, whose lock nobody holds any more.
fn clear_leftovers(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Not through a link: what is removed is what lies here.
        let found = entry.metadata();
        if !is_named || !found.is_ok_and(|found| found.is_dir() && is_ours(&found)) {
            continue;
        }
        let path = entry.path();
        let lock = privately(File::options().write(true)).open(path.join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is a vault that nobody has the passphrase of.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn random_passphrase() -> Result<SecretText, Fault> {
    let bytes = Zeroizing::new(random::<32>()?);
    Ok(SecretText::new(hex(&*bytes)))
}

fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes).map_err(|error| {
        Fault::new(ErrorCode::Storage, format!("the system gives no random bytes: {error}"))
    })?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
