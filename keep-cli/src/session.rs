//! What every command starts from: the flags, the vault's place, the unlocked vault.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;

use keep_sdk::agent::Start;
use keep_sdk::daemon::{Connection, Elevate, Opening};
use keep_sdk::{ErrorCode, Fault, Home, KdfCost, Keep, KeyView, Name, Options, RelayUrl, Rescue, SecretText};

use crate::args::{Global, Kdf};
use crate::config::Config;
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
    config: OnceCell<Config>,
}

impl Session {
    pub fn new(global: Global) -> Self {
        Self { output: Output::new(global.json, global.quiet), global, config: OnceCell::new() }
    }

    /// The settings.
    ///
    /// # Errors
    /// When their file says something that is no setting.
    pub fn config(&self) -> Result<&Config, Fault> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = Config::load()?;
        Ok(self.config.get_or_init(|| config))
    }

    /// The relays that were given, else those of the settings.
    ///
    /// # Errors
    /// When there are none, or one has no relay's form.
    pub fn relays(&self, given: &[String]) -> Result<Vec<RelayUrl>, Fault> {
        let given = if given.is_empty() { &self.config()?.relays.value } else { given };
        if given.is_empty() {
            return Err(Fault::new(ErrorCode::Usage, "no relay was given")
                .with_hint("name one with --relay wss://…, or in the settings (`keep config init`)"));
        }
        crate::commands::relays(given)
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
        if self.allows_weak_kdf() {
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

    /// Whether a key derivation made for tests is accepted.
    pub const fn allows_weak_kdf(&self) -> bool {
        cfg!(debug_assertions) || self.global.allow_weak_kdf
    }

    /// Opens the vault: that of the process that holds it unlocked, else here.
    pub fn open(&self) -> Result<Keep, Ending> {
        let home = Home::from_environment()?;
        Keep::expect_vault(&home)?;
        let keep = match self.connect(&home) {
            None => self.unlock(&home)?,
            // The hidden vault, and no other, where that was asked for.
            Some(connection) if self.is_hidden() && !connection.is_hidden() => self.unlock(&home)?,
            // A passphrase that was given decides which vault it is, if that can be told from it.
            Some(connection) if connection.is_hidden() && !self.is_hidden() && self.has_password() => {
                match self.unlock(&home) {
                    Err(Ending::Fault(fault)) if fault.code() == ErrorCode::StorageBusy => {
                        Keep::connected(connection)
                    }
                    outcome => outcome?,
                }
            }
            Some(connection) => Keep::connected(connection),
        };
        self.report_damage(&keep);
        Ok(keep)
    }

    /// Opens the vault in this process even where another one holds it unlocked: for what wants the passphrase anyway, and
    /// would be too large to come over the socket. A hidden vault is small, and open in one process at a time.
    pub fn open_for_bulk(&self) -> Result<Keep, Ending> {
        let home = Home::from_environment()?;
        Keep::expect_vault(&home)?;
        let beside = |connection: &Connection| !connection.is_hidden() && !self.is_hidden();
        if self.connect(&home).filter(beside).is_none() {
            return self.open();
        }
        if self.password().given()?.is_none() {
            self.output.talk("The vault is unlocked; for this it wants its passphrase again.");
        }
        // The one that is unlocked, and no other.
        let keep = self.unlock_with(&home, &self.options(None).outer())?;
        self.report_damage(&keep);
        Ok(keep)
    }

    /// The vault of the process that holds it unlocked; one is started if there is none.
    pub fn open_held(&self) -> Result<Keep, Ending> {
        let home = Home::from_environment()?;
        Keep::expect_vault(&home)?;
        let fits = |connection: &Connection| !self.is_hidden() || connection.is_hidden();
        let connection = match self.connect(&home).filter(fits) {
            Some(connection) => connection,
            None => {
                let started = crate::commands::unlock::start(self, &home);
                // Another program may have been faster.
                match (self.connect(&home).filter(fits), started) {
                    (Some(connection), _) => connection,
                    (None, Err(ending)) => return Err(ending),
                    (None, Ok(())) => {
                        let message = "the process that holds the vault ended at once";
                        return Err(Fault::new(ErrorCode::Locked, message).into());
                    }
                }
            }
        };
        let keep = Keep::connected(connection);
        self.report_damage(&keep);
        Ok(keep)
    }

    /// Starts that process again, without asking anybody, when it is gone.
    pub fn starter(&self) -> Start {
        let global = self.global.clone();
        Start::new(move || {
            let session = Self::new(global.clone());
            if !session.has_password() {
                return Err(Fault::new(ErrorCode::Locked, "the vault is locked")
                    .with_hint("run `keep unlock`, then try again"));
            }
            let home = Home::from_environment()?;
            crate::commands::unlock::start(&session, &home).map_err(Ending::into_fault)
        })
    }

    /// Opens the vault in this process, which is to be the one that holds it for others.
    pub fn open_here(&self) -> Result<Keep, Ending> {
        let home = self.not_held()?;
        let keep = self.unlock(&home)?;
        self.report_damage(&keep);
        Ok(keep)
    }

    /// The same, with the note that it is under way: from when the passphrase was said, so that a `keep lock` said after that
    /// wins, and one said before does not.
    pub fn open_to_serve(&self) -> Result<(Keep, Option<Opening>), Ending> {
        let home = self.not_held()?;
        let (mut opening, mut failed) = (None, 0);
        let keep = self.with_password(&mut |password| {
            opening = Some(Opening::begin(&home)?);
            let opened = Keep::open(home.clone(), password, &self.options(None).failed_attempts(failed));
            failed += 1;
            opened
        })?;
        self.report_damage(&keep);
        Ok((keep, opening))
    }

    /// The home of a vault that no process holds unlocked.
    fn not_held(&self) -> Result<Home, Ending> {
        let home = Home::from_environment()?;
        Keep::expect_vault(&home)?;
        if let Some(connection) = self.connect(&home) {
            let message = format!("process {} holds this vault unlocked already", connection.pid());
            let hint = "end that first, with `keep lock`";
            return Err(Fault::new(ErrorCode::StorageBusy, message).with_hint(hint).into());
        }
        Ok(home)
    }

    fn unlock(&self, home: &Home) -> Result<Keep, Ending> {
        self.unlock_with(home, &self.options(None))
    }

    fn unlock_with(&self, home: &Home, options: &Options) -> Result<Keep, Ending> {
        let mut failed = 0;
        self.with_password(&mut |password| {
            let opened = Keep::open(home.clone(), password, &options.clone().failed_attempts(failed));
            failed += 1;
            opened
        })
    }

    /// The process that holds the vault unlocked. One that cannot be trusted is left alone, and named.
    fn connect(&self, home: &Home) -> Option<Connection> {
        Connection::find(home, Some(self.elevation())).unwrap_or_else(|fault| {
            self.output.warn(fault.code(), fault.message(), fault.hint());
            None
        })
    }

    /// Who says the passphrase when an unlocked vault wants it again.
    pub fn elevation(&self) -> Arc<dyn Elevate> {
        let (file, hidden) = (self.global.password_file.clone(), self.is_hidden());
        Arc::new(Elevation { file, hidden, output: self.output })
    }

    /// Does something with the vault's passphrase. One that was typed wrong may be typed again.
    pub fn with_password<T>(
        &self,
        attempt: &mut dyn FnMut(&SecretText) -> Result<T, Fault>,
    ) -> Result<T, Ending> {
        with_password(self.password(), &self.output, attempt)
    }

    /// Opens the vault, wherever it is held, with a passphrase that was said already and is not asked for again.
    pub fn open_as(&self, password: &SecretText) -> Result<Keep, Fault> {
        let home = Home::from_environment()?;
        Keep::expect_vault(&home)?;
        let said = SecretText::new(password.expose().to_owned());
        match Connection::find(&home, Some(Arc::new(Said(said))))? {
            Some(connection) => Ok(Keep::connected(connection)),
            None => Keep::open(home, password, &self.options(None)),
        }
    }

    /// Opens the vault in this process, whoever else has it open, and gives what opened it.
    pub fn open_directly(&self) -> Result<(Keep, SecretText), Ending> {
        let home = Home::from_environment()?;
        Keep::expect_vault(&home)?;
        let password = self.password().get()?;
        Ok((Keep::open(home, &password, &self.options(None))?, password))
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

    fn report_damage(&self, keep: &Keep) {
        if !keep.integrity().is_intact() {
            let found = keep.integrity().problems.join("; ");
            let message = format!("the vault was changed by something that is not Keep: {found}");
            let hint = "keys can still be listed and exported; nothing else is done before a backup is restored, or `keep doctor --accept`";
            self.output.warn(ErrorCode::Integrity, &message, hint);
        }
    }

    /// The key that `--key` names, or the only one.
    pub fn key(&self, keep: &Keep) -> Result<KeyView, Fault> {
        keep.keys().find(self.chosen_key()?)
    }

    /// What `--key` or the settings say.
    ///
    /// # Errors
    /// When the settings cannot be read.
    pub fn chosen_key(&self) -> Result<Option<&str>, Fault> {
        match self.global.key.as_deref() {
            Some(named) => Ok(Some(named)),
            None => Ok(self.config()?.key.value.as_deref()),
        }
    }

    /// What `--key` says.
    pub fn key_name(&self) -> Option<&str> {
        self.global.key.as_deref()
    }
}

fn with_password<T>(
    source: Source<'_>,
    output: &Output,
    attempt: &mut dyn FnMut(&SecretText) -> Result<T, Fault>,
) -> Result<T, Ending> {
    if let Some(password) = source.given()? {
        return Ok(attempt(&password)?);
    }
    let mut terminal = source.terminal()?;
    for _ in 1..TRIES {
        let password = terminal.ask_hidden(&source.question())?;
        match attempt(&password) {
            Err(fault) if fault.code() == ErrorCode::WrongPassphrase => {
                output.talk("That passphrase does not open the vault. Try again.");
            }
            outcome => return Ok(outcome?),
        }
    }
    let password = terminal.ask_hidden(&source.question())?;
    Ok(attempt(&password)?)
}

/// Says the passphrase again, from where it came the first time.
struct Elevation {
    file: Option<PathBuf>,
    hidden: bool,
    output: Output,
}

impl Elevate for Elevation {
    fn elevate(&self, attempt: &mut dyn FnMut(&SecretText) -> Result<(), Fault>) -> Result<(), Fault> {
        let file = self.file.as_deref();
        let source = if self.hidden { Source::hidden(file) } else { Source::vault(file) };
        if source.given()?.is_none() {
            self.output.talk("The vault is unlocked; for this it wants its passphrase again.");
        }
        with_password(source, &self.output, attempt).map_err(Ending::into_fault)
    }
}

/// A passphrase that was said already.
struct Said(SecretText);

impl Elevate for Said {
    fn elevate(&self, attempt: &mut dyn FnMut(&SecretText) -> Result<(), Fault>) -> Result<(), Fault> {
        attempt(&self.0)
    }
}

/// A name as it was given.
pub fn name(text: &str) -> Result<Name, Fault> {
    Name::new(text).map_err(|error| {
        Fault::new(ErrorCode::InvalidInput, error.to_string())
            .with_hint("choose another name, for example main")
    })
}
