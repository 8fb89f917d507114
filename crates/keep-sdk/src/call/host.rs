//! What calls run on.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use keep_audit::{Decider, Draft};
use keep_policy::{Asks, PlaintextClasses, Prompt};
use keep_signer::{Approver, Decision, Elsewhere, Headless, Reply, Sessions, Settled, Signer};
use keep_types::{
    Answer, ErrorCode, Fault, Intent, KeyId, Origin, PublicKey, RecordId, Request, RequestId, Revision,
    SecretText, SessionId, Timestamp,
};
use keep_vault::{Addition, DamageAccepted, Environment, IntegrityReport, KeyRecord, Tx, Vault, VaultError};
use tokio::runtime::Runtime;

use super::Call;
use crate::agent::{ApprovalView, interrupt};
use crate::approvals::Approvals;
use crate::high_water::HighWater;
use crate::views::npub;
use crate::{DamageView, DamagedKind, Home, RollbackView};

/// An unlocked vault with its owner's signer, its place, its clock, and what this process keeps beside it.
///
/// Front ends see it only as the argument of a call: what reaches secrets is not public. It is the owner's, or, made with
/// [`for_session`](Self::for_session), that of an agent's session, for which only the calls run that are open to sessions.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
    caller: Caller,
    /// Whether whoever asked has gone meanwhile, where that can be known.
    hung_up: Option<HungUp>,
}

/// Says whether nobody waits for an answer any more.
pub(crate) type HungUp = Arc<dyn Fn() -> bool + Send + Sync>;

/// How long an agent waits for the owner.
const OWNER_TAKES: Duration = Duration::from_secs(120);

/// How long a person may think about what a program of the owner asks for, where each use is confirmed.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often the daemon looks whether whoever waits is still there.
const LOOK: Duration = Duration::from_millis(250);

/// Who makes calls.
#[derive(Clone)]
pub(crate) enum Caller {
    /// The owner, in this process or over a socket.
    Owner,
    /// The owner's user, as far as the program can tell; a person confirms each use of a secret.
    Confirmed(Arc<dyn Approver>),
    /// An agent with a session of its own.
    Session(Asking),
}

/// A session that asks, and what is known of the person who decides.
#[derive(Clone)]
pub(crate) struct Asking {
    id: SessionId,
    /// What a person at the agent said, where that counts.
    approved: Option<bool>,
    /// What a person at the agent has to say before it goes on.
    question: Arc<Mutex<Option<ApprovalView>>>,
    /// Whether the owner can be waited for: `keep approve` reaches this process.
    waits: bool,
    /// Whether a person at the vault confirms each use: then no session that nobody granted decides for itself.
    confirmed: bool,
}

struct Shared {
    vault: Arc<Vault>,
    owner: Arc<Signer>,
    home: Home,
    high_water: Option<HighWater>,
    environment: Environment,
    /// One derivation at a time: each takes a lot of memory.
    deriving: Mutex<()>,
    states: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    runtime: OnceLock<Runtime>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("home", &self.shared.home).finish_non_exhaustive()
    }
}

impl Host {
    pub(crate) fn new(
        vault: Vault,
        home: Home,
        environment: Environment,
        high_water: Option<HighWater>,
    ) -> Self {
        let vault = Arc::new(vault);
        let owner = Arc::new(Signer::new(Arc::clone(&vault), Arc::new(Headless)));
        let shared = Shared {
            vault,
            owner,
            home,
            high_water,
            environment,
            deriving: Mutex::default(),
            states: Mutex::default(),
            runtime: OnceLock::new(),
        };
        Self { shared: Arc::new(shared), caller: Caller::Owner, hung_up: None }
    }

    /// The same vault for somebody else.
    pub(crate) fn for_caller(&self, caller: Caller) -> Self {
        Self { shared: Arc::clone(&self.shared), caller, hung_up: self.hung_up.clone() }
    }

    /// The same vault, for the agent that has this token.
    ///
    /// # Errors
    /// [`ErrorCode::NotConnected`] when no session has it.
    pub fn for_session(&self, token: &SecretText) -> Result<Self, Fault> {
        let session = Sessions::new(Arc::clone(self.vault())).authenticate(token)?;
        let asking = Asking {
            id: session.id,
            approved: None,
            question: Arc::default(),
            waits: false,
            confirmed: false,
        };
        Ok(self.for_caller(Caller::Session(asking)))
    }

    /// The session that asks; `None` for the owner.
    pub const fn session(&self) -> Option<SessionId> {
        match &self.caller {
            Caller::Session(asking) => Some(asking.id),
            Caller::Owner | Caller::Confirmed(_) => None,
        }
    }

    /// Whether a person at the vault confirms each use of a secret by this asker.
    pub(crate) const fn is_confirmed(&self) -> bool {
        matches!(self.caller, Caller::Confirmed(_))
    }

    /// Whether the asker may make this call at all. A session may make those that are open to sessions, and no other.
    ///
    /// # Errors
    /// [`ErrorCode::RefusedByPolicy`] when not.
    pub fn check_open<C: Call>(&self) -> Result<(), Fault> {
        if self.session().is_none() || C::OPEN_TO_SESSIONS {
            return Ok(());
        }
        let message = format!("the session of an agent cannot ask for {}", C::NAME);
        Err(Fault::new(ErrorCode::RefusedByPolicy, message).with_hint("only the owner can do this"))
    }

    /// Records the unlocking, and sounds the alarm if the vault is older than it was.
    pub(crate) fn opened(&self, failed: u32) {
        self.check_rollback();
        if !self.vault().integrity().is_intact() {
            return;
        }
        if let Err(error) = self.vault().record_unlock(Origin::Cli, failed) {
            tracing::warn!(%error, "the unlocking could not be recorded");
        }
        self.note_revision();
    }

    /// The mark is read first: another process may write and note it at any time, and what it notes is in the vault already.
    fn check_rollback(&self) {
        let Some(seen) = self.noted_revision() else { return };
        let vault = self.vault();
        if seen <= vault.revision().get() {
            return;
        }
        let revision = vault.current_revision().unwrap_or_else(|_| vault.revision()).get();
        if seen > revision {
            vault.alarm(put_back(revision, seen));
        }
    }

    fn noted_revision(&self) -> Option<u64> {
        self.shared.high_water.as_ref().and_then(|mark| mark.read(self.vault()))
    }

    /// Notes the vault's revision outside of it. Call it now and then in a process that runs long; it is also done at the end.
    pub fn note_revision(&self) {
        self.shared.note_revision();
    }

    /// Goes on with a vault that is older than it was on this machine.
    pub(crate) fn accept_rollback(&self) -> Result<RollbackView, Fault> {
        let revision = self.vault().revision().get();
        let (Some(mark), Some(seen)) = (&self.shared.high_water, self.noted_revision()) else {
            return Err(not_put_back());
        };
        let expected = put_back(revision, seen);
        let mut problems = self.vault().verify()?.problems;
        problems.extend(self.vault().integrity().problems);
        if !problems.contains(&expected) {
            return Err(not_put_back());
        }
        problems.retain(|problem| *problem != expected);
        if !problems.is_empty() {
            return Err(VaultError::Tampered(problems.join("; ")).into());
        }
        let reason = format!("revision {revision} after {seen}");
        let suspended =
            keep_signer::accept_rollback(self.vault(), Revision::new(seen), reason, nobody_unlocks)?;
        mark.raise(self.vault());
        let (policies, persons) = self.to_check()?;
        Ok(RollbackView { revision, seen, suspended, policies, persons })
    }

    /// Goes on with what is left of a vault that something else than Keep changed.
    pub(crate) fn accept_damage(&self) -> Result<DamageView, Fault> {
        let (accepted, suspended) = keep_signer::accept_damage(self.vault(), &with_damage()?)?;
        // That it is older than it was here is another question, with another answer.
        let revision = self.vault().revision().get();
        match self.noted_revision().filter(|seen| *seen > revision) {
            Some(seen) => self.vault().alarm(put_back(revision, seen)),
            None => self.note_revision(),
        }
        let (policies, persons) = self.to_check()?;
        let DamageAccepted { problems, removed, log_removed, kinds, signer } = accepted;
        let kinds = kinds.into_iter().map(DamagedKind::from).collect();
        let signer = signer.map(|signer| signer.to_string());
        Ok(DamageView { problems, removed, log_removed, kinds, signer, suspended, policies, persons })
    }

    /// Names the policies and persons that the owner has to look at.
    fn to_check(&self) -> Result<(Vec<String>, Vec<String>), Fault> {
        let policies = keep_signer::Policies::new(Arc::clone(self.vault()));
        let named = policies.list()?.into_iter().map(|policy| policy.name).collect();
        Ok((named, policies.persons()?.into_iter().map(|person| person.name).collect()))
    }

    /// The unlocked vault.
    pub(crate) fn vault(&self) -> &Arc<Vault> {
        &self.shared.vault
    }

    /// The owner's way to secrets.
    pub(crate) fn owner(&self) -> &Signer {
        &self.shared.owner
    }

    /// Where the vault is.
    pub fn home(&self) -> &Home {
        &self.shared.home
    }

    /// The vault's time.
    pub fn now(&self) -> Timestamp {
        self.shared.vault.now()
    }

    /// What the latest check of the vault found.
    pub fn integrity(&self) -> IntegrityReport {
        self.shared.vault.integrity()
    }

    /// Adding to or removing from a damaged vault could hide what happened to it.
    ///
    /// # Errors
    /// [`ErrorCode::Integrity`] with what is wrong.
    pub fn check_intact(&self) -> Result<(), Fault> {
        let report = self.shared.vault.integrity();
        if report.is_intact() {
            return Ok(());
        }
        Err(VaultError::Tampered(report.problems.join("; ")).into())
    }

    /// Whether this passphrase opens the vault. Costs one derivation.
    ///
    /// # Errors
    /// [`ErrorCode::WrongPassphrase`].
    pub(crate) fn check_passphrase(&self, passphrase: &SecretText) -> Result<(), Fault> {
        let _one_at_a_time = self.shared.deriving.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.vault().check_passphrase(passphrase, self.shared.environment.weak_kdf)?)
    }

    /// Which vault of the directory a passphrase opens. One run of Argon2id, as with [`check_passphrase`](Self::check_passphrase).
    ///
    /// # Errors
    /// [`ErrorCode::WrongPassphrase`] when it opens none.
    pub(crate) fn which_opens(&self, passphrase: &SecretText) -> Result<keep_vault::Which, Fault> {
        let _one_at_a_time = self.shared.deriving.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.vault().which_opens(passphrase, self.shared.environment.weak_kdf)?)
    }

    /// Writes an entry of the audit log that belongs to no other change. Durable when this returns.
    ///
    /// # Errors
    /// When the vault cannot be written.
    pub(crate) fn record(&self, entry: Draft) -> Result<(), Fault> {
        let pending = self.vault().submit(move |tx| {
            tx.audit(entry);
            Ok(())
        });
        pending.wait()?;
        Ok(())
    }

    /// Uses a secret in the caller's name, through the pipeline: judged, recorded, then done.
    ///
    /// # Errors
    /// The refusal; when the use fails or its record cannot be written.
    pub(crate) fn answer(&self, key: KeyId, intent: Intent) -> Result<Answer, Fault> {
        match &self.caller {
            Caller::Owner => {
                let request = self.request(Origin::Cli, key, intent)?;
                // Only a policy for the command line ever asks the owner.
                Ok(self.shared.owner.handle_asking(request, |prompt| Some(self.ask_owner(None, prompt)))?)
            }
            Caller::Confirmed(approver) => {
                let request = self.request(Origin::Cli, key, intent)?;
                let decide = |prompt: &Prompt| self.ask_approver(&**approver, prompt);
                Ok(self.shared.owner.handle_confirmed(request, decide)?)
            }
            Caller::Session(asking) => {
                let standing = Sessions::new(Arc::clone(self.vault())).standing(asking.id)?;
                let vault_asks = (asking.confirmed && standing.unnamed) || standing.ruled;
                let asks = if vault_asks { Asks::Vault } else { standing.session.asks };
                let request = self.request(Origin::Agent { session: asking.id }, key, intent)?;
                let decide = |prompt: &Prompt| self.decide(asks, asking, prompt);
                Ok(self.shared.owner.handle_asking(request, decide)?)
            }
        }
    }

    /// Has the policy of the command line, and a person where each use is confirmed, agree to a use of a key that another bunker
    /// holds; recorded when this returns. Gives the plaintexts that may be handed on.
    ///
    /// # Errors
    /// The refusal; for sessions always.
    pub(crate) fn allow_elsewhere(
        &self,
        (key, identity): (KeyId, PublicKey),
        method: &str,
        intent: Intent,
    ) -> Result<PlaintextClasses, Fault> {
        let request = self.request(Origin::Cli, key, intent)?;
        let elsewhere = Elsewhere { request, identity, method: method.to_owned() };
        let owner = &self.shared.owner;
        match &self.caller {
            Caller::Owner => {
                Ok(owner.allow_elsewhere(elsewhere, false, |prompt| self.ask_owner(None, prompt))?)
            }
            Caller::Confirmed(approver) => {
                Ok(owner.allow_elsewhere(elsewhere, true, |prompt| self.ask_approver(&**approver, prompt))?)
            }
            Caller::Session(_) => {
                let message = "a session cannot use a key that another bunker holds";
                Err(Fault::new(ErrorCode::RefusedByPolicy, message))
            }
        }
    }

    /// The decision about what policy asks, in a session's name.
    fn decide(&self, asks: Asks, asking: &Asking, prompt: &Prompt) -> Option<Decision> {
        match (asks, asking.approved) {
            (Asks::Client, Some(approved)) => {
                Some(Decision::Settled(Settled::once(approved, Decider::Client)))
            }
            (Asks::Client, None) => {
                let question = ApprovalView { npub: self.npub(prompt.key), ..prompt.into() };
                *asking.question.lock().unwrap_or_else(PoisonError::into_inner) = Some(question);
                None
            }
            (Asks::Vault, _) => Some(self.ask_owner(Some(asking), prompt)),
        }
    }

    /// The public key that this key has, as people know it.
    fn npub(&self, key: KeyId) -> Option<String> {
        let place = RecordId::from_bytes(*key.as_bytes());
        let (record, _) = self.vault().submit(move |tx| tx.get::<KeyRecord>(&place)).wait().ok()?;
        record.map(|record| npub(&record.nostr_key()))
    }

    /// Waits for the owner, where there is somebody to wait for.
    fn ask_owner(&self, asking: Option<&Asking>, prompt: &Prompt) -> Decision {
        let queue = self.state::<Approvals>();
        if !asking.is_some_and(|asking| asking.waits) && !queue.available() {
            return Decision::Unavailable;
        }
        self.wait_for(&*queue, OWNER_TAKES, prompt)
    }

    /// Asks somebody who confirms each use, where that person can be asked.
    fn ask_approver(&self, approver: &dyn Approver, prompt: &Prompt) -> Decision {
        if approver.available() { self.wait_for(approver, PATIENCE, prompt) } else { Decision::Unavailable }
    }

    /// Waits for a decision for so long, and as long as somebody waits for the answer.
    fn wait_for(&self, approver: &dyn Approver, takes: Duration, prompt: &Prompt) -> Decision {
        let Ok(runtime) = self.runtime() else { return Decision::Unavailable };
        let (reply, decision) = Reply::pair();
        approver.ask(prompt.clone(), reply);
        let decided = runtime.block_on(async {
            // With the receiver the question goes, too.
            tokio::select! {
                decided = tokio::time::timeout(takes, decision) => decided.ok().and_then(Result::ok),
                () = self.left_alone() => None,
            }
        });
        // What was given up in the same moment as it was decided is not done either.
        decided.filter(|_| !self.has_hung_up()).unwrap_or(Decision::Unavailable)
    }

    /// Whether nobody waits for the answer any more: at the other end of a connection, or in this process.
    pub(crate) fn has_hung_up(&self) -> bool {
        self.hung_up.as_ref().is_some_and(|hung_up| hung_up()) || interrupt::is_given_up()
    }

    /// Returns when nobody waits for the answer any more. It is the thread that runs the call which must ask for this.
    pub(crate) fn left_alone(&self) -> impl Future<Output = ()> + Send {
        let (given_up, hung_up) = (interrupt::given_up(), self.hung_up.clone());
        let gone = async move {
            let Some(hung_up) = hung_up else { return std::future::pending().await };
            while !hung_up() {
                tokio::time::sleep(LOOK).await;
            }
        };
        async move {
            tokio::select! {
                () = given_up => {}
                () = gone => {}
            }
        }
    }

    /// Waits for what another one answers, as long as somebody waits for that here.
    ///
    /// # Errors
    /// [`ErrorCode::RefusedByPerson`] when nobody does any more; what `work` says; when the system gives no threads.
    pub(crate) fn wait_remotely<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let left_alone = self.left_alone();
        self.runtime()?.block_on(async {
            tokio::select! {
                biased;
                () = left_alone => Err(interrupt::unwanted()),
                outcome = work => outcome,
            }
        })
    }

    /// The same, in a process that `keep approve` reaches, as long as the asker has not hung up.
    pub(crate) fn waiting(mut self, hung_up: HungUp) -> Self {
        if let Caller::Session(asking) = &mut self.caller {
            asking.waits = true;
        }
        self.hung_up = Some(hung_up);
        self
    }

    /// The same, where a person at the vault confirms each use, or not.
    pub(crate) fn confirmed(mut self, confirmed: bool) -> Self {
        if let Caller::Session(asking) = &mut self.caller {
            asking.confirmed = confirmed;
        }
        self
    }

    /// The same, with what a person at the agent said.
    pub(crate) fn deciding(&self, approved: Option<bool>) -> Self {
        let mut caller = self.caller.clone();
        if let Caller::Session(asking) = &mut caller {
            (asking.approved, asking.question) = (approved, Arc::default());
        }
        self.for_caller(caller)
    }

    /// What a person at the agent has to be asked, if that is why a use was not made.
    pub(crate) fn take_question(&self) -> Option<ApprovalView> {
        match &self.caller {
            Caller::Session(asking) => asking.question.lock().unwrap_or_else(PoisonError::into_inner).take(),
            Caller::Owner | Caller::Confirmed(_) => None,
        }
    }

    fn request(&self, origin: Origin, key: KeyId, intent: Intent) -> Result<Request, VaultError> {
        Ok(Request { id: RequestId::random()?, origin, key, intent, asked_at: self.now() })
    }

    /// What this process keeps beside the vault under the type `T`, made when it is first asked for: queues of questions,
    /// pools of nonces. It ends with the unlocked vault.
    pub fn state<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut states = self.shared.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        // The map is keyed by the type, so the fallback is never taken.
        Arc::clone(state).downcast().unwrap_or_default()
    }

    /// The runtime for calls that use the network, started when it is first asked for. Calls without network never start
    /// one.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn runtime(&self) -> Result<&Runtime, Fault> {
        if let Some(runtime) = self.shared.runtime.get() {
            return Ok(runtime);
        }
        let made = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let made =
            made.map_err(|error| Fault::new(ErrorCode::Bug, format!("cannot start the runtime: {error}")))?;
        Ok(self.shared.runtime.get_or_init(|| made))
    }
}

/// What is written with a rollback that is accepted: what was chosen about locking and asking may be older than it was, and no program
/// unlocks the vault until its owner did.
fn nobody_unlocks(tx: &mut Tx<'_, '_>) -> Result<(), VaultError> {
    crate::daemon::be_careful(tx)
}

/// The same for damage, after which it may be gone.
fn with_damage() -> Result<Vec<Addition>, VaultError> {
    Ok(vec![crate::daemon::careful()?])
}

/// What the alarm says, with the way out.
fn put_back(revision: u64, seen: u64) -> String {
    format!(
        "this vault is at revision {revision}, but revision {seen} was in use on this machine: an older copy was put in its \
         place, a copy of it was used here, or the file keep.db-wal is missing. Put the newer files back, or go on from here with `keep audit \
         accept-rollback`"
    )
}

fn not_put_back() -> Fault {
    Fault::new(ErrorCode::InvalidInput, "this vault is not older than it was on this machine")
        .with_hint("there is nothing to accept")
}

impl Shared {
    fn note_revision(&self) {
        if let Some(mark) = &self.high_water {
            mark.raise(&self.vault);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.note_revision();
        // The last clone may be dropped inside a runtime, where waiting for another one's end is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
