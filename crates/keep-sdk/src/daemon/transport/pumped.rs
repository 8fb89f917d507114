//! A connection that is asynchronous below and is used by threads that wait: what a named pipe needs, where nothing else ends a
//! read that waits, or tells that the other side has gone while nothing is read.
//!
//! Two tasks carry the bytes. One reads ahead, up to a limit, so that an end is noticed at once; the other one writes.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use zeroize::{Zeroize, Zeroizing};

use crate::call::{Wiped, extend_wiped};

/// How much is read ahead, in bytes.
const AHEAD: usize = 64 << 10;

/// One end of a connection. Clones are handles of the same connection, which ends with the last of them.
#[derive(Clone)]
pub struct Pumped(Arc<Ends>);

impl std::fmt::Debug for Pumped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pumped(…)")
    }
}

struct Ends {
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Ends {
    fn drop(&mut self) {
        // Everything was written when a write returned: nothing gets lost with the tasks.
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// For threads that wait.
    changed: Condvar,
    /// For the task that reads: there is room, or it is over.
    room: Notify,
    /// For the task that writes: there is work, or it is over.
    work: Notify,
}

#[derive(Default)]
struct State {
    /// What was read ahead, and how much of it was taken.
    inbox: Wiped,
    taken: usize,
    /// Why nothing more comes: the end, or a failure.
    ended: Option<Result<(), ErrorKind>>,
    /// What is being written.
    outbox: Option<Wiped>,
    /// Why nothing more can be written.
    failed: Option<ErrorKind>,
    closed: bool,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl State {
    fn waiting(&self) -> usize {
        self.inbox.len() - self.taken
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `is_so`, or for this long; says which.
    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        time: Option<Duration>,
        is_so: impl Fn(&State) -> bool,
    ) -> (MutexGuard<'a, State>, bool) {
        let began = Instant::now();
        while !is_so(&state) {
            let Some(time) = time else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else {
                return (state, false);
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        (state, true)
    }

    fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
        self.room.notify_one();
        self.work.notify_one();
    }

    /// Whether the task that reads goes on.
    fn next_read(&self) -> Next<()> {
        let state = self.state();
        match (state.closed, state.waiting()) {
            (true, _) => Next::Over,
            (false, 0) => Next::Now(()),
            (false, _) => Next::Wait,
        }
    }

    /// What came of reading into `buffer`. Says whether nothing more comes.
    fn take_read(&self, read: io::Result<usize>, buffer: &[u8]) -> bool {
        let mut state = self.state();
        match read {
            Ok(0) => state.ended = Some(Ok(())),
            Ok(length) => extend_wiped(&mut state.inbox, &buffer[..length]),
            // The other side has closed its end.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                state.ended = Some(Ok(()));
            }
            Err(error) => state.ended = Some(Err(error.kind())),
        }
        let is_over = state.ended.is_some();
        drop(state);
        self.changed.notify_all();
        is_over
    }

    /// What the task that writes is to write.
    fn next_write(&self) -> Next<Wiped> {
        let mut state = self.state();
        if state.closed {
            return Next::Over;
        }
        state.outbox.as_mut().map_or(Next::Wait, |bytes| Next::Now(std::mem::take(bytes)))
    }

    fn take_written(&self, written: io::Result<()>) {
        let mut state = self.state();
        state.outbox = None;
        state.failed = written.err().map(|error| error.kind());
        drop(state);
        self.changed.notify_all();
    }
}

/// What a task does next.
enum Next<T> {
    Now(T),
    Wait,
    Over,
}

impl Pumped {
    /// Carries bytes to and from `stream` on this runtime.
    pub fn new<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S, runtime: &Handle) -> Self {
        let shared = Arc::<Shared>::default();
        let (reading, writing) = split(stream);
        let tasks = [
            runtime.spawn(read_ahead(reading, Arc::clone(&shared))),
            runtime.spawn(write_out(writing, Arc::clone(&shared))),
        ];
        Self(Arc::new(Ends { shared, tasks }))
    }

    /// Ends the connection for every handle.
    pub fn close(&self) {
        self.0.shared.close();
    }

    /// How long reading waits for the first byte; for ever without it.
    pub fn set_read_timeout(&self, time: Option<Duration>) {
        self.0.shared.state().read_timeout = time;
    }

    /// How long writing waits for the other side; for ever without it.
    pub fn set_write_timeout(&self, time: Option<Duration>) {
        self.0.shared.state().write_timeout = time;
    }

    /// Whether the connection is open and nothing is there to be read.
    pub fn is_quiet(&self) -> bool {
        let state = self.0.shared.state();
        state.waiting() == 0 && state.ended.is_none() && !state.closed
    }

    /// Whether nobody is at the other end any more.
    pub fn has_hung_up(&self) -> bool {
        let state = self.0.shared.state();
        state.waiting() == 0 && (state.ended.is_some() || state.closed)
    }

    fn send(&self, bytes: Wiped) -> io::Result<()> {
        let shared = &self.0.shared;
        let state = shared.state();
        let time = state.write_timeout;
        let is_over = |state: &State| state.closed || state.failed.is_some();
        let (mut state, mut in_time) =
            shared.wait(state, time, |state| state.outbox.is_none() || is_over(state));
        if in_time && !is_over(&state) {
            state.outbox = Some(bytes);
            shared.work.notify_one();
            let waited = shared.wait(state, time, |state| state.outbox.is_none() || is_over(state));
            (state, in_time) = waited;
            match state.failed {
                Some(kind) => return Err(kind.into()),
                None if in_time && !state.closed => return Ok(()),
                None => {}
            }
        }
        drop(state);
        // Nobody knows how much of it went out: nothing else may follow.
        self.close();
        Err(if in_time { ErrorKind::BrokenPipe } else { ErrorKind::WouldBlock }.into())
    }
}

impl Read for Pumped {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let shared = &self.0.shared;
        let state = shared.state();
        let time = state.read_timeout;
        let (mut state, in_time) =
            shared.wait(state, time, |state| state.waiting() > 0 || state.ended.is_some() || state.closed);
        let length = state.waiting().min(into.len());
        if length > 0 {
            let taken = state.taken;
            into[..length].copy_from_slice(&state.inbox[taken..taken + length]);
            state.taken += length;
            if state.waiting() == 0 {
                state.inbox.zeroize();
                state.taken = 0;
                shared.room.notify_one();
            }
            return Ok(length);
        }
        match state.ended {
            Some(Err(kind)) => Err(kind.into()),
            _ if in_time => Ok(0),
            _ => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Pumped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        let length = bytes.len();
        self.send(bytes)?;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn read_ahead<S: AsyncRead>(mut from: ReadHalf<S>, shared: Arc<Shared>) {
    let mut buffer = Zeroizing::new(vec![0; AHEAD]);
    loop {
        match shared.next_read() {
            Next::Over => return,
            Next::Wait => {
                shared.room.notified().await;
                continue;
            }
            Next::Now(()) => {}
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            () = shared.room.notified() => continue,
        };
        if shared.take_read(read, &buffer) {
            return;
        }
    }
}

async fn write_out<S: AsyncWrite>(mut to: WriteHalf<S>, shared: Arc<Shared>) {
    loop {
        let bytes = match shared.next_write() {
            // The stream ends with both halves of it.
            Next::Over => return,
            Next::Wait => {
                shared.work.notified().await;
                continue;
            }
            Next::Now(bytes) => bytes,
        };
        let Some(written) = unless_closed(pin!(to.write_all(&bytes)), &shared).await else { return };
        shared.take_written(written);
    }
}

/// What writing comes to, unless the connection is closed meanwhile.
async fn unless_closed<T>(mut writing: Pin<&mut impl Future<Output = T>>, shared: &Shared) -> Option<T> {
    loop {
        tokio::select! {
            written = &mut writing => return Some(written),
            // Also what announced this very work may still be pending.
            () = shared.work.notified() => {
                if shared.state().closed {
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn pair(room: usize) -> (Runtime, Pumped, Pumped) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (one, other) = duplex(room);
        let ends = [one, other].map(|end| Pumped::new(end, runtime.handle()));
        let [one, other] = ends;
        (runtime, one, other)
    }

    /// Waits until something holds, for as long as it takes on a loaded machine.
    fn until(holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < LONG);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn bytes_arrive_in_order_both_ways() {
        let (_runtime, mut one, mut other) = pair(100);
        let sent: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        let expected = sent.clone();
        let answering = std::thread::spawn(move || {
            let mut read = vec![0; expected.len()];
            other.read_exact(&mut read).unwrap();
            assert_eq!(read, expected);
            other.write_all(b"got").unwrap();
            other.write_all(b" it").unwrap();
            assert_eq!(other.read(&mut [0; 8]).unwrap(), 0, "the other side is gone");
        });
        for part in sent.chunks(777) {
            one.write_all(part).unwrap();
        }
        let mut answer = [0; 6];
        one.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"got it");
        drop(one);
        answering.join().unwrap();
    }

    #[test]
    fn an_end_is_noticed_without_reading() {
        let (_runtime, mut one, mut other) = pair(100);
        assert!(one.is_quiet() && !one.has_hung_up());
        other.write_all(b"last words").unwrap();
        until(|| !one.is_quiet());
        assert!(!one.has_hung_up());
        let copy = other.clone();
        drop(other);
        assert!(copy.is_quiet(), "one handle is left");
        drop(copy);
        let mut words = String::new();
        one.read_to_string(&mut words).unwrap();
        assert_eq!(words, "last words");
        assert!(one.has_hung_up() && !one.is_quiet());
    }

    #[test]
    fn closing_ends_a_read_and_a_write_that_wait() {
        let (_runtime, one, mut other) = pair(100);
        let (mut reads, mut writes) = (one.clone(), one.clone());
        let reading = std::thread::spawn(move || reads.read(&mut [0; 8]));
        // More than there is room for: nobody reads at the other side beyond its limit.
        let writing = std::thread::spawn(move || writes.write_all(&vec![1; 4 * AHEAD]));
        until(|| other.0.shared.state().waiting() > 0);
        one.close();
        assert_eq!(reading.join().unwrap().unwrap(), 0);
        assert!(writing.join().unwrap().is_err());
        assert!(one.has_hung_up());
        // The end comes after what was sent before it.
        other.read_to_end(&mut Vec::new()).unwrap();
        assert!(other.has_hung_up());
    }

    #[test]
    fn time_runs_out() {
        let (_runtime, mut one, other) = pair(100);
        one.set_read_timeout(Some(Duration::from_millis(5)));
        assert_eq!(one.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(one.is_quiet(), "it can be read later");
        one.set_write_timeout(Some(Duration::from_millis(5)));
        assert_eq!(one.write(&vec![1; 4 * AHEAD]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(one.has_hung_up(), "what was begun cannot be gone on with");
        drop(other);
    }
}
