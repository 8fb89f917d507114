//! Room in a vault that cannot grow: its log is pruned when it takes too much.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keep_store::{MemoryStore, Room};
use keep_types::{Origin, Timestamp};

use crate::{Vault, VaultError};

/// Whether the log takes so much that pruning it is due: eight tenths are full, and three of them with the log.
const fn is_due(room: Room) -> bool {
    let tenth = room.capacity / 10;
    room.used > 8 * tenth && room.log > 3 * tenth
}

/// Looks after the room of an open vault that cannot grow.
pub(crate) struct Housekeeper {
    rows: MemoryStore,
    /// Whether it is at work: what it writes comes by here, too.
    busy: AtomicBool,
    /// How large the log must be before it is worth while to try again.
    again_at: AtomicUsize,
}

impl Housekeeper {
    pub(super) fn new(rows: MemoryStore) -> Self {
        Self { rows, busy: AtomicBool::new(false), again_at: AtomicUsize::new(0) }
    }

    /// Removes the older half of the log if room is needed, and leaves a signed checkpoint. A log that cannot be pruned is no
    /// reason to refuse work that still fits.
    pub(crate) fn look(&self, vault: &Vault) {
        let Some(room) = self.rows.room().filter(|room| is_due(*room)) else { return };
        if room.log < self.again_at.load(Ordering::Acquire) || self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let removed = make(vault).unwrap_or_else(|error| {
            tracing::debug!(%error, "no room was made");
            0
        });
        let again = if removed > 0 { 0 } else { room.log + room.capacity / 50 };
        self.again_at.store(again, Ordering::Release);
        self.busy.store(false, Ordering::Release);
    }
}

/// How many entries were removed.
fn make(vault: &Vault) -> Result<u64, VaultError> {
    if !vault.integrity().is_intact() {
        return Ok(0);
    }
    let cutoff = half_time(vault)?;
    Ok(vault.prune(cutoff, Origin::Cli, &mut |_| {})?.removed())
}

/// The latest time before which at most half of the log lies.
fn half_time(vault: &Vault) -> Result<Timestamp, VaultError> {
    let (mut low, mut high) = (0, vault.now().as_secs().saturating_add(1));
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        let plan = vault.plan_prune(Timestamp::from_secs(middle))?;
        if plan.removed() <= plan.kept {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Timestamp::from_secs(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_log_that_takes_much_of_a_full_vault_is_pruned() {
        let due = |used, log| is_due(Room { used, log, capacity: 1_000 });
        assert!(due(850, 400));
        assert!(!due(750, 700) && !due(850, 200));
    }
}
