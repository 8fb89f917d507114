//! The vault: made, opened, read and written.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_channel::oneshot;
use keep_audit::{Action, Draft, Outcome};
use keep_store::{ReadWork, Scan, Store, StoreError, WriteTx, Writer};
use keep_types::{
    Clock, Collection, Fault, JobId, Origin, Record, RecordId, Revision, SecretKey32, SecretText, Timestamp,
    VaultId,
};

use crate::batch::{Batch, Change, Changes};
use crate::bundles::{BUNDLED, Bundle};
use crate::cache::Cache;
use crate::head::Head;
use crate::header::{Header, StanzaId, StanzaKind};
use crate::hidden::{Beside, Housekeeper};
use crate::kdf::Derived;
use crate::ledger::{Job, VaultLedger, check_header, into_store_error};
use crate::listing::Listings;
use crate::pending::Pending;
use crate::reserve::Rekey;
use crate::seal::open_row;
use crate::secrets::{AUDIT_KEY, Secrets, new_audit_key};
use crate::shield::{Lifted, Shield, Shielded};
use crate::subkeys::{AnswerKey, SUBKEYS_LEN, Subkeys};
use crate::verify::{Depth, IntegrityReport, verify};
use crate::{Committed, Holder, KdfParams, Tx, VaultError, WeakKdf, reserve};

/// Which vault, and which generation of its data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub vault: VaultId,
    pub epoch: u64,
}

/// What the vault and its writer thread share.
pub(crate) struct Shared {
    pub identity: Identity,
    pub clock: Arc<dyn Clock>,
    pub shield: Shield,
    keys: Shielded<SUBKEYS_LEN>,
    /// One of them, which every signature needs and no other.
    answer: Shielded<32>,
    /// The data key itself, for adding ways to unlock.
    data_key: Shielded<32>,
    /// The stanza that the vault was opened with.
    opened_by: StanzaId,
    /// The highest revision that this process has seen.
    seen: AtomicU64,
    /// The latest time that this process has seen in the vault, Unix seconds.
    latest: AtomicU64,
    /// When the owner opened the vault, by the clock and by a watch that nobody can set.
    opened: (Timestamp, Duration),
    /// What the latest check found, and what was noticed since.
    report: Mutex<IntegrityReport>,
}

/// Time since some point in the past, by a watch that nobody can set and that goes on while the machine sleeps.
#[cfg(target_os = "linux")]
fn stopwatch() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default())
}

/// Time since this was first asked.
#[cfg(not(target_os = "linux"))]
fn stopwatch() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

/// How far the clock may run ahead of the time that really passed since the owner opened the vault.
const MAX_JUMP: Duration = Duration::from_secs(24 * 3600);

impl Shared {
    /// The subkeys in clear, for one operation.
    pub fn keys(&self) -> Result<Subkeys, VaultError> {
        Ok(Subkeys::from_bytes(self.shield.open(&self.keys)?))
    }

    /// The data key in clear, for one operation.
    pub fn data_key(&self) -> Result<SecretKey32, VaultError> {
        let mut bytes = self.shield.open(&self.data_key)?;
        Ok(SecretKey32::take(&mut bytes))
    }

    /// Whether the vault was opened with this stanza.
    pub fn is_opened_by(&self, stanza: StanzaId) -> bool {
        self.opened_by == stanza
    }

    /// Whether nothing was found or noticed.
    pub fn report_is_intact(&self) -> bool {
        self.report().is_intact()
    }

    /// The key of what answers are derived from, in clear, for one operation.
    pub fn answer_key_under(&self, lifted: &Lifted) -> Result<AnswerKey, VaultError> {
        Ok(AnswerKey::from_bytes(lifted.open(&self.answer)?))
    }

    /// The clock, if it can be believed: one wrong reading far in the future must not end every grant for good. Where it
    /// is more than a day ahead of the time that passed since the owner opened the vault, that time counts instead, until
    /// the vault is opened anew.
    pub fn time(&self) -> Timestamp {
        let (opened, watch) = self.opened;
        let passed = opened.plus(stopwatch().saturating_sub(watch));
        let clock = self.clock.now();
        if clock > passed.plus(MAX_JUMP) { passed } else { clock }
    }

    /// The highest revision that this process has seen. Take it before reading a head.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    fn report(&self) -> MutexGuard<'_, IntegrityReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a check found. What was noticed at run time stays until the vault is opened anew.
    pub fn keep_report(&self, found: &IntegrityReport) {
        let mut report = self.report();
        let noticed = std::mem::take(&mut report.problems);
        *report = found.clone();
        for problem in noticed {
            if !report.problems.contains(&problem) {
                report.problems.push(problem);
            }
        }
    }

    /// The owner goes on with what is left: what was noticed is settled.
    pub fn forget_problems(&self) {
        self.report().problems.clear();
    }

    /// Something is wrong with the vault that no scan can find any more.
    pub fn alarm(&self, problem: String) {
        let mut report = self.report();
        if !report.problems.contains(&problem) {
            report.problems.push(problem);
        }
    }

    /// Opens the head and checks it against the header, and against the revision that was seen before it was read.
    pub fn open_head(&self, header: &[u8], sealed: &[u8], seen: u64) -> Result<Head, VaultError> {
        check_header(self, header)?;
        let head = Head::open(&self.keys()?, self.identity.vault, self.identity.epoch, sealed)?;
        if head.header_hash != Header::hash(header) {
            return Err(VaultError::Head("the header is not the one that was recorded".into()));
        }
        if head.revision.get() < seen {
            let what = format!("it was put back from revision {seen} to {}", head.revision);
            self.alarm(what.clone());
            return Err(VaultError::Head(what));
        }
        Ok(head)
    }

    /// Remembers the highest revision, and the latest time, of a head that was read or written.
    pub fn saw(&self, revision: Revision, time: Timestamp) {
        self.seen.fetch_max(revision.get(), Ordering::AcqRel);
        self.latest.fetch_max(time.as_secs(), Ordering::AcqRel);
    }
}

/// An unlocked vault. Dropping it wipes its keys and ends its writer thread.
pub struct Vault {
    /// Where a passphrase could open another vault. The first to be dropped: the store sets the times of all files last.
    pub(crate) beside: Beside,
    /// Of a hidden vault: what makes room in it. Dropped before the store for the same reason.
    pub(crate) housekeeper: Option<Housekeeper>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) secrets: Secrets,
    pub(crate) listings: Listings,
    writer: Writer<Job>,
    /// Of a hidden vault: what takes a new passphrase to the reserve, too.
    pub(crate) reserve: Option<Rekey>,
    /// Who may hold the hidden vault beside this one.
    pub(crate) holder: Holder,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("id", &self.shared.identity.vault).finish_non_exhaustive()
    }
}

/// What a vault needs from outside besides its store.
#[derive(Clone)]
pub struct Environment {
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Whether a key derivation made for tests is accepted.
    pub weak_kdf: WeakKdf,
    /// Who may hold the hidden vault of the same directory. Nobody waits for a process that does not let go.
    pub holder: Holder,
}

impl Environment {
    /// The clock `clock`, and no weak key derivation.
    pub fn new(clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), weak_kdf: WeakKdf::Refuse, holder: Holder::default() }
    }

    /// Accepts a key derivation made for tests.
    #[must_use]
    pub const fn allow_weak_kdf(mut self) -> Self {
        self.weak_kdf = WeakKdf::Allow;
        self
    }
}

/// The cost of unlocking a new vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KdfCost {
    /// Argon2id with 256 MiB, 4 iterations, 4 lanes.
    #[default]
    Standard,
    /// Another cost, for tests.
    Custom {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over it.
        iterations: u32,
        /// Lanes.
        lanes: u32,
    },
}

impl KdfCost {
    pub(crate) const fn params(self, salt: [u8; 32]) -> KdfParams {
        match self {
            Self::Standard => KdfParams::standard(salt),
            Self::Custom { memory_kib, iterations, lanes } => {
                KdfParams { memory_kib, iterations, lanes, salt }
            }
        }
    }
}

impl Vault {
    /// Writes the reserve of a new vault into `directory` and gives the KDF salt, which [`Vault::create`] takes.
    /// Call it once the directory is known to hold no vault.
    ///
    /// # Errors
    /// When there is a reserve already, or it cannot be written.
    pub fn create_reserve(directory: &Path) -> Result<[u8; 32], VaultError> {
        reserve::create(directory)
    }

    /// Makes a vault in an empty store and opens it.
    ///
    /// # Errors
    /// When the store holds a vault already or cannot be written, or the cost is refused.
    pub fn create(
        store: Arc<dyn Store>,
        passphrase: &SecretText,
        salt: [u8; 32],
        cost: KdfCost,
        environment: &Environment,
    ) -> Result<Self, VaultError> {
        let kdf = cost.params(salt);
        let derived = kdf.derive(passphrase, environment.weak_kdf)?;
        Self::create_derived(store, kdf, &derived, environment)
    }

    /// As [`create`](Self::create), with what the key derivation gave.
    pub(crate) fn create_derived(
        store: Arc<dyn Store>,
        kdf: KdfParams,
        derived: &Derived,
        environment: &Environment,
    ) -> Result<Self, VaultError> {
        let mut header = Header::new(VaultId::random()?, kdf);
        let mut raw = [0; 32];
        getrandom::getrandom(&mut raw)?;
        let data_key = SecretKey32::take(&mut raw);
        let now = environment.clock.now();
        let kek = derived.outer_kek();
        let opened_by = header.wrap(StanzaKind::Passphrase, &kek, &data_key, None, now)?;
        let header_bytes = header.to_bytes()?;
        let head = Head::new(header.epoch, Header::hash(&header_bytes));
        let keys = Subkeys::derive(&data_key, header.vault, header.epoch);
        let identity = Identity { vault: header.vault, epoch: header.epoch };
        let audit_key = new_audit_key()?.to_cbor()?;
        // One transaction: a vault without the record of its making is never seen.
        store.write(&mut |tx| {
            if tx.header()?.is_some() {
                return Err(StoreError::Exists(std::path::PathBuf::new()));
            }
            tx.set_header(&header_bytes)?;
            let mut cache = Cache::default();
            let made = Draft::new(Action::VaultCreated, Outcome::Allowed, &Origin::Cli);
            let key = Change::Put { plain: audit_key.clone(), name: None };
            let records = BTreeMap::from([((Collection::Secrets.number(), AUDIT_KEY), key)]);
            let changes = Changes { drafts: vec![made], records, ..Changes::default() };
            let head = head.clone();
            let batch = Batch {
                raw: tx,
                keys: &keys,
                identity,
                head,
                now,
                cache: &mut cache,
                before: HashMap::new(),
                names_before: HashMap::new(),
                changes,
            };
            batch.flush().map(drop).map_err(into_store_error)
        })?;
        Self::with_keys(store, &header, &keys, (&data_key, opened_by), environment)
    }

    /// Opens a vault with a passphrase or a recovery code. Runs Argon2id once, then checks every row that anything is decided by, and the end
    /// of the log, against the sealed sums.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`]; a damaged header or head; when the store cannot be read. Damaged *rows* are no
    /// error here: see [`Vault::integrity`].
    pub fn open(
        store: Arc<dyn Store>,
        passphrase: &SecretText,
        environment: &Environment,
    ) -> Result<Self, VaultError> {
        let header = read_header(&*store)?;
        let derived = header.kdf.derive(passphrase, environment.weak_kdf)?;
        Self::open_derived(store, &header, &derived, environment)
    }

    /// As [`open`](Self::open), with what the key derivation gave.
    pub(crate) fn open_derived(
        store: Arc<dyn Store>,
        header: &Header,
        derived: &Derived,
        environment: &Environment,
    ) -> Result<Self, VaultError> {
        Self::open_unwrapped(store, header, &header.unwrap_key(&derived.keks())?, environment)
    }

    /// As [`open`](Self::open), with the data key.
    pub(crate) fn open_unwrapped(
        store: Arc<dyn Store>,
        header: &Header,
        (data_key, opened_by): &(SecretKey32, StanzaId),
        environment: &Environment,
    ) -> Result<Self, VaultError> {
        let keys = open_subkeys(&*store, header, data_key)?;
        Self::with_keys(store, header, &keys, (data_key, *opened_by), environment)
    }

    pub(crate) fn with_keys(
        store: Arc<dyn Store>,
        header: &Header,
        keys: &Subkeys,
        (data_key, opened_by): (&SecretKey32, StanzaId),
        environment: &Environment,
    ) -> Result<Self, VaultError> {
        let shield = Shield::new()?;
        let sealed_data_key = shield.seal(data_key.expose())?;
        let sealed_keys = shield.seal(keys.as_bytes())?;
        let sealed_answer_key = shield.seal(keys.answer_key().as_bytes())?;
        let shared = Arc::new(Shared {
            identity: Identity { vault: header.vault, epoch: header.epoch },
            clock: Arc::clone(&environment.clock),
            shield,
            keys: sealed_keys,
            answer: sealed_answer_key,
            data_key: sealed_data_key,
            opened_by,
            seen: AtomicU64::new(0),
            latest: AtomicU64::new(0),
            opened: (environment.clock.now(), stopwatch()),
            report: Mutex::default(),
        });
        verify(&*store, &shared, Depth::Deciding)?;
        let ledger = VaultLedger::new(Arc::clone(&shared));
        let writer = Writer::spawn(Arc::clone(&store), ledger)
            .map_err(|e| VaultError::System(format!("no thread for the vault: {e}")))?;
        Ok(Self {
            beside: Beside::Nothing,
            housekeeper: None,
            shared,
            store,
            secrets: Secrets::default(),
            listings: Listings::default(),
            writer,
            reserve: None,
            holder: environment.holder.clone(),
        })
    }

    /// Which vault this is.
    pub fn id(&self) -> VaultId {
        self.shared.identity.vault
    }

    /// Whether the keys in memory are kept out of swap.
    pub fn memory_is_locked(&self) -> bool {
        self.shared.shield.is_locked()
    }

    /// What the latest check found, and what was noticed since.
    pub fn integrity(&self) -> IntegrityReport {
        self.shared.report().clone()
    }

    /// Checks every row, also of the log. Call it every few minutes in a process that runs long.
    ///
    /// # Errors
    /// When the store or the head cannot be read.
    pub fn verify(&self) -> Result<IntegrityReport, VaultError> {
        verify(&*self.store, &self.shared, Depth::Everything)
    }

    /// The highest revision that this process has seen of the vault.
    pub fn revision(&self) -> Revision {
        Revision::new(self.shared.seen())
    }

    /// The revision that the vault has now, whoever wrote last.
    ///
    /// # Errors
    /// When the store or the head cannot be read.
    pub fn current_revision(&self) -> Result<Revision, VaultError> {
        self.view_log(|log| {
            self.shared.saw(log.head.revision, log.head.max_time);
            Ok(log.head.revision)
        })
    }

    /// Refuses every use of a secret from now on, with `problem` as the reason: for what only the outside can know.
    pub fn alarm(&self, problem: String) {
        self.shared.alarm(problem);
    }

    /// The vault's time: the clock, but never earlier than what this process has seen in the vault.
    pub fn now(&self) -> Timestamp {
        let latest = Timestamp::from_secs(self.shared.latest.load(Ordering::Acquire));
        self.shared.time().max(latest)
    }

    /// Reads a consistent view, unless another process gave the vault a new data key, under which nothing would open here.
    pub(crate) fn read(&self, work: ReadWork<'_>) -> Result<(), VaultError> {
        self.store.read(&mut |tx| {
            let header = tx.header()?.and_then(|bytes| Header::from_bytes(&bytes).ok());
            if header.is_some_and(|header| header.epoch != self.shared.identity.epoch) {
                return Err(into_store_error(VaultError::Rekeyed));
            }
            work(tx)
        })?;
        Ok(())
    }

    /// Writes to the store itself, for what is more than records. The error stays what it was.
    pub(crate) fn write_whole(
        &self,
        work: &mut dyn FnMut(&mut dyn WriteTx) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        let mut failed = None;
        let outcome = self.store.write(&mut |tx| {
            work(tx).map_err(|error| {
                failed = Some(error.clone());
                into_store_error(error)
            })
        });
        outcome.map_err(|error| failed.unwrap_or_else(|| error.into()))
    }

    /// Hands a job to the write path. It runs inside the store's exclusive lock together with those that wait with it,
    /// and must do nothing slow: no network, no prompt, no signing.
    pub fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Tx<'_, '_>) -> Result<T, VaultError> + Send + 'static,
    ) -> Pending<T> {
        if let Some(housekeeper) = &self.housekeeper {
            housekeeper.look(self);
        }
        let (decide, decided) = oneshot::channel();
        let (commit, committed) = oneshot::channel();
        let job = Job {
            id: JobId::fresh(),
            run: Box::new(move |tx| {
                let decision = job(tx);
                let keep = decision.is_ok();
                // Nobody waiting is no reason not to do it.
                let _ = decide.send(decision);
                keep
            }),
            done: Box::new(move |outcome: Result<Committed, VaultError>| {
                let _ = commit.send(outcome);
            }),
        };
        // A closed writer drops the job, and with it the senders; the receivers say so.
        let _ = self.writer.submit(job);
        Pending { decided, committed }
    }

    /// Every readable record of a collection, in the order of ids, until `visit` breaks; requests that lie in bundles come
    /// after those in rows of their own, in the order of their commits, wherever `scan` begins. Unreadable ones are left out; the integrity report
    /// names them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn scan<R: Record>(
        &self,
        scan: Scan,
        visit: &mut dyn FnMut(RecordId, R) -> ControlFlow<()>,
    ) -> Result<(), VaultError> {
        if R::COLLECTION == Collection::Secrets {
            return Err(VaultError::Rejected(Fault::new(
                keep_types::ErrorCode::Bug,
                "secrets are not read as records",
            )));
        }
        let keys = self.shared.keys()?;
        let identity = self.shared.identity;
        let scan = Scan { collection: Some(R::COLLECTION.number()), ..scan };
        let mut flow = ControlFlow::Continue(());
        self.read(&mut |tx| {
            tx.scan(scan, &mut |row| {
                let id = row.id;
                let record = open_row(&keys, identity.vault, identity.epoch, &row)
                    .ok()
                    .and_then(|plain| R::from_cbor(&plain).ok());
                flow = record.map_or(ControlFlow::Continue(()), |record| visit(id, record));
                flow
            })?;
            if R::COLLECTION != BUNDLED || flow.is_break() {
                return Ok(());
            }
            tx.scan(Scan::collection(Collection::Bundles), &mut |row| {
                let plain = open_row(&keys, identity.vault, identity.epoch, &row).ok();
                let bundle = plain.and_then(|plain| Bundle::from_cbor(&plain).ok()).unwrap_or_default();
                bundle.0.iter().try_for_each(|bundled| match R::from_cbor(&bundled.plain) {
                    Ok(record) => visit(bundled.id, record),
                    Err(_) => ControlFlow::Continue(()),
                })
            })
        })?;
        Ok(())
    }

    /// All readable records of a collection.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn all<R: Record>(&self) -> Result<Vec<(RecordId, R)>, VaultError> {
        let mut found = Vec::new();
        self.scan(Scan::default(), &mut |id, record| {
            found.push((id, record));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}

/// The subkeys of the vault's data key, with those of an earlier one where they outlive it.
pub(crate) fn open_subkeys(
    store: &dyn Store,
    header: &Header,
    data_key: &SecretKey32,
) -> Result<Subkeys, VaultError> {
    let keys = Subkeys::derive(data_key, header.vault, header.epoch);
    let mut sealed = None;
    store.read(&mut |tx| {
        sealed = tx.head()?;
        Ok(())
    })?;
    // A head that does not open is told by the check that follows.
    let head = sealed.and_then(|sealed| Head::open(&keys, header.vault, header.epoch, &sealed).ok());
    Ok(match head.and_then(|head| head.carried.clone()) {
        Some(carried) => keys.with_carried(&carried),
        None => keys,
    })
}

/// The header of the vault in `store`.
pub(crate) fn read_header(store: &dyn Store) -> Result<Header, VaultError> {
    let mut found = None;
    store.read(&mut |tx| {
        found = tx.header()?;
        Ok(())
    })?;
    Header::from_bytes(&found.ok_or_else(|| VaultError::Header("it is missing".into()))?)
}
