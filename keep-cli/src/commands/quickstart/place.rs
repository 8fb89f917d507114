//! Where the vault of a quick start lives: in `KEEP_HOME`, or in a directory that is thrown away.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use keep_sdk::{ErrorCode, Fault, Home, Keep, SecretText};
use zeroize::Zeroizing;

use super::steps::Steps;
use crate::args::Kdf;
use crate::ending::Ending;
use crate::session::Session;
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

    /// Opens the vault, or makes it.
    pub fn open(&self, session: &Session, kdf: &Kdf, steps: &Steps<'_>) -> Result<Keep, Ending> {
        let create = session.options(Some(kdf));
        let (home, passphrase) = match self {
            Self::Scratch(scratch) => (Home::new(&scratch.0)?, random_passphrase()?),
            Self::Home(home) if Keep::expect_none(home).is_err() => {
                let keep = session.open_here()?;
                // No time: somebody may have typed a passphrase meanwhile.
                steps.done("vault", &format!("{}, there already", home.path().display()));
                return Ok(keep);
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
        let how = if self.is_thrown_away() { "thrown away at the end" } else { "new" };
        clock.done("vault", &format!("{}, {how}", keep.home().path().display()));
        Ok(keep)
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
pub struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Fault> {
        let directory = std::env::temp_dir().join(format!("keep-quickstart-{}", hex(&random::<4>()?)));
        let made = DirBuilder::new().mode(0o700).create(&directory);
        made.map_err(|error| {
            Fault::new(ErrorCode::Storage, format!("cannot make {}: {error}", directory.display()))
                .with_hint("point TMPDIR to a directory that can be written")
        })?;
        Ok(Self(std::path::absolute(&directory).unwrap_or(directory)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is a vault that nobody has the passphrase of.
        let _ = fs::remove_dir_all(&self.0);
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
