//! What every command starts from: the flags, the vault's place, the unlocked vault.

use keep_sdk::{ErrorCode, Fault, Home, KdfCost, Keep, KeyView, Name, Options, Rescue, SecretText};

use crate::args::{Global, Kdf};
use crate::ending::Ending;
use crate::output::Output;
use crate::secrets::Source;

/// How often a mistyped passphrase may be typed again.
const TRIES: u32 = 3;

/// The flags of every command, and where its output goes.
#[derive(Debug)]
pub struct Session {
    pub output: Output,
    global: Global,
}

impl Session {
    pub fn new(global: Global) -> Self {
        Self { output: Output::new(global.json, global.quiet), global }
    }

    /// Whether questions that destroy nothing are answered with yes.
    pub const fn yes_safe(&self) -> bool {
        self.global.yes_safe
    }

    /// Whether somebody gave the vault's passphrase without being asked for it.
    pub fn has_password(&self) -> bool {
        let source = self.password();
        let mut variables = source.variables();
        self.global.password_file.is_some() || variables.any(|name| std::env::var_os(name).is_some())
    }

    /// Where the passphrase of the vault that commands use comes from.
    pub fn password(&self) -> Source<'_> {
        if self.is_hidden() {
            Source::hidden(self.global.password_file.as_deref())
        } else {
            self.outer_password()
        }
    }

    /// Where the passphrase of the vault comes from that is not hidden.
    pub fn outer_password(&self) -> Source<'_> {
        Source::vault(self.global.password_file.as_deref())
    }

    /// Whether commands use the hidden vault and no other.
    pub const fn is_hidden(&self) -> bool {
        self.global.hidden
    }

    /// How vaults are made and opened. Cheap key derivations are for tests: a release build wants to be told.
    pub fn options(&self, kdf: Option<&Kdf>) -> Options {
        let mut options = Options::default();
        if cfg!(debug_assertions) || self.global.allow_weak_kdf {
            options = options.allow_weak_kdf();
        }
        if self.is_hidden() {
            options = options.hidden();
        }
        match kdf.and_then(|kdf| Some((kdf.kdf_memory_kib?, kdf))) {
            None => options,
            Some((memory_kib, kdf)) => options.kdf_cost(KdfCost::Custom {
                memory_kib,
                iterations: kdf.kdf_iterations.unwrap_or(4),
                lanes: kdf.kdf_lanes.unwrap_or(4),
            }),
        }
    }

    /// Opens the vault.
    pub fn open(&self) -> Result<Keep, Ending> {
        let home = Home::from_environment()?;
        Keep::expect_vault(&home)?;
        let source = self.password();
        let keep = match source.given()? {
            Some(password) => self.unlock(home, &password, 0)?,
            None => self.ask_and_unlock(home, source)?,
        };
        self.report_damage(&keep);
        Ok(keep)
    }

    /// Searches the files of a vault that is too damaged to be opened.
    pub fn rescue(&self) -> Result<Rescue, Ending> {
        if self.is_hidden() {
            return Err(Fault::new(
                ErrorCode::Usage,
                "only the vault in the database can be searched for keys",
            )
            .with_hint("a hidden vault opens with `keep --hidden list`, or not at all")
            .into());
        }
        let home = Home::from_environment()?;
        Keep::expect_vault(&home)?;
        let source = self.password();
        let password = match source.given()? {
            Some(password) => password,
            None => source.terminal()?.ask_hidden(&source.question())?,
        };
        Ok(Rescue::open(&home, &password, &self.options(None))?)
    }

    fn unlock(&self, home: Home, password: &SecretText, failed: u32) -> Result<Keep, Fault> {
        Keep::open(home, password, &self.options(None).failed_attempts(failed))
    }

    fn ask_and_unlock(&self, home: Home, source: Source<'_>) -> Result<Keep, Ending> {
        let mut terminal = source.terminal()?;
        for failed in 0..TRIES - 1 {
            let password = terminal.ask_hidden(&source.question())?;
            match self.unlock(home.clone(), &password, failed) {
                Err(fault) if fault.code() == ErrorCode::WrongPassphrase => {
                    self.output.talk("That passphrase does not open the vault. Try again.");
                }
                outcome => return Ok(outcome?),
            }
        }
        let password = terminal.ask_hidden(&source.question())?;
        Ok(self.unlock(home, &password, TRIES - 1)?)
    }

    fn report_damage(&self, keep: &Keep) {
        if !keep.integrity().is_intact() {
            let found = keep.integrity().problems.join("; ");
            let message = format!("the vault was changed by something that is not Keep: {found}");
            let hint =
                "keys can still be listed and exported; nothing else is done until a backup is restored";
            self.output.warn(ErrorCode::Integrity, &message, hint);
        }
    }

    /// The key that `--key` names, or the only one.
    pub fn key(&self, keep: &Keep) -> Result<KeyView, Fault> {
        keep.keys().find(self.global.key.as_deref())
    }

    /// What `--key` says.
    pub fn key_name(&self) -> Option<&str> {
        self.global.key.as_deref()
    }
}

/// A name as it was given.
pub fn name(text: &str) -> Result<Name, Fault> {
    Name::new(text).map_err(|error| {
        Fault::new(ErrorCode::InvalidInput, error.to_string())
            .with_hint("choose another name, for example main")
    })
}
