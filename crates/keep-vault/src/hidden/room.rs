//! Room in a vault that cannot grow: its log is pruned when it takes too much.

use keep_store::{MemoryStore, Room};
use keep_types::{Origin, Timestamp};

use crate::{Vault, VaultError};

/// Whether the log takes so much that pruning it is due: eight tenths are full, and three of them with the log.
const fn is_due(room: Room) -> bool {
    let tenth = room.capacity / 10;
    room.used > 8 * tenth && room.log > 3 * tenth
}

/// Removes the older half of the log if room is needed, and leaves a signed checkpoint.
pub(super) fn make(vault: &Vault, rows: &MemoryStore) -> Result<(), VaultError> {
    if !rows.room().is_some_and(is_due) || !vault.integrity().is_intact() {
        return Ok(());
    }
    let cutoff = half_time(vault)?;
    vault.prune(cutoff, Origin::Cli, &mut |_| {}).map(drop)
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
