//! Keep as a library: open a vault, manage keys, sign, run a bunker.
//!
//! [`Keep`] is an unlocked vault in this process. Its sub-clients are small handles: [`Keys`], [`Sign`], [`Audit`] and
//! [`Bunker`]. Views ([`KeyView`], [`AuditEntryView`], …) are serde types and the same in every front end; failures are
//! [`Fault`]s with a stable [`ErrorCode`].
//!
//! ```
//! use keep_sdk::{EventTemplate, Home, Keep, KdfCost, Name, Options, SecretText};
//!
//! # fn main() -> Result<(), keep_sdk::Fault> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let home = directory.path().join("vault");
//! let passphrase = SecretText::from("correct horse battery staple".to_owned());
//! // A real vault takes `Options::default()`; this one is cheap to unlock, for the example.
//! let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
//! let options = Options::default().allow_weak_kdf().kdf_cost(cheap);
//!
//! let keep = Keep::create(Home::new(home)?, &passphrase, &options)?;
//! let key = keep.keys().generate(Name::new("main").unwrap())?;
//! let event = keep.sign().event(&key, EventTemplate::new(1, "hello", vec![], 1_700_000_000))?;
//! assert!(event.verify().is_ok());
//! assert_eq!(keep.audit().verify()?.entries, 3);
//! # Ok(())
//! # }
//! ```
//!
//! What judges requests and what reaches secrets is not shown here; a front end cannot go around them:
//!
//! ```compile_fail
//! use keep_sdk::{Permit, Signer, Vault};
//! ```
#![forbid(unsafe_code)]

pub mod agent;
mod approvals;
mod audit;
mod backup;
pub mod bitcoin;
mod bunker;
pub mod call;
pub mod daemon;
pub mod frost;
mod high_water;
mod home;
mod info;
mod keep;
mod keys;
mod place;
mod policies;
mod publish;
mod remote;
mod rescue;
mod reserve;
mod secret_input;
mod secrets;
mod sign;
mod unlocking;
mod views;

pub use agent::{Agent, Agents};
pub use approvals::{Approvals, Attendance, Inbox, Lasting, PendingView, VoteView};
pub use audit::{
    AnchorView, Audit, AuditCountView, AuditExportView, AuditFileReport, AuditFilter, AuditStatsView,
    FingerprintView, RetentionView, RollbackView, SignerView, parse_when, verify_audit_file,
};
pub use backup::{
    BackupFile, BackupKey, BackupLock, BackupNeeds, BackupSummary, Backups, LockedBackup, RestoreTarget,
    RestoreView, new_backup_passphrase, restore as restore_backup, verify as verify_backup,
};
pub use bitcoin::Bitcoin;
pub use bunker::manage::{
    AppView, GrantDuration, GrantTerms, MovedView, Nip46, Permitted, RevokedView, StoppedView, TokenTerms,
    TokenView,
};
pub use bunker::pairing::{ConnectTerms, ConnectedView};
pub use bunker::{Activity, ApprovalPage, Bunker, BunkerOptions, Offer, Serving};
pub use frost::Frost;
pub use home::Home;
pub use info::{DamageView, DamagedKind, FormatView, VaultInfo};
pub use keep::{Keep, Options};
pub use keys::{KeyPath, Keys, MnemonicKey, MnemonicView};
pub use policies::{
    Difference, Explained, Past, PersonView, Policies, PolicyCheck, PolicyShown, PolicyView, Question,
    SimulationView,
};
pub use publish::publish;
pub use remote::{RemoteKeys, RemoteSigner};
pub use rescue::Rescue;
pub use reserve::ReserveResetView;
pub use secret_input::SecretInput;
pub use secrets::{SecretItemView, SecretValue, Secrets};
pub use sign::Sign;
pub use unlocking::{NewCode, RotationPlan, RotationView, StanzaView, Unlocking};
pub use views::{
    AuditEntryView, AuditReport, BunkerView, DaemonStatus, Done, KeyView, PublishView, SignedEvent,
};

pub use keep_audit::{Decider, Surface};
pub use keep_net::{
    EmbeddedRelay, InboxLimits, NetError, PoolOptions, RelayOptions, RelayPolicy, RelayPool, RelayState,
    RelayStatus, RelayUrl, Transport,
};
pub use keep_nip46::client::V3Context;
pub use keep_nip46::{BunkerUri, NostrConnectUri, Permissions};
pub use keep_policy::{
    Breadth, Budget, Builtin, Explanation, Limits, LimitsDocument, Policy, PolicyDocument, Prompt, Remember,
    SpendLimits, cut, kind_name, meaning, named, parse_duration, short,
};
pub use keep_signer::{Approver, Decision, Headless, Reply, Settled};
pub use keep_types::{
    Blame, Clock, DisplayText, ErrorCode, Event, EventTemplate, Fault, Name, NameError, Origin, PublicKey,
    RequestId, Scheme, SecretKey32, SecretText, SpendFacts, SystemClock, Timestamp, are, counted,
};
pub use keep_vault::{HIDDEN_CAPACITY, IntegrityReport, KdfCost};

/// The present time by the operating system's clock.
fn now() -> Timestamp {
    SystemClock.now()
}
