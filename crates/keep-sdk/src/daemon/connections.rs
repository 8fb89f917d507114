//! The connections that a daemon serves at a time: bounded, and nobody can keep the owner out by holding them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use keep_types::{ErrorCode, Fault};

use super::transport::Stream;

/// Connections at a time.
const MAX_CONNECTIONS: usize = 256;
/// How many of them may be those of agents' sessions. The rest is the owner's.
const MAX_AGENTS: usize = 192;

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<HashMap<u64, Open>>,
}

#[derive(Debug)]
struct Open {
    stream: Stream,
    /// Whether a session of an agent is behind it.
    agent: bool,
    /// Since when nothing has been asked; `None` while something runs.
    idle_since: Option<Instant>,
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.open().len()
    }

    /// Takes a connection in. When there are too many, the one that has asked nothing for the longest time is closed for it.
    ///
    /// # Errors
    /// [`ErrorCode::StorageBusy`] when every one of them is busy.
    pub(super) fn admit(&self, number: u64, stream: &Stream) -> Result<(), Fault> {
        let stream = stream.try_clone().map_err(|_| too_many("the daemon"))?;
        let mut open = self.open();
        if open.len() >= MAX_CONNECTIONS {
            let idle = open.iter().filter_map(|(number, one)| Some((one.idle_since?, *number)));
            let (_, longest) = idle.min().ok_or_else(|| too_many("the daemon"))?;
            if let Some(closed) = open.remove(&longest) {
                closed.stream.close();
            }
        }
        open.insert(number, Open { stream, agent: false, idle_since: Some(Instant::now()) });
        Ok(())
    }

    /// Notes that a session of an agent is behind a connection.
    ///
    /// # Errors
    /// [`ErrorCode::StorageBusy`] when there are too many of those.
    pub(super) fn is_agent(&self, number: u64) -> Result<(), Fault> {
        let mut open = self.open();
        if open.values().filter(|one| one.agent).count() >= MAX_AGENTS {
            return Err(too_many("the agents' part of the daemon"));
        }
        if let Some(one) = open.get_mut(&number) {
            one.agent = true;
        }
        Ok(())
    }

    /// Notes that a connection has asked something, or has its answer. `false` when it was closed meanwhile.
    pub(super) fn busy(&self, number: u64, busy: bool) -> bool {
        let mut open = self.open();
        let Some(one) = open.get_mut(&number) else { return false };
        one.idle_since = (!busy).then(Instant::now);
        true
    }

    /// Forgets a connection that is over.
    pub(super) fn remove(&self, number: u64) {
        self.open().remove(&number);
    }

    /// Ends all of them.
    pub(super) fn close_all(&self) {
        for one in self.open().values() {
            one.stream.close();
        }
    }
}

fn too_many(whose: &str) -> Fault {
    Fault::new(ErrorCode::StorageBusy, format!("{whose} has too many connections"))
        .with_hint("end programs that hold them, or `keep lock` and unlock again")
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    fn pair() -> (Stream, Stream) {
        Stream::pair().unwrap()
    }

    #[test]
    fn the_longest_idle_one_makes_room() {
        let connections = Connections::default();
        let mut kept = Vec::new();
        for number in 0..MAX_CONNECTIONS as u64 {
            let (ours, theirs) = pair();
            connections.admit(number, &ours).unwrap();
            kept.push((ours, theirs));
        }
        // The oldest is at work, so that it is the next one's turn.
        assert!(connections.busy(0, true));
        connections.admit(1000, &pair().0).unwrap();
        assert_eq!(connections.count(), MAX_CONNECTIONS);
        assert!(!connections.busy(1, true), "the longest idle one was closed");
        assert!(connections.busy(0, false), "a busy one is left alone");
    }

    #[test]
    fn nobody_is_admitted_while_all_are_at_work() {
        let connections = Connections::default();
        let mut kept = Vec::new();
        for number in 0..MAX_CONNECTIONS as u64 {
            let (ours, theirs) = pair();
            connections.admit(number, &ours).unwrap();
            assert!(connections.busy(number, true));
            kept.push((ours, theirs));
        }
        assert_eq!(connections.admit(1000, &pair().0).unwrap_err().code(), ErrorCode::StorageBusy);
    }

    #[test]
    fn agents_leave_room_for_the_owner() {
        let connections = Connections::default();
        let mut kept = Vec::new();
        for number in 0..=MAX_AGENTS as u64 {
            let (ours, theirs) = pair();
            connections.admit(number, &ours).unwrap();
            let is_room = number < MAX_AGENTS as u64;
            assert_eq!(connections.is_agent(number).is_ok(), is_room);
            kept.push((ours, theirs));
        }
    }
}
