//! Nonces that wait for their one use, in the memory of this process and nowhere else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use keep_frost::FrostError;
use keep_frost::sign::LocalSession;
use keep_types::KeyId;

/// How long unused nonces live.
const TTL: Duration = Duration::from_secs(600);
/// How far wall clock and stopwatch may drift apart before nonces are dropped: the machine slept, or was restored from a
/// snapshot, and then another copy of it may hold the same nonces.
const MAX_DRIFT: Duration = Duration::from_secs(2);
/// The most sessions that wait at once.
const MAX_WAITING: usize = 256;

struct Waiting {
    group: KeyId,
    session: LocalSession,
    made: (SystemTime, Instant),
}

/// Sessions by their ids. A process that starts has none.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<[u8; 32], Waiting>>);

impl Sessions {
    /// Keeps the nonces of a session.
    pub fn keep(&self, group: KeyId, session: LocalSession) -> Result<(), FrostError> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, entry| is_fresh(entry.made));
        if waiting.len() >= MAX_WAITING {
            return Err(FrostError::PoolFull(MAX_WAITING));
        }
        let made = (SystemTime::now(), Instant::now());
        waiting.insert(*session.session().as_bytes(), Waiting { group, session, made });
        Ok(())
    }

    /// Moves the nonces of a session out, for the one answer that is made with them.
    pub fn take(&self, group: KeyId, session: &[u8; 32]) -> Result<LocalSession, FrostError> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = waiting.remove(session).ok_or(FrostError::UnknownNonce)?;
        if entry.group != group {
            return Err(FrostError::WrongGroup);
        }
        if is_fresh(entry.made) { Ok(entry.session) } else { Err(FrostError::ExpiredNonce) }
    }

    /// Drops the nonces of all sessions of a group, whose shares have changed.
    pub fn forget(&self, group: KeyId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, entry| entry.group != group);
    }
}

fn is_fresh((wall, watch): (SystemTime, Instant)) -> bool {
    let passed = watch.elapsed();
    // A wall clock that was set back counts as drift.
    let Ok(by_wall) = wall.elapsed() else { return false };
    passed < TTL && by_wall.abs_diff(passed) <= MAX_DRIFT
}

#[cfg(test)]
mod tests {
    use keep_frost::sign::Proposal;
    use keep_frost::{KeySpec, Message, Suite, dealer};
    use rand_core::OsRng;

    use super::*;

    #[test]
    fn nonces_are_given_out_once_and_to_their_group_only() {
        let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 2, &mut OsRng).unwrap();
        let open = || {
            let message = Message::Raw(vec![1; 32]);
            let proposal = Proposal::new(&dealt.group, KeySpec::plain(), message, &mut OsRng).unwrap();
            let shares: Vec<_> = dealt.shares.iter().collect();
            LocalSession::new(&dealt.group, &shares, proposal, &mut OsRng).unwrap()
        };
        let (here, there) = (KeyId::random().unwrap(), KeyId::random().unwrap());
        let sessions = Sessions::default();
        let session = open();
        let id = *session.session().as_bytes();
        sessions.keep(here, session).unwrap();
        assert!(sessions.take(here, &id).is_ok());
        assert_eq!(sessions.take(here, &id).unwrap_err(), FrostError::UnknownNonce);
        let session = open();
        let id = *session.session().as_bytes();
        sessions.keep(here, session).unwrap();
        assert_eq!(sessions.take(there, &id).unwrap_err(), FrostError::WrongGroup);
        for _ in 0..MAX_WAITING {
            sessions.keep(here, open()).unwrap();
        }
        assert_eq!(sessions.keep(here, open()).unwrap_err(), FrostError::PoolFull(MAX_WAITING));
        sessions.forget(here);
        assert!(sessions.keep(here, open()).is_ok());
    }

    #[test]
    fn nonces_end_with_time_and_with_a_jump_of_the_clock() {
        let now = (SystemTime::now(), Instant::now());
        assert!(is_fresh(now));
        assert!(!is_fresh((now.0 - Duration::from_secs(3), now.1)));
        assert!(!is_fresh((now.0 + Duration::from_secs(9), now.1)));
        let Some(then) = now.1.checked_sub(TTL) else { return };
        assert!(!is_fresh((now.0 - TTL, then)));
    }
}
