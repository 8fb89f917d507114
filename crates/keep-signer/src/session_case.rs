//! A session inside the write lock, with everything that bounds it: its own scope, those that it narrows, and the owner's.

use std::sync::Arc;

use keep_policy::{Effect, Limits, Outlook, Policy, Reason, Scope, Session, Usage};
use keep_types::{ErrorCode, Fault, KeyId, Operation, RecordId, SessionId, Timestamp};
use keep_vault::{Tx, VaultError};

use crate::counters;
use crate::policies::followed;
use crate::sessions::{MAX_DEPTH, place, suspended};

/// A session inside the write lock, with everything that bounds it.
pub(crate) struct SessionCase {
    pub session: Arc<Session>,
    bounds: Vec<Bound>,
}

/// One of the scopes that bound a session.
struct Bound {
    usage_at: RecordId,
    policy: Policy,
    limits: Limits,
    relays: Option<Vec<String>>,
    usage: Usage,
    whose: Whose,
}

/// Whose a bound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// A session's.
    Session,
    /// The owner's for the command line and every program without a session of its own.
    CommandLine,
    /// That of all agents to whom the owner granted nothing.
    Unnamed,
}

impl SessionCase {
    /// Reads it. `None` when the session, or one that it narrows, is gone.
    pub(crate) fn open(tx: &mut Tx<'_, '_>, id: SessionId) -> Result<Option<Self>, VaultError> {
        let Some(session) = tx.get_shared::<Session>(&place(id))? else { return Ok(None) };
        let mut bounds = vec![bound(tx, &session)?];
        let mut last = Arc::clone(&session);
        while let Some(parent) = last.parent {
            if bounds.len() > MAX_DEPTH {
                return Ok(None);
            }
            let Some(parent) = tx.get_shared::<Session>(&place(parent))?.filter(|parent| !parent.suspended)
            else {
                return Ok(None);
            };
            bounds.push(bound(tx, &parent)?);
            last = parent;
        }
        if last.self_made {
            bounds.extend(command_line(tx, session.key)?);
            let natural = Session::unnamed_usage_key(session.key);
            let (usage_at, usage) = counters::of_key(tx, &natural, session.key)?;
            let limits = Session::unnamed_limits();
            let (policy, relays) = (Session::unnamed(), None);
            bounds.push(Bound { usage_at, policy, limits, relays, usage, whose: Whose::Unnamed });
        }
        Ok(Some(Self { session, bounds }))
    }

    /// The policy for the command line is about events and messages: nothing else is held to it, as for the owner.
    pub(crate) fn leave_to_others(&mut self, operation: Operation) {
        if operation == Operation::GetPublicKey || !operation.is_for_clients() {
            self.bounds.retain(|bound| bound.whose != Whose::CommandLine);
        }
    }

    /// For judging.
    pub(crate) fn scopes(&mut self) -> Vec<Scope<'_>> {
        let bounds = self.bounds.iter_mut();
        bounds.map(|Bound { policy, limits, usage, .. }| Scope { policy, limits, usage }).collect()
    }

    /// Leaves only what bounds it from outside.
    pub(crate) fn leave_itself_out(&mut self) {
        self.bounds.remove(0);
    }

    /// How many requests every bound still allows, if one limits them.
    pub(crate) fn remaining(&self, now: Timestamp) -> Option<u64> {
        let bounds = self.bounds.iter();
        bounds.filter_map(|bound| keep_policy::remaining(&bound.limits, &bound.usage, now)).min()
    }

    /// Writes down what was counted.
    pub(crate) fn keep(&self, tx: &mut Tx<'_, '_>) -> Result<(), VaultError> {
        self.bounds.iter().try_for_each(|bound| tx.put(bound.usage_at, &bound.usage))
    }

    /// Counts a refusal where all sessions that narrow the same one are counted together; says whether it is to be recorded.
    pub(crate) fn count_refusal(&mut self, now: Timestamp) -> bool {
        self.bounds.last_mut().is_some_and(|first| first.usage.count_refusal(now))
    }

    /// Why nothing of this kind can be allowed now, whatever is asked in detail.
    pub(crate) fn refusal(&mut self, operation: Operation, now: Timestamp) -> Option<Fault> {
        if self.session.suspended {
            return Some(suspended());
        }
        self.leave_to_others(operation);
        let outlook = Outlook::of(&self.scopes(), operation, None, now);
        if outlook.effect == Effect::Deny {
            let message = format!("the scope of the session does not cover {operation}");
            return Some(Fault::new(ErrorCode::RefusedByPolicy, message));
        }
        outlook.exceeded.map(|exceeded| Reason::from(exceeded).into())
    }

    /// Counts a use of everything that bounds it, if there is one left.
    pub(crate) fn count_use(&mut self, now: Timestamp) -> Result<(), Fault> {
        // The policy for the command line counts uses of the key, and this is none.
        let mut bounds = self.bounds.iter_mut().filter(|bound| bound.whose != Whose::CommandLine);
        let exceeded = bounds.find_map(|bound| bound.usage.check(&bound.limits, now).err());
        if let Some(exceeded) = exceeded {
            return Err(Reason::from(exceeded).into());
        }
        let bounds = self.bounds.iter_mut().filter(|bound| bound.whose != Whose::CommandLine);
        bounds.for_each(|bound| bound.usage.count(now));
        Ok(())
    }

    /// The relays that every bound names that names some.
    pub(crate) fn relays(&self) -> Option<Vec<String>> {
        let named = self.bounds.iter().filter_map(|bound| bound.relays.clone());
        named.reduce(|mut all, of_one| {
            all.retain(|relay| of_one.contains(relay));
            all
        })
    }

    /// Whether the owner named relays: only the first session of all is the owner's, unless an agent made that one, too.
    pub(crate) fn has_owners_relays(&self) -> bool {
        self.bounds.last().is_some_and(|first| first.relays.is_some())
    }

    /// Whether no session that the owner made stands behind it.
    pub(crate) fn is_unnamed(&self) -> bool {
        self.bounds.last().is_some_and(|first| first.whose == Whose::Unnamed)
    }

    /// Whether the owner's policy for the command line bounds it.
    pub(crate) fn is_ruled(&self) -> bool {
        self.bounds.iter().any(|bound| bound.whose == Whose::CommandLine)
    }

    /// How many sessions hang on each other here, and what bounds those that the owner did not make.
    pub(crate) fn depth(&self) -> usize {
        self.bounds.iter().filter(|bound| bound.whose != Whose::CommandLine).count()
    }
}

fn bound(tx: &mut Tx<'_, '_>, session: &Session) -> Result<Bound, VaultError> {
    let usage_at = tx.locate::<Usage>(&Session::usage_key(session.id));
    let usage = tx.get::<Usage>(&usage_at)?.unwrap_or_default();
    let (policy, limits, relays) = (session.policy.clone(), session.limits, session.relays.clone());
    Ok(Bound { usage_at, policy, limits, relays, usage, whose: Whose::Session })
}

/// The owner's policy for the command line, if there is one: it holds too for what has no session of the owner's.
fn command_line(tx: &mut Tx<'_, '_>, key: KeyId) -> Result<Option<Bound>, VaultError> {
    let Some(row) = followed(tx, Policy::CLI)? else { return Ok(None) };
    let mut policy = row.policy().cloned().ok_or(VaultError::NoSuchKey)?;
    // Counted together with what the owner's command line did.
    let (usage_at, mut usage) = counters::of_key(tx, &Usage::owner_key(key), key)?;
    usage.begin_anew(row.since());
    let (limits, relays) = (policy.bounds(row.since()).unwrap_or_default(), None);
    // It counts from when the policy was put there, not from when the session was made.
    policy.lifetime = None;
    Ok(Some(Bound { usage_at, policy, limits, relays, usage, whose: Whose::CommandLine }))
}
