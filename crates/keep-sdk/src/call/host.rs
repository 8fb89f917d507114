//! What calls run on.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use keep_signer::{Headless, Signer};
use keep_types::{Answer, ErrorCode, Fault, Intent, KeyId, Origin, Request, RequestId, Timestamp};
use keep_vault::{IntegrityReport, Vault, VaultError};
use tokio::runtime::Runtime;

use crate::Home;

/// An unlocked vault with its owner's signer, its place, its clock, and what this process keeps beside it.
///
/// Front ends see it only as the argument of a call: what reaches secrets is not public.
pub struct Host {
    vault: Arc<Vault>,
    owner: Arc<Signer>,
    home: Home,
    states: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    runtime: OnceLock<Runtime>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Host {
    pub(crate) fn new(vault: Vault, home: Home) -> Self {
        let vault = Arc::new(vault);
        let owner = Arc::new(Signer::new(Arc::clone(&vault), Arc::new(Headless)));
        Self { vault, owner, home, states: Mutex::default(), runtime: OnceLock::new() }
    }

    /// The unlocked vault.
    pub(crate) const fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Where the vault is.
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// The vault's time.
    pub fn now(&self) -> Timestamp {
        self.vault.now()
    }

    /// What the latest check of the vault found.
    pub fn integrity(&self) -> IntegrityReport {
        self.vault.integrity()
    }

    /// Adding to or removing from a damaged vault could hide what happened to it.
    ///
    /// # Errors
    /// [`ErrorCode::Integrity`] with what is wrong.
    pub fn check_intact(&self) -> Result<(), Fault> {
        let report = self.vault.integrity();
        if report.is_intact() {
            return Ok(());
        }
        Err(VaultError::Tampered(report.problems.join("; ")).into())
    }

    /// Uses a secret in the caller's name, through the pipeline: judged, recorded, then done.
    ///
    /// # Errors
    /// The refusal; when the use fails or its record cannot be written.
    pub(crate) fn answer(&self, key: KeyId, intent: Intent) -> Result<Answer, Fault> {
        let id = RequestId::random().map_err(VaultError::from)?;
        let request = Request { id, origin: Origin::Cli, key, intent, asked_at: self.now() };
        Ok(self.owner.handle_blocking(request)?)
    }

    /// What this process keeps beside the vault under the type `T`, made when it is first asked for: queues of questions,
    /// pools of nonces. It ends with the unlocked vault.
    pub fn state<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
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
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let made = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let made =
            made.map_err(|error| Fault::new(ErrorCode::Bug, format!("cannot start the runtime: {error}")))?;
        Ok(self.runtime.get_or_init(|| made))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The last clone may be dropped inside a runtime, where waiting for another one's end is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
