//! Files that something else holds for a moment: on Windows a program that looks through them, or a backup of the system, keeps
//! others from opening or cutting them meanwhile. SQLite tries again on its own files, and so does what goes past it.

use std::io;
use std::thread::sleep;
use std::time::Duration;

/// How often it is tried, and how much longer each pause is than the one before: 1.1 seconds in all, about as SQLite does.
const TRIES: u32 = 10;
const STEP: Duration = Duration::from_millis(25);

/// Does something with a file; where somebody else has it just now, again after a while.
pub(super) fn again<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut tried = 1;
    loop {
        match work() {
            Err(error) if tried < TRIES && (is_held(&error) || may_be_held(&error)) => sleep(STEP * tried),
            done => return done,
        }
        tried += 1;
    }
}

/// Whether it fails for as long as somebody else has the file.
pub(super) fn is_held(error: &io::Error) -> bool {
    /// Sharing violation, lock violation, and a file of which a part is mapped.
    const HELD: [i32; 3] = [32, 33, 1224];
    let on_windows = cfg!(windows) && error.raw_os_error().is_some_and(|code| HELD.contains(&code));
    error.kind() == io::ErrorKind::ResourceBusy || on_windows
}

/// Windows also denies access to what somebody else is about to let go.
fn may_be_held(error: &io::Error) -> bool {
    cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_tried_again_and_not_for_ever() {
        for held in [0, 1, TRIES - 1, TRIES, u32::MAX] {
            let mut tried = 0;
            let outcome = again(|| {
                tried += 1;
                if tried > held { Ok(tried) } else { Err(io::ErrorKind::ResourceBusy.into()) }
            });
            assert_eq!((outcome.is_ok(), tried), (held < TRIES, TRIES.min(held.saturating_add(1))), "{held}");
        }
        let mut tried = 0;
        let outcome: io::Result<()> = again(|| {
            tried += 1;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!((outcome.unwrap_err().kind(), tried), (io::ErrorKind::StorageFull, 1));
    }
}
