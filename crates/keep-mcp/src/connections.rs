//! The connections of the HTTP server: bounded, and nobody keeps its clients out by holding them.
//!
//! Every program of the machine can connect. Until a connection has shown the bearer token it is a stranger's. Each stranger has
//! its time to show the token; who has had it makes room for the next, the oldest first. As long as all have theirs, nobody else is
//! let in: whoever connects then waits outside, in the order in which the system took them, and nobody is put out for others.
//! A program that opens connections faster than the system's queue is emptied can still make clients wait; it needs to run on
//! this machine for that, and to go on doing so.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// How many connections of strangers there may be at a time.
const MAX_STRANGERS: usize = 256;
/// How many connections of clients.
const MAX_CLIENTS: usize = 128;
/// How long a stranger stays at least. Whoever has the token shows it at once; a busy machine may take a while to let it.
const STAYS: Duration = Duration::from_millis(500);

/// The open connections.
pub struct Connections {
    strangers: Mutex<Strangers>,
    /// Somebody has gone, or is no stranger any more.
    room: Notify,
    clients: Arc<Semaphore>,
    stays: Duration,
}

#[derive(Default)]
struct Strangers {
    /// The oldest first.
    open: VecDeque<Stranger>,
    next: u64,
}

struct Stranger {
    number: u64,
    since: Instant,
    task: AbortHandle,
}

impl Default for Connections {
    fn default() -> Self {
        Self::staying(STAYS)
    }
}

impl Connections {
    fn staying(stays: Duration) -> Self {
        let clients = Arc::new(Semaphore::new(MAX_CLIENTS));
        Self { strangers: Mutex::default(), room: Notify::new(), clients, stays }
    }

    /// Waits until another one can be let in, for which a stranger that had its time may have to go.
    pub async fn room(&self) {
        loop {
            let room = self.room.notified();
            let Some(left) = self.make_room() else { return };
            tokio::select! {
                () = room => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    /// How long the oldest stranger still has, if nobody can be let in before.
    fn make_room(&self) -> Option<Duration> {
        let strangers = self.strangers();
        if strangers.open.len() < MAX_STRANGERS {
            return None;
        }
        let left = self.stays.saturating_sub(strangers.open.front()?.since.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        Self::put_out(strangers);
        None
    }

    /// Puts the oldest stranger out that has had its time, where the system has no room for another connection.
    pub fn make_way(&self) {
        let strangers = self.strangers();
        if strangers.open.front().is_some_and(|oldest| oldest.since.elapsed() >= self.stays) {
            Self::put_out(strangers);
        }
    }

    fn put_out(mut strangers: MutexGuard<'_, Strangers>) {
        let oldest = strangers.open.pop_front();
        drop(strangers);
        if let Some(oldest) = oldest {
            oldest.task.abort();
        }
    }

    /// Serves a connection, as a stranger's until [`Known::is_client`] is asked.
    pub fn admit<F>(self: &Arc<Self>, attend: impl FnOnce(Known) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut strangers = self.strangers();
        let number = strangers.next;
        strangers.next += 1;
        let known = Known { connections: Arc::clone(self), number, place: Mutex::default() };
        let task = tokio::spawn(attend(known)).abort_handle();
        strangers.open.push_back(Stranger { number, since: Instant::now(), task });
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, number: u64) {
        self.strangers().open.retain(|open| open.number != number);
        self.room.notify_one();
    }
}

/// What is known of one connection.
pub struct Known {
    connections: Arc<Connections>,
    number: u64,
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Known {
    /// Notes that the connection has shown the token. `false` when there are too many that have.
    pub fn is_client(&self) -> bool {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            *place = Arc::clone(&self.connections.clients).try_acquire_owned().ok();
            if place.is_some() {
                self.connections.forget(self.number);
            }
        }
        place.is_some()
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.connections.forget(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    /// A connection that stays, and what is known of it; whether it was put out shows in the other half.
    fn stays(connections: &Arc<Connections>) -> (Arc<Known>, oneshot::Receiver<()>) {
        let (inside, outside) = oneshot::channel();
        let mut shown = None;
        connections.admit(|known| {
            let known = Arc::new(known);
            shown = Some(Arc::clone(&known));
            async move {
                let _known = known;
                let _inside: oneshot::Sender<()> = inside;
                std::future::pending::<()>().await;
            }
        });
        (shown.unwrap(), outside)
    }

    fn is_out(outside: &mut oneshot::Receiver<()>) -> bool {
        matches!(outside.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }

    /// Far longer than the test takes.
    const LONG: Duration = Duration::from_secs(3_600);

    async fn is_full(connections: &Connections) -> bool {
        timeout(Duration::from_millis(20), connections.room()).await.is_err()
    }

    #[tokio::test]
    async fn nobody_is_put_out_before_its_time() {
        let connections = Arc::new(Connections::staying(LONG));
        let mut inside = Vec::new();
        for _ in 0..MAX_STRANGERS {
            connections.room().await;
            inside.push(stays(&connections));
        }
        assert!(is_full(&connections).await, "others wait outside");
        assert!(inside.iter_mut().all(|(_, outside)| !is_out(outside)));
        // Who shows the token makes room, also for somebody who waits for it already.
        let waiting = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.room().await }
        });
        tokio::task::yield_now().await;
        assert!(inside[7].0.is_client());
        timeout(LONG, waiting).await.unwrap().unwrap();
        inside.push(stays(&connections));
        assert!(is_full(&connections).await);
        assert!(inside.iter_mut().all(|(_, outside)| !is_out(outside)));
    }

    #[tokio::test]
    async fn where_the_system_has_no_room_the_oldest_makes_way_if_it_had_its_time() {
        for (time, expected) in [(LONG, [false, false]), (Duration::ZERO, [true, false])] {
            let connections = Arc::new(Connections::staying(time));
            let mut inside = [stays(&connections), stays(&connections)];
            connections.make_way();
            // Those who are put out go when they have a turn.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(inside.each_mut().map(|(_, outside)| is_out(outside)), expected);
        }
    }

    #[tokio::test]
    async fn who_had_its_time_makes_room_the_oldest_first_and_clients_never() {
        let connections = Arc::new(Connections::staying(Duration::ZERO));
        let mut inside = Vec::new();
        for _ in 0..MAX_STRANGERS {
            connections.room().await;
            inside.push(stays(&connections));
        }
        assert!(inside[0].0.is_client());
        for _ in 0..4 {
            connections.room().await;
            inside.push(stays(&connections));
        }
        // Those who are put out go when they have a turn.
        timeout(LONG, async {
            while inside.iter_mut().filter_map(|(_, outside)| is_out(outside).then_some(())).count() < 3 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        let out: Vec<usize> = (0..inside.len()).filter(|&at| is_out(&mut inside[at].1)).collect();
        assert_eq!(out, [1, 2, 3]);
        for _ in 0..2 * MAX_STRANGERS {
            connections.room().await;
            inside.push(stays(&connections));
        }
        assert_eq!(connections.strangers().open.len(), MAX_STRANGERS);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!is_out(&mut inside[0].1), "a client was put out for strangers");
    }

    #[tokio::test]
    async fn clients_are_bounded() {
        let connections = Arc::new(Connections::default());
        let inside: Vec<_> = (0..=MAX_CLIENTS).map(|_| stays(&connections)).collect();
        let known: Vec<bool> = inside.iter().map(|(known, _)| known.is_client()).collect();
        assert_eq!(known.iter().filter(|known| **known).count(), MAX_CLIENTS);
        assert!(!known[MAX_CLIENTS] && inside[0].0.is_client(), "asked again, it is the same client");
    }
}
