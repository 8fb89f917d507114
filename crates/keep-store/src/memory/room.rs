//! A store of a fixed size: who may still write when it gets full.

use keep_types::Collection;

use crate::StoreError;

/// How much the parts of a vault take in a snapshot, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    /// The rows of the audit log, which grow with whatever is done.
    pub log: usize,
    /// Header, head and all other rows.
    pub rest: usize,
}

impl Size {
    pub(crate) const fn total(self) -> usize {
        self.log + self.rest
    }

    /// What counts a row of this collection.
    pub(crate) fn of(&mut self, collection: u8) -> &mut usize {
        if collection == Collection::Audit.number() { &mut self.log } else { &mut self.rest }
    }
}

/// How full a store of a fixed size is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The bytes in use.
    pub used: usize,
    /// Those of them that the audit log takes.
    pub log: usize,
    /// The bytes there are.
    pub capacity: usize,
}

impl Room {
    /// From here on nothing is added any more but entries of the audit log: deleting, exporting and backing up, which
    /// only write there, stay possible.
    pub const fn limit(self) -> usize {
        self.capacity / 10 * 9
    }
}

/// Refuses a change that would take what must stay free.
pub(super) fn admit(before: Size, after: Size, capacity: usize) -> Result<(), StoreError> {
    let room = Room { used: after.total(), log: after.log, capacity };
    let grows = after.rest > before.rest && after.total() > before.total();
    let adds = grows && room.used > room.limit();
    if adds || room.used > capacity {
        return Err(StoreError::NoRoom(Room { used: before.total(), log: before.log, capacity }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tenth_is_for_leaving() {
        let size = |log, rest| Size { log, rest };
        let allowed = |before, after| admit(before, after, 1_000).is_ok();
        assert!(allowed(size(100, 700), size(110, 790)));
        assert!(!allowed(size(100, 790), size(110, 800)), "adds beyond nine tenths");
        assert!(allowed(size(110, 800), size(150, 800)), "only a log entry");
        assert!(allowed(size(150, 800), size(160, 700)), "deletes");
        assert!(allowed(size(150, 800), size(50, 820)), "makes room");
        assert!(!allowed(size(190, 800), size(201, 800)), "beyond the end");
    }
}
