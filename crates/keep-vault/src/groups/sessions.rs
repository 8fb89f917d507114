//! Nonces that wait for their one use, in the memory of this process and nowhere else.
//!
//! They wait encrypted, under the vault's shield: its random block lies in locked pages that no core dump holds and that are
//! zeros in a forked child, so there, in swap and in a dump, no nonce can be opened.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use keep_frost::sign::{LocalSession, Parked};
use keep_frost::{FrostError, SessionId};
use keep_types::KeyId;

use crate::VaultError;
use crate::shield::{Shield, Shielded};

/// How long unused nonces live.
const TTL: Duration = Duration::from_secs(600);
/// How far wall clock and stopwatch may drift apart before nonces are dropped: the machine slept, or was restored from a
/// snapshot, and then another copy of it may hold the same nonces.
const MAX_DRIFT: Duration = Duration::from_secs(2);
/// The most sessions that wait at once, and so the most signatures that one transaction may need.
pub const MAX_SESSIONS: usize = 1024;

struct Waiting {
    group: KeyId,
    session: Parked<Shielded<64>>,
    made: (SystemTime, Instant),
}

/// Sessions by their ids. A process that starts has none.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<[u8; 32], Waiting>>);

impl Sessions {
    /// Keeps the nonces of sessions: of all, or of none where there is no room.
    pub fn keep(&self, shield: &Shield, group: KeyId, sessions: Vec<LocalSession>) -> Result<(), VaultError> {
        let mut parked = Vec::with_capacity(sessions.len());
        for session in sessions {
            parked.push(session.park(|secret| shield.seal(secret))?);
        }
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        has_room(&mut waiting, parked.len())?;
        let made = (SystemTime::now(), Instant::now());
        for session in parked {
            waiting.insert(*session.session().as_bytes(), Waiting { group, session, made });
        }
        Ok(())
    }

    /// Whether so many more sessions could wait.
    pub fn expect_room(&self, more: usize) -> Result<(), FrostError> {
        has_room(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), more)
    }

    /// Drops the nonces of these sessions.
    pub fn drop_all(&self, sessions: &[SessionId]) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for session in sessions {
            waiting.remove(session.as_bytes());
        }
    }

    /// Moves the nonces of a session out, for the one answer that is made with them.
    pub fn take(
        &self,
        shield: &Shield,
        group: KeyId,
        session: &[u8; 32],
    ) -> Result<LocalSession, VaultError> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = waiting.remove(session).ok_or(FrostError::UnknownNonce)?;
        drop(waiting);
        if entry.group != group {
            return Err(FrostError::WrongGroup.into());
        }
        if !is_fresh(entry.made) {
            return Err(FrostError::ExpiredNonce.into());
        }
        let lifted = shield.lift();
        entry.session.unpark(|sealed| lifted.open(sealed))
    }

    /// Drops the nonces of all sessions of a group, whose shares have changed.
    pub fn forget(&self, group: KeyId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, entry| entry.group != group);
    }
}

fn has_room(waiting: &mut HashMap<[u8; 32], Waiting>, more: usize) -> Result<(), FrostError> {
    waiting.retain(|_, entry| is_fresh(entry.made));
    if waiting.len() + more > MAX_SESSIONS { Err(FrostError::PoolFull(MAX_SESSIONS)) } else { Ok(()) }
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
        let (sessions, shield) = (Sessions::default(), Shield::new().unwrap());
        let says = |error: VaultError| keep_types::Fault::from(error).message().to_owned();
        let session = open();
        let id = *session.session().as_bytes();
        sessions.keep(&shield, here, vec![session]).unwrap();
        let taken = sessions.take(&shield, here, &id).unwrap();
        assert_eq!(taken.burns().len(), 2);
        let shares: Vec<_> = dealt.shares.iter().collect();
        taken.finish(&dealt.group, &shares).unwrap();
        let gone = sessions.take(&shield, here, &id).unwrap_err();
        assert_eq!(says(gone), FrostError::UnknownNonce.to_string());
        let session = open();
        let id = *session.session().as_bytes();
        sessions.keep(&shield, here, vec![session]).unwrap();
        let foreign = sessions.take(&shield, there, &id).unwrap_err();
        assert_eq!(says(foreign), FrostError::WrongGroup.to_string());
        // Under another shield, as a forked child has it, the nonces are of no use, and gone.
        let session = open();
        let id = *session.session().as_bytes();
        sessions.keep(&shield, here, vec![session]).unwrap();
        assert!(says(sessions.take(&Shield::new().unwrap(), here, &id).unwrap_err()).contains("damaged"));
        assert!(sessions.take(&shield, here, &id).is_err());
        for _ in 0..MAX_SESSIONS {
            sessions.keep(&shield, here, vec![open()]).unwrap();
        }
        let full = sessions.keep(&shield, here, vec![open()]).unwrap_err();
        assert_eq!(says(full), FrostError::PoolFull(MAX_SESSIONS).to_string());
        assert!(sessions.expect_room(1).is_err());
        sessions.forget(here);
        sessions.expect_room(MAX_SESSIONS).unwrap();
        assert!(sessions.expect_room(MAX_SESSIONS + 1).is_err());
        let (one, two) = (open(), open());
        let ids = [one.session(), two.session()];
        sessions.keep(&shield, here, vec![one, two]).unwrap();
        sessions.drop_all(&ids[..1]);
        assert!(sessions.take(&shield, here, ids[0].as_bytes()).is_err());
        assert!(sessions.take(&shield, here, ids[1].as_bytes()).is_ok());
        assert!(sessions.keep(&shield, here, vec![open()]).is_ok());
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
