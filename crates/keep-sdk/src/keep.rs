//! An unlocked vault and what can be done with it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use keep_signer::Approver;
use keep_store::{SqliteStore, Store};
use keep_types::{Clock, ErrorCode, Fault, SecretText, SystemClock};
use keep_vault::{Environment, Holder, IntegrityReport, KdfCost, Vault, Which};

use crate::agent::interrupt;
use crate::call::{Call, Host, Wiped, registry};
use crate::daemon::{Connection, Stream};
use crate::high_water::HighWater;
use crate::place::{
    cannot_write, exists, holder, holds_vault, lock_directory, make, make_directory, no_vault, open_store,
    prepare, refuse_empty, refuse_leftovers, refuse_lone_reserve, rescuable,
};
use crate::{
    Agents, Approvals, Audit, Bitcoin, Bunker, Frost, Home, Inbox, Keys, Nip46, Policies, Secrets, Sign,
};

/// How a vault is made or opened.
#[derive(Clone)]
pub struct Options {
    clock: Arc<dyn Clock>,
    allow_weak_kdf: bool,
    cost: KdfCost,
    only: Option<Which>,
    state: Option<PathBuf>,
    failed: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            allow_weak_kdf: false,
            cost: KdfCost::Standard,
            only: None,
            state: HighWater::directory(),
            failed: 0,
        }
    }
}

impl Options {
    /// Another clock than the operating system's, for tests.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Accepts vaults whose key derivation is weaker than the standard, for tests.
    #[must_use]
    pub const fn allow_weak_kdf(mut self) -> Self {
        self.allow_weak_kdf = true;
        self
    }

    /// Another cost of unlocking for a new vault, for tests.
    #[must_use]
    pub const fn kdf_cost(mut self, cost: KdfCost) -> Self {
        self.cost = cost;
        self
    }

    /// Opens the hidden vault or none. Without this the passphrase decides.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.only = Some(Which::Hidden);
        self
    }

    /// Opens the vault that everybody sees, or none.
    #[must_use]
    pub const fn outer(mut self) -> Self {
        self.only = Some(Which::Outer);
        self
    }

    /// Where this machine notes the highest revision of the vault, to tell one that was put back; `None` for nowhere.
    #[must_use]
    pub fn state_directory(mut self, directory: Option<PathBuf>) -> Self {
        self.state = directory;
        self
    }

    /// How many passphrases were tried before that did not open the vault: they are recorded when one does.
    #[must_use]
    pub const fn failed_attempts(mut self, failed: u32) -> Self {
        self.failed = failed;
        self
    }

    fn high_water(&self, vault: &Vault) -> Option<HighWater> {
        self.state.as_deref().map(|directory| HighWater::new(directory, vault.id()))
    }

    pub(crate) const fn cost(&self) -> KdfCost {
        self.cost
    }

    pub(crate) fn environment(&self) -> Environment {
        let weak_kdf =
            if self.allow_weak_kdf { keep_vault::WeakKdf::Allow } else { keep_vault::WeakKdf::Refuse };
        Environment { clock: Arc::clone(&self.clock), weak_kdf, holder: Holder::default() }
    }

    /// For the vaults in `home`, where a daemon may hold the hidden one.
    fn environment_in(&self, home: &Home) -> Environment {
        Environment { holder: holder(home), ..self.environment() }
    }
}

/// An unlocked vault, in this process or in the daemon that holds it. Cheap to clone; a vault in this process is locked
/// when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Keep {
    reach: Reach,
}

/// Where the vault is unlocked.
#[derive(Debug, Clone)]
enum Reach {
    Here(Arc<Host>),
    There(Arc<Connection>),
}

impl Keep {
    /// Makes a vault in `home` and opens it. Either the vault is complete when this returns, or there is none.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyExists`] when there is a vault; when the directory cannot be written or cannot hold a vault
    /// safely.
    pub fn create(home: Home, passphrase: &SecretText, options: &Options) -> Result<Self, Fault> {
        refuse_empty(passphrase)?;
        make_directory(home.path())?;
        let guard = lock_directory(home.path())?;
        prepare(&home)?;
        let made = make(&home, passphrase, options);
        // Half a vault is none, and may fill a disk that is full already. Without the lock the files could be those of
        // another process; then the next attempt clears them away, as it does what cannot be removed now.
        if made.is_err() && guard.is_some() {
            let _ = home.clear_leftovers();
        }
        drop(guard);
        let vault = made?;
        let high_water = options.high_water(&vault);
        Ok(Self::here(vault, home, options, high_water))
    }

    /// Makes a vault in `home` beside the reserve of one whose database was lost, and opens it: what lies in the reserve opens with
    /// its own passphrase again. Nothing of the lost vault comes back. Either the vault is complete when this returns, or there is
    /// none; the reserve is not written in any case.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when there is no such reserve; [`ErrorCode::AlreadyExists`] when there is a vault, or `passphrase`
    /// opens what lies in the reserve; as [`create`](Self::create).
    pub fn create_beside(home: Home, passphrase: &SecretText, options: &Options) -> Result<Self, Fault> {
        refuse_empty(passphrase)?;
        Self::expect_lone_reserve(&home)?;
        let _guard = lock_directory(home.path())?;
        let environment = options.environment();
        let salt = Vault::adopt_reserve(home.path(), passphrase, options.cost(), &environment)?;
        // Made elsewhere, so that what is interrupted here is never taken for an unfinished vault, whose reserve may go.
        let unfinished = home.path().join("keep.new");
        let cannot = |error: std::io::Error| cannot_write(&unfinished, &error);
        match std::fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(error)),
            Ok(()) | Err(_) => make_directory(&unfinished)?,
        }
        let inside = Home::new(&unfinished)?.database();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::create(&inside)?);
        drop(Vault::create(Arc::clone(&store), passphrase, salt, options.cost(), &environment)?);
        // Afterwards all of it is in one file.
        store.wipe_leftovers()?;
        drop(store);
        File::open(&inside).and_then(|file| file.sync_all()).map_err(cannot)?;
        std::fs::rename(&inside, home.database()).map_err(cannot)?;
        File::open(home.path()).and_then(|directory| directory.sync_all()).map_err(cannot)?;
        let _ = std::fs::remove_dir_all(&unfinished);
        Self::open(home, passphrase, options)
    }

    /// Says so if there is no reserve in `home` whose database was lost.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyExists`] when there is a vault, or the log of the lost database; [`ErrorCode::NotFound`].
    pub fn expect_lone_reserve(home: &Home) -> Result<(), Fault> {
        if holds_vault(home)? || Self::exists(home) {
            return Err(exists(home));
        }
        if home.has_lone_reserve() {
            return refuse_leftovers(home);
        }
        let message = format!("there is no reserve in {} whose database was lost", home.path().display());
        Err(Fault::new(ErrorCode::NotFound, message)
            .with_hint("without --keep-reserve a vault is made with a new one"))
    }

    /// Makes a hidden vault in the reserve beside the vault in `home`, whose passphrase is `outer`, and opens it.
    ///
    /// **Whatever is in the reserve is lost.** Nobody can know whether that is a hidden vault under another passphrase, so
    /// ask first, unless the vault was made just now.
    ///
    /// # Errors
    /// [`ErrorCode::WrongPassphrase`] for the outer passphrase; [`ErrorCode::AlreadyExists`] when `passphrase` opens a vault
    /// here already; [`ErrorCode::StorageBusy`] while a hidden vault is open; otherwise as [`open`](Self::open).
    pub fn create_hidden(
        home: Home,
        outer: &SecretText,
        passphrase: &SecretText,
        options: &Options,
    ) -> Result<Self, Fault> {
        refuse_empty(passphrase)?;
        let store = open_store(&home)?;
        let vault =
            Vault::create_hidden(store, home.path(), outer, passphrase, &options.environment_in(&home))
                .map_err(|e| rescuable(e.into()))?;
        // Nothing outside of the directory may know of it.
        Ok(Self::here(vault, home, options, None))
    }

    /// Opens the vault in `home` with its passphrase: the one that everybody sees, or the hidden one. The passphrase
    /// decides, and whichever it is, the same work is done. The unlocking is recorded in the vault that opens; where it cannot be
    /// (a full disk, a vault that was tampered with), the vault opens all the same: nothing has left it yet, and what leaves
    /// needs its own record.
    ///
    /// # Errors
    /// [`ErrorCode::NoVault`], [`ErrorCode::WrongPassphrase`], [`ErrorCode::Integrity`] (see [`Rescue`](crate::Rescue)) and the
    /// storage errors.
    pub fn open(home: Home, passphrase: &SecretText, options: &Options) -> Result<Self, Fault> {
        let store = open_store(&home)?;
        let environment = options.environment_in(&home);
        let opened = Vault::open_either(store, home.path(), passphrase, options.only, &environment);
        let opened = opened.map_err(|e| rescuable(e.into()))?;
        let (vault, which) = (opened.vault, opened.which);
        if !vault.memory_is_locked() {
            tracing::warn!("the system does not let Keep lock its memory; keys may be swapped to disk");
        }
        // Nothing outside of the directory may know of a hidden vault.
        let high_water = if which == Which::Outer { options.high_water(&vault) } else { None };
        let keep = Self::here(vault, home, options, high_water);
        keep.host()?.opened(options.failed);
        Ok(keep)
    }

    /// Whether there is a vault in `home`.
    pub fn exists(home: &Home) -> bool {
        home.database().exists()
    }

    /// Says so if there is no vault in `home`, before anybody is asked for a passphrase.
    ///
    /// # Errors
    /// [`ErrorCode::NoVault`].
    pub fn expect_vault(home: &Home) -> Result<(), Fault> {
        if Self::exists(home) { Ok(()) } else { Err(no_vault(home)) }
    }

    /// Says so if there is a vault in `home` already, before anybody is asked for a passphrase. What an interrupted
    /// [`create`](Self::create) left is no vault.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyExists`].
    pub fn expect_none(home: &Home) -> Result<(), Fault> {
        if holds_vault(home)? {
            return Err(exists(home));
        }
        refuse_lone_reserve(home)
    }

    fn here(vault: Vault, home: Home, options: &Options, high_water: Option<HighWater>) -> Self {
        Self { reach: Reach::Here(Arc::new(Host::new(vault, home, options.environment(), high_water))) }
    }

    /// The vault of the daemon at the other end.
    pub fn connected(connection: Connection) -> Self {
        Self { reach: Reach::There(Arc::new(connection)) }
    }

    /// Makes a call, where the vault is unlocked.
    ///
    /// # Errors
    /// What the call says.
    pub fn call<C: Call>(&self, call: C) -> Result<C::Reply, Fault> {
        match &self.reach {
            Reach::Here(host) => {
                host.check_open::<C>()?;
                call.run(host)
            }
            Reach::There(connection) => interrupt::watched(self, || connection.call(&call)),
        }
    }

    /// Makes a call by its name, with JSON parameters and a JSON reply.
    ///
    /// # Errors
    /// [`ErrorCode::Usage`] when there is no such call or the parameters do not fit; what the call says.
    pub fn call_by_name(&self, name: &str, parameters: &str) -> Result<Wiped, Fault> {
        let entry = registry().iter().find(|entry| entry.name == name);
        let unknown = || Fault::new(ErrorCode::Usage, "there is no such call");
        let entry = entry.ok_or_else(unknown)?;
        match &self.reach {
            Reach::Here(host) => entry.run(host, parameters),
            Reach::There(connection) => {
                interrupt::watched(self, || connection.call_by_name(entry, parameters))
            }
        }
    }

    /// Whether the vault is unlocked in this process.
    pub(crate) const fn is_here(&self) -> bool {
        matches!(self.reach, Reach::Here(_))
    }

    /// Whether the way to the vault is still open. A daemon may have ended, or closed a connection that nobody used.
    pub(crate) fn is_open(&self) -> bool {
        match &self.reach {
            Reach::Here(_) => true,
            Reach::There(connection) => connection.is_open(),
        }
    }

    /// Another handle of a connection, for ending a call that waits.
    pub(crate) fn stream(&self) -> Option<Stream> {
        match &self.reach {
            Reach::Here(_) => None,
            Reach::There(connection) => connection.try_clone_stream(),
        }
    }

    /// The same vault, for the agent that has this token: bound by its session, whatever it asks.
    ///
    /// # Errors
    /// [`ErrorCode::NotConnected`] when no session has this token.
    pub fn for_session(&self, token: &SecretText) -> Result<Self, Fault> {
        match &self.reach {
            Reach::Here(host) => Ok(Self { reach: Reach::Here(Arc::new(host.for_session(token)?)) }),
            Reach::There(connection) => Ok(Self::connected(connection.for_session(token)?)),
        }
    }

    /// Makes, lists and revokes the sessions of agents.
    pub fn agents(&self) -> Agents {
        Agents::new(self.clone())
    }

    /// The unlocked vault itself, for what cannot be a call.
    ///
    /// # Errors
    /// [`ErrorCode::StorageBusy`] when the vault is held by another process.
    pub(crate) fn host(&self) -> Result<&Arc<Host>, Fault> {
        match &self.reach {
            Reach::Here(host) if host.session().is_some() => {
                Err(Fault::new(ErrorCode::RefusedByPolicy, "the session of an agent cannot do this"))
            }
            Reach::Here(host) => Ok(host),
            Reach::There(connection) => {
                let message = format!("process {} holds this vault unlocked", connection.pid());
                Err(Fault::new(ErrorCode::StorageBusy, message).with_hint("`keep lock` ends it"))
            }
        }
    }

    /// Where the vault is.
    pub fn home(&self) -> &Home {
        match &self.reach {
            Reach::Here(host) => host.home(),
            Reach::There(connection) => connection.home(),
        }
    }

    /// What the latest check found. With problems, keys can be listed and exported, and nothing is signed.
    pub fn integrity(&self) -> IntegrityReport {
        match &self.reach {
            Reach::Here(host) => host.integrity(),
            Reach::There(connection) => connection.integrity(),
        }
    }

    /// The keys of the vault.
    pub fn keys(&self) -> Keys {
        Keys::new(self.clone())
    }

    /// Secrets beside the keys.
    pub fn secrets(&self) -> Secrets {
        Secrets::new(self.clone())
    }

    /// Backups of everything.
    pub fn backups(&self) -> crate::Backups {
        crate::Backups::new(self.clone())
    }

    /// The ways to unlock, and the data key.
    pub fn unlocking(&self) -> crate::Unlocking {
        crate::Unlocking::new(self.clone())
    }

    /// Signing as the owner.
    pub fn sign(&self) -> Sign {
        Sign::new(self.clone())
    }

    /// Bitcoin.
    pub fn bitcoin(&self) -> Bitcoin {
        Bitcoin::new(self.clone())
    }

    /// Threshold keys.
    pub fn frost(&self) -> Frost {
        Frost::new(self.clone())
    }

    /// The audit log.
    pub fn audit(&self) -> Audit {
        Audit::new(self.clone())
    }

    /// Requests that wait for a person.
    pub fn inbox(&self) -> Inbox {
        Inbox::new(self.clone())
    }

    /// The queue of those requests, where the bunker is in this process: what serves asks it, and whoever can decide looks
    /// at it.
    ///
    /// # Errors
    /// When the vault is held by another process.
    pub fn approvals(&self) -> Result<Arc<Approvals>, Fault> {
        Ok(self.host()?.state())
    }

    /// Named policies, and the persons who may approve.
    pub fn policies(&self) -> Policies {
        Policies::new(self.clone())
    }

    /// Keys that other bunkers hold.
    pub fn remote_keys(&self) -> crate::RemoteKeys {
        crate::RemoteKeys::new(self.clone())
    }

    /// Connected clients and tokens.
    pub fn nip46(&self) -> Nip46 {
        Nip46::new(self.clone())
    }

    /// Remote signing for Nostr clients.
    pub fn bunker(&self, approver: Arc<dyn Approver>) -> Bunker {
        Bunker::new(self.clone(), approver)
    }
}
