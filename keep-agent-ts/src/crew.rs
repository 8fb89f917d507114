//! Threads that wait: for the daemon to start, for a bunker's answer.
//!
//! That can take as long as a person takes, so it must hold up neither JavaScript nor the few threads that Node reads
//! files with. Threads start when all others are busy, and end when nobody needs them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The most threads. The daemon takes 256 connections.
const MOST: usize = 64;
/// How long a thread stays without work.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a thread does.
pub type Work = Box<dyn FnOnce() + Send>;

static CREW: Crew = Crew { board: Mutex::new(Board::empty()), news: Condvar::new() };

struct Crew {
    board: Mutex<Board>,
    news: Condvar,
}

struct Board {
    work: VecDeque<Work>,
    /// Threads that there are.
    threads: usize,
    /// Those of them that wait for work.
    idle: usize,
}

/// Lets a thread do `work`.
///
/// # Errors
/// When there is no thread, and none can be started.
pub fn run(work: Work) -> io::Result<()> {
    let mut board = CREW.board();
    if board.idle <= board.work.len() && board.threads < MOST {
        let hired = thread::Builder::new().name("keep-agent".to_owned()).spawn(|| CREW.serve());
        match hired {
            Ok(_) => board.threads += 1,
            Err(error) if board.threads == 0 => return Err(error),
            // Those who are there do it.
            Err(_) => {}
        }
    }
    board.work.push_back(work);
    drop(board);
    CREW.news.notify_one();
    Ok(())
}

impl Crew {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        while let Some(work) = self.next() {
            work();
        }
    }

    /// The next work; `None` when the thread is to end.
    fn next(&self) -> Option<Work> {
        let mut board = self.board();
        board.idle += 1;
        let nothing = |board: &mut Board| board.work.is_empty();
        let waited = self.news.wait_timeout_while(board, PATIENCE, nothing);
        let (mut board, _) = waited.unwrap_or_else(PoisonError::into_inner);
        board.idle -= 1;
        let work = board.work.pop_front();
        if work.is_none() {
            board.threads -= 1;
        }
        work
    }
}

impl Board {
    const fn empty() -> Self {
        Self { work: VecDeque::new(), threads: 0, idle: 0 }
    }
}
