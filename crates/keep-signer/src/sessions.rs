//! The sessions of a vault: made, found by their tokens, revoked.

use std::sync::Arc;

use keep_audit::{Action, Draft, Outcome};
use keep_policy::{Asks, Limits, Outlook, Policy, Session, Usage};
use keep_types::{
    ErrorCode, Fault, KeyId, Name, Operation, Origin, RecordId, SecretText, SessionId, Timestamp,
};
use keep_vault::{KeyRecord, Tx, Vault, VaultError};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::SignerError;
use crate::entry::action;
use crate::policies::followed;
use crate::session_case::SessionCase;

/// What a new session is for.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its name; a session that an agent makes for itself gets one.
    pub name: Option<Name>,
    /// The key that it may use.
    pub key: KeyId,
    /// What it may do.
    pub policy: Policy,
    /// Within which bounds.
    pub limits: Limits,
    /// Where its notes may be published.
    pub relays: Option<Vec<String>>,
    /// Who decides what is asked about.
    pub asks: Asks,
}

/// Who makes a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// The owner, who grants what the session says.
    Owner,
    /// An agent without a session: the owner's policy for agents holds beside what the session says.
    Agent,
    /// An agent with this session, which narrows it.
    Session(SessionId),
}

/// A session with how often it was used.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The session.
    pub session: Session,
    /// Its counters.
    pub usage: Usage,
    /// Whether the session that it narrows is gone.
    pub orphaned: bool,
    /// Whether no session that the owner made stands behind it.
    pub unnamed: bool,
    /// Whether the owner's policy for the command line bounds it: then only the owner approves.
    pub ruled: bool,
    /// How many more uses are left, by its own limits and those of the session that it narrows.
    pub remaining: Option<u64>,
    /// Where its notes may be published, by itself and the session that it narrows.
    pub relays: Option<Vec<String>>,
    /// Whether the owner named relays in a session, this one or the one that it narrows in the end.
    pub owner_named_relays: bool,
}

/// What every token begins with, so that leaked ones are recognised.
const PREFIX: &str = "keep-session-";
/// How many sessions that narrow another one can hang on each other.
pub(crate) const MAX_DEPTH: usize = 4;
/// How many sessions can narrow one that the owner made, directly or not.
const MAX_NARROWED: usize = 100;
/// How many sessions agents can make without one of the owner's.
const MAX_SELF_MADE: usize = 1_000;
/// The most sessions that a vault holds at a time.
const MAX_SESSIONS: usize = 10_000;

/// The sessions of a vault.
#[derive(Debug, Clone)]
pub struct Sessions {
    vault: Arc<Vault>,
}

impl Sessions {
    /// The sessions of `vault`.
    pub const fn new(vault: Arc<Vault>) -> Self {
        Self { vault }
    }

    /// Makes a session; the token is told here and never again. Durable when this returns.
    ///
    /// # Errors
    /// When the name is taken, the key or the narrowed session does not exist, or the store cannot be written.
    pub fn create(&self, new: NewSession, maker: Maker) -> Result<(Session, SecretText), SignerError> {
        self.forget_over()?;
        self.check_room(maker)?;
        let token = new_token()?;
        let hash = token_hash(&token);
        let (made, _) = self.vault.submit(move |tx| create_in(tx, new, maker, hash)).wait()?;
        Ok((made.map_err(SignerError::Refused)?, token))
    }

    /// What agents make for themselves must never leave the owner without room.
    fn check_room(&self, maker: Maker) -> Result<(), SignerError> {
        let sessions: Vec<Session> =
            self.vault.all::<Session>()?.into_iter().map(|(_, session)| session).collect();
        let now = self.vault.now();
        // Those that are over are shown for a day, and take no room.
        let sessions: Vec<Session> = sessions.into_iter().filter(|session| !session.is_over(now)).collect();
        let (count, most, whose) = match maker {
            Maker::Owner => (sessions.len(), MAX_SESSIONS, ""),
            Maker::Agent => {
                (sessions.iter().filter(|s| s.self_made).count(), MAX_SELF_MADE, " of agents without one")
            }
            Maker::Session(id) => {
                let first = first_of(id, &sessions);
                (with_descendants(first, &sessions).len() - 1, MAX_NARROWED, " under this one")
            }
        };
        if count < most {
            return Ok(());
        }
        let message = format!("there are {most} sessions{whose} already");
        let fault =
            Fault::new(ErrorCode::RateLimited, message).with_hint("revoke some, or wait until they end");
        Err(SignerError::Refused(fault))
    }

    /// The session to which `token` belongs.
    ///
    /// # Errors
    /// [`ErrorCode::NotConnected`] when there is none, or it is over.
    pub fn authenticate(&self, token: &SecretText) -> Result<Session, SignerError> {
        let hash = token_hash(token);
        let id = id_of(&hash);
        let (session, _) = self.vault.submit(move |tx| tx.get::<Session>(&place(id))).wait()?;
        let session = session.filter(|session| session.token_hash.ct_eq(&hash).into());
        let session = session.ok_or_else(|| SignerError::Refused(no_session()))?;
        if session.is_over(self.vault.now()) {
            return Err(SignerError::Refused(over(&session)));
        }
        Ok(session)
    }

    /// A session as it stands now.
    ///
    /// # Errors
    /// [`ErrorCode::NotConnected`] when it was revoked.
    pub fn standing(&self, id: SessionId) -> Result<Standing, SignerError> {
        let (standing, _) = self.vault.submit(move |tx| standing_in(tx, id)).wait()?;
        standing.ok_or_else(|| SignerError::Refused(no_session()))
    }

    /// Every session, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn all(&self) -> Result<Vec<Standing>, VaultError> {
        let ids: Vec<SessionId> =
            self.vault.all::<Session>()?.into_iter().map(|(_, session)| session.id).collect();
        let (mut found, _) = self
            .vault
            .submit(move |tx| {
                let standings = ids.into_iter().map(|id| standing_in(tx, id));
                standings.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()
            })
            .wait()?;
        found.sort_by(|a, b| a.session.name.cmp(&b.session.name));
        Ok(found)
    }

    /// The session of this name.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when there is none.
    pub fn by_name(&self, name: &str) -> Result<Standing, SignerError> {
        let wanted = name.to_owned();
        let (standing, _) = self
            .vault
            .submit(move |tx| {
                let Some((_, session)) = tx.find::<Session>(&wanted)? else { return Ok(None) };
                standing_in(tx, session.id)
            })
            .wait()?;
        standing.ok_or_else(|| {
            let fault = Fault::new(ErrorCode::NotFound, format!("there is no session named {name}"));
            SignerError::Refused(fault.with_hint("see `keep agent list`"))
        })
    }

    /// Revokes a session and all that narrow it, for the owner or (with its own session as `origin`) for an agent that ends
    /// what it made: nothing more is signed for them when this returns.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn revoke(&self, id: SessionId, origin: Origin) -> Result<(), VaultError> {
        let sessions: Vec<Session> =
            self.vault.all::<Session>()?.into_iter().map(|(_, session)| session).collect();
        let ids = with_descendants(id, &sessions);
        self.vault
            .submit(move |tx| ids.into_iter().try_for_each(|id| remove(tx, id, &origin, "revoked")))
            .wait()?;
        Ok(())
    }

    /// Counts something that the agent did elsewhere, as a use of its session.
    ///
    /// # Errors
    /// The refusal, when the session is over, or a limit is reached.
    pub fn count(&self, id: SessionId) -> Result<(), SignerError> {
        let (counted, _) = self
            .vault
            .submit(move |tx| {
                let Some(mut case) = SessionCase::open(tx, id)? else { return Ok(Err(no_session())) };
                let now = tx.now();
                if case.session.suspended {
                    return Ok(Err(suspended()));
                }
                if let Err(fault) = case.count_use(now) {
                    return Ok(Err(fault));
                }
                case.keep(tx)?;
                let origin = Origin::Agent { session: id };
                let entry = Draft::new(Action::AgentCounted, Outcome::Allowed, &origin);
                tx.audit(entry.session(&case.session.name).key(case.session.key));
                Ok(Ok(()))
            })
            .wait()?;
        counted.map_err(SignerError::Refused)
    }

    /// Refuses, and records it, what cannot be allowed whatever is asked in detail: before any work is done for it.
    ///
    /// # Errors
    /// The refusal.
    pub fn expect(&self, id: SessionId, operation: Operation) -> Result<(), SignerError> {
        self.expect_if(id, operation, move |case, now| case.refusal(operation, now))
    }

    /// Refuses what the session asked for, as `fault` says it, and records it.
    ///
    /// # Errors
    /// The refusal.
    pub fn refuse(&self, id: SessionId, operation: Operation, fault: Fault) -> Result<(), SignerError> {
        self.expect_if(id, operation, move |_, _| Some(fault.clone()))
    }

    fn expect_if(
        &self,
        id: SessionId,
        operation: Operation,
        refusal: impl Fn(&mut SessionCase, Timestamp) -> Option<Fault> + Send + 'static,
    ) -> Result<(), SignerError> {
        let (expected, _) = self
            .vault
            .submit(move |tx| {
                let Some(mut case) = SessionCase::open(tx, id)? else { return Ok(Err(no_session())) };
                let now = tx.now();
                let Some(fault) = refusal(&mut case, now) else { return Ok(Ok(())) };
                if case.count_refusal(now) {
                    case.keep(tx)?;
                    let entry =
                        Draft::new(action(operation), Outcome::Refused, &Origin::Agent { session: id });
                    let entry = entry.key(case.session.key).session(&case.session.name);
                    tx.audit(entry.reason(fault.message()));
                }
                Ok(Err(fault))
            })
            .wait()?;
        expected.map_err(SignerError::Refused)
    }

    /// What the session can expect of an operation.
    ///
    /// # Errors
    /// [`ErrorCode::NotConnected`] when it was revoked.
    pub fn outlook(
        &self,
        id: SessionId,
        operation: Operation,
        kind: Option<u16>,
    ) -> Result<Outlook, SignerError> {
        let (outlook, _) = self
            .vault
            .submit(move |tx| {
                let Some(mut case) = SessionCase::open(tx, id)? else { return Ok(None) };
                let now = tx.now();
                case.leave_to_others(operation);
                Ok(Some(Outlook::of(&case.scopes(), operation, kind, now)))
            })
            .wait()?;
        outlook.ok_or_else(|| SignerError::Refused(no_session()))
    }

    /// Removes sessions whose time has been over for a day: until then `agent list` shows what became of them.
    fn forget_over(&self) -> Result<(), VaultError> {
        let old = self.vault.now().minus(std::time::Duration::from_secs(24 * 3600));
        let sessions = self.vault.all::<Session>()?;
        let over: Vec<SessionId> = sessions
            .into_iter()
            .map(|(_, session)| session)
            .filter(|s| s.is_over(old))
            .map(|s| s.id)
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        self.vault
            .submit(move |tx| over.into_iter().try_for_each(|id| remove(tx, id, &Origin::Cli, "over")))
            .wait()?;
        Ok(())
    }
}

fn create_in(
    tx: &mut Tx<'_, '_>,
    new: NewSession,
    maker: Maker,
    token_hash: [u8; 32],
) -> Result<Result<Session, Fault>, VaultError> {
    let key_place = RecordId::from_bytes(*new.key.as_bytes());
    if tx.get_shared::<KeyRecord>(&key_place)?.is_none() {
        return Err(VaultError::NoSuchKey);
    }
    let id = id_of(&token_hash);
    let (mut base, mut parent, mut key, mut asks) = ("agent".to_owned(), None, new.key, new.asks);
    if let Maker::Session(narrowed) = maker {
        let Some(case) = SessionCase::open(tx, narrowed)? else { return Ok(Err(no_session())) };
        if case.session.suspended {
            return Ok(Err(no_session()));
        }
        if case.depth() >= MAX_DEPTH {
            let message = "a session that narrows so many others cannot be narrowed further";
            return Ok(Err(Fault::new(ErrorCode::InvalidInput, message)));
        }
        (base, parent, key) = (case.session.name.clone(), Some(narrowed), case.session.key);
        // Who decides is the owner's to say.
        asks = case.session.asks;
    }
    // Where the owner rules over programs without a session, none of them says yes in the owner's place.
    if maker == Maker::Agent && followed(tx, Policy::CLI)?.is_some() {
        asks = Asks::Vault;
    }
    let hex = id.to_string();
    let name = new.name.map_or_else(|| format!("{base}/{}", &hex[..8]), |name| name.as_str().to_owned());
    let session = Session {
        id,
        name,
        token_hash,
        key,
        policy: new.policy,
        limits: new.limits,
        created_at: tx.now(),
        parent,
        self_made: maker == Maker::Agent,
        asks,
        suspended: false,
        relays: new.relays,
    };
    tx.put(place(id), &session)?;
    if maker == Maker::Agent {
        let Some(mut case) = SessionCase::open(tx, id)? else { return Ok(Err(no_session())) };
        // Making it is no use of its own.
        case.leave_itself_out();
        if let Err(fault) = case.count_use(tx.now()) {
            tx.delete::<Session>(&place(id))?;
            return Ok(Err(fault));
        }
        case.keep(tx)?;
    }
    let agent = |name: &str| {
        Draft::new(Action::AgentAdmitted, Outcome::Allowed, &Origin::Agent { session: id }).session(name)
    };
    let by = match maker {
        Maker::Owner => Draft::new(Action::AgentAdmitted, Outcome::Allowed, &Origin::Cli),
        // There is nobody else whose name it could have.
        Maker::Agent => agent(&session.name),
        Maker::Session(_) => agent(&base),
    };
    tx.audit(by.key(key).reason(format!("session {}", session.name)));
    Ok(Ok(session))
}

fn standing_in(tx: &mut Tx<'_, '_>, id: SessionId) -> Result<Option<Standing>, VaultError> {
    let Some(session) = tx.get::<Session>(&place(id))? else { return Ok(None) };
    let usage_at = tx.locate::<Usage>(&Session::usage_key(id));
    let usage = tx.get::<Usage>(&usage_at)?.unwrap_or_default();
    let now = tx.now();
    let case = SessionCase::open(tx, id)?;
    let orphaned = case.is_none();
    let unnamed = case.as_ref().is_none_or(SessionCase::is_unnamed);
    let ruled = case.as_ref().is_some_and(SessionCase::is_ruled);
    let remaining = case.as_ref().and_then(|case| case.remaining(now));
    let remaining = if orphaned || session.suspended { Some(0) } else { remaining };
    let relays = case.as_ref().map_or_else(|| Some(Vec::new()), SessionCase::relays);
    let owner_named_relays = case.as_ref().is_some_and(SessionCase::has_owners_relays);
    Ok(Some(Standing { session, usage, orphaned, unnamed, ruled, remaining, relays, owner_named_relays }))
}

fn remove(tx: &mut Tx<'_, '_>, id: SessionId, origin: &Origin, why: &str) -> Result<(), VaultError> {
    let Some(session) = tx.get::<Session>(&place(id))? else { return Ok(()) };
    tx.delete::<Session>(&place(id))?;
    tx.delete::<Usage>(&tx.locate::<Usage>(&Session::usage_key(id)))?;
    let entry = Draft::new(Action::AgentRevoked, Outcome::Allowed, origin).key(session.key);
    let entry = if *origin == Origin::Cli { entry } else { entry.session(&session.name) };
    tx.audit(entry.reason(format!("session {} {why}", session.name)));
    Ok(())
}

/// `id` and every session that narrows it, directly or not.
fn with_descendants(id: SessionId, sessions: &[Session]) -> Vec<SessionId> {
    let mut ids = vec![id];
    let mut at = 0;
    while let Some(parent) = ids.get(at).copied() {
        let children = sessions.iter().filter(|session| session.parent == Some(parent)).map(|s| s.id);
        ids.extend(children.filter(|child| *child != id));
        at += 1;
        if ids.len() > MAX_SESSIONS {
            break;
        }
    }
    ids
}

/// The session that `id` narrows, directly or not, and that narrows none itself.
fn first_of(id: SessionId, sessions: &[Session]) -> SessionId {
    let mut first = id;
    for _ in 0..MAX_DEPTH {
        match sessions.iter().find(|session| session.id == first).and_then(|session| session.parent) {
            Some(parent) => first = parent,
            None => break,
        }
    }
    first
}

pub(crate) fn place(id: SessionId) -> RecordId {
    RecordId::from_bytes(*id.as_bytes())
}

fn new_token() -> Result<SecretText, VaultError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::getrandom(&mut *secret)?;
    let hex = Zeroizing::new(hex::encode(*secret));
    Ok(SecretText::new([PREFIX, &hex].concat()))
}

fn token_hash(token: &SecretText) -> [u8; 32] {
    Sha256::digest(token.expose().trim().as_bytes()).into()
}

/// Where the session of a token lies: half of the hash, so that it is found without looking at all of them.
fn id_of(hash: &[u8; 32]) -> SessionId {
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    SessionId::from_bytes(id)
}

pub(crate) fn no_session() -> Fault {
    Fault::new(ErrorCode::NotConnected, "there is no such session: it was revoked, or never made")
        .with_hint("ask the owner for a session (`keep agent create`)")
}

pub(crate) fn suspended() -> Fault {
    keep_policy::Reason::Suspended.into()
}

fn over(session: &Session) -> Fault {
    let end = session.limits.expires.map(|end| format!(" at {end}")).unwrap_or_default();
    Fault::new(ErrorCode::NotConnected, format!("the session {} ended{end}", session.name))
        .with_hint("ask the owner for another one (`keep agent create`)")
}
