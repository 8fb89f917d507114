//! The present run of this process.

use std::sync::OnceLock;

/// What tells this run of the process from every other one: grants for a session hold only in the run that made them.
pub fn current_run() -> [u8; 16] {
    static RUN: OnceLock<[u8; 16]> = OnceLock::new();
    *RUN.get_or_init(|| {
        let mut id = [0; 16];
        // Without random bytes nothing is signed at all; the clock and the process number still tell runs apart.
        if getrandom::getrandom(&mut id).is_err() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            id[..8].copy_from_slice(&now.as_secs().to_be_bytes());
            id[8..12].copy_from_slice(&std::process::id().to_be_bytes());
        }
        id
    })
}
