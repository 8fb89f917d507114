//! The journal: what changed since the slot was written, in blocks that hold on to each other.

use keep_cipher::sealed::{self, NONCE, TAG};
use zeroize::Zeroizing;

use super::layout::{BLOCK, Layout};
use crate::VaultError;
use crate::secrets::payload;

const PLAIN: usize = BLOCK - NONCE - TAG;
/// Number of the change, what the block is, length.
const FIELDS: usize = 8 + 1 + 2;
/// The block ends a change.
const LAST: u8 = 0;
/// The change goes on in the next block.
const MORE: u8 = 1;
/// The block is a change of nothing, and says that a later state than this one is lost and the owner has not gone on yet.
const LOST: u8 = 2;
/// The bytes of a change in one block.
const ROOM: usize = PLAIN - FIELDS;

/// Where the journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// The number of the next block.
    pub block: usize,
    /// The tag of the block before it.
    pub tag: [u8; TAG],
    /// The number of the next change.
    pub change: u64,
}

impl End {
    /// The journal right after its slot was written.
    pub const fn after_slot(tag: [u8; TAG]) -> Self {
        Self { block: 0, tag, change: 1 }
    }

    /// Whether a change of so many bytes fits, and behind it still the block that says that a later state is lost.
    pub fn has_room(&self, len: usize, layout: Layout) -> bool {
        self.block + len.div_ceil(ROOM).max(1) < layout.blocks()
    }

    /// Whether the block fits that says that a later state is lost. It does not behind changes of versions that filled the journal.
    pub fn has_room_for_loss(&self, layout: Layout) -> bool {
        self.block < layout.blocks()
    }

    /// The blocks of a change, to be written from block `self.block` on, and where the journal ends after them.
    pub fn seal(&self, key: &[u8; 32], id: &[u8; 16], change: &[u8]) -> Result<(Vec<u8>, Self), VaultError> {
        self.seal_as(LAST, key, id, change)
    }

    /// The block that says that a later state is lost.
    pub fn seal_lost(&self, key: &[u8; 32], id: &[u8; 16]) -> Result<(Vec<u8>, Self), VaultError> {
        self.seal_as(LOST, key, id, &[])
    }

    fn seal_as(
        &self,
        last: u8,
        key: &[u8; 32],
        id: &[u8; 16],
        change: &[u8],
    ) -> Result<(Vec<u8>, Self), VaultError> {
        let (mut out, mut end, mut rest) = (Vec::new(), *self, change);
        loop {
            let (taken, others) = rest.split_at(rest.len().min(ROOM));
            let mut nonce = [0; NONCE];
            getrandom::getrandom(&mut nonce)?;
            let start = out.len() + NONCE;
            out.extend_from_slice(&nonce);
            out.extend_from_slice(&self.change.to_be_bytes());
            out.push(if others.is_empty() { last } else { MORE });
            out.extend_from_slice(&u16::try_from(taken.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(taken);
            out.resize(start + PLAIN, 0);
            end.tag = sealed::seal(key, &nonce, &aad(id, &end), &mut out[start..]).map_err(payload)?;
            out.extend_from_slice(&end.tag);
            end.block += 1;
            rest = others;
            if rest.is_empty() {
                end.change += 1;
                return Ok((out, end));
            }
        }
    }
}

/// What a journal says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Journal {
    /// The whole changes.
    pub changes: Vec<Vec<u8>>,
    /// Where it ends after the last of them.
    pub end: End,
    /// Whether it says that a later state is lost.
    pub says_lost: bool,
}

fn aad(id: &[u8; 16], at: &End) -> Vec<u8> {
    let number = u32::try_from(at.block).unwrap_or(u32::MAX).to_be_bytes();
    [b"keep v1 reserve block".as_slice(), id, &number, &at.tag].concat()
}

/// Reads the journal that begins at `start`.
pub(super) fn read(bytes: &[u8], layout: Layout, key: &[u8; 32], id: &[u8; 16], start: End) -> Journal {
    let mut read = Journal { changes: Vec::new(), end: start, says_lost: false };
    let (mut at, mut open) = (start, Vec::new());
    while let Some(block) = layout.block(at.block).and_then(|range| bytes.get(range)) {
        let Some((plain, tag)) = unseal(block, key, id, &at) else { break };
        let Some((number, what, part)) = parse(&plain) else { break };
        if number != at.change {
            break;
        }
        open.extend_from_slice(part);
        (at.block, at.tag) = (at.block + 1, tag);
        if what != MORE {
            read.says_lost |= what == LOST;
            read.changes.push(std::mem::take(&mut open));
            at.change += 1;
            read.end = at;
        }
    }
    read
}

/// Whether a change lies behind the end that is later than the one which is missing there: that one had been written whole, and was
/// damaged since. What a write leaves that was cut off belongs to the missing change itself.
pub(super) fn goes_on(bytes: &[u8], layout: Layout, key: &[u8; 32], id: &[u8; 16], end: End) -> bool {
    let blocks = (end.block..).map_while(|number| Some((number, bytes.get(layout.block(number)?)?)));
    let mut before: Option<[u8; TAG]> = None;
    for (number, block) in blocks {
        // Each holds on to the tag of the one before it, whatever that has become.
        if let Some(tag) = before {
            let at = End { block: number, tag, change: 0 };
            let opened = unseal(block, key, id, &at);
            if opened.is_some_and(|(plain, _)| parse(&plain).is_some_and(|(change, ..)| change > end.change))
            {
                return true;
            }
        }
        before = block.last_chunk().copied();
    }
    false
}

fn unseal(block: &[u8], key: &[u8; 32], id: &[u8; 16], at: &End) -> Option<(Zeroizing<Vec<u8>>, [u8; TAG])> {
    let (nonce, rest) = block.split_first_chunk::<NONCE>()?;
    let (text, tag) = rest.split_last_chunk::<TAG>()?;
    let mut plain = Zeroizing::new(text.to_vec());
    sealed::open(key, nonce, &aad(id, at), &mut plain, tag).then_some((plain, *tag))
}

fn parse(plain: &[u8]) -> Option<(u64, u8, &[u8])> {
    let (number, rest) = plain.split_first_chunk::<8>()?;
    let (what, rest) = rest.split_first()?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let part = rest.get(..usize::from(u16::from_be_bytes(*len)))?;
    Some((u64::from_be_bytes(*number), *what, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [3; 32];
    const ID: [u8; 16] = [4; 16];
    const START: End = End::after_slot([5; TAG]);

    fn read(file: &[u8], layout: Layout, key: &[u8; 32], id: &[u8; 16], start: End) -> (Vec<Vec<u8>>, End) {
        let Journal { changes, end, says_lost } = super::read(file, layout, key, id, start);
        assert!(!says_lost);
        (changes, end)
    }

    fn place(file: &mut [u8], layout: Layout, end: End, change: &[u8]) -> End {
        let (bytes, after) = end.seal(&KEY, &ID, change).unwrap();
        let start = layout.block(end.block).unwrap().start;
        file[start..start + bytes.len()].copy_from_slice(&bytes);
        after
    }

    #[test]
    fn changes_come_back_in_order_and_a_half_one_does_not_count() {
        let layout = Layout::small(2 * BLOCK, 9);
        let mut file = vec![0; layout.total()];
        let changes = [vec![1; 10], vec![2; 3 * ROOM], vec![3; ROOM], Vec::new(), vec![4; ROOM + 1]];
        let mut ends = vec![START];
        for change in &changes {
            assert!(ends.last().unwrap().has_room(change.len(), layout));
            ends.push(place(&mut file, layout, *ends.last().unwrap(), change));
        }
        assert_eq!(read(&file, layout, &KEY, &ID, START), (changes.to_vec(), *ends.last().unwrap()));
        assert!(!ends[5].has_room(1, layout) && ends[5].has_room_for_loss(layout));
        assert!(!ends[4].has_room(2 * ROOM + 1, layout) && ends[4].has_room(2 * ROOM, layout));
        let mut torn = file.clone();
        torn[layout.block(7).unwrap().start + 40] ^= 1;
        assert_eq!(read(&torn, layout, &KEY, &ID, START), (changes[..4].to_vec(), ends[4]));
        torn = file.clone();
        torn[layout.block(2).unwrap().start + 40] ^= 1;
        assert_eq!(read(&torn, layout, &KEY, &ID, START), (changes[..1].to_vec(), ends[1]));
    }

    #[test]
    fn blocks_of_another_history_do_not_follow() {
        let layout = Layout::small(2 * BLOCK, 4);
        let mut file = vec![0; layout.total()];
        let first = place(&mut file, layout, START, b"one");
        place(&mut file, layout, first, b"two");
        // The first change is written again: what followed the other one is no part of this history.
        let again = place(&mut file, layout, START, b"one");
        assert_eq!(read(&file, layout, &KEY, &ID, START), (vec![b"one".to_vec()], again));
        assert_eq!(read(&file, layout, &[9; 32], &ID, START).0, [] as [Vec<u8>; 0]);
        assert_eq!(read(&file, layout, &KEY, &ID, End::after_slot([6; TAG])).0, [] as [Vec<u8>; 0]);
    }

    /// What is damaged in the middle is told from what was never written whole.
    #[test]
    fn a_later_change_tells_that_one_is_damaged() {
        let layout = Layout::small(2 * BLOCK, 9);
        let mut file = vec![0; layout.total()];
        let mut ends = vec![START];
        for change in [vec![1; 10], vec![2; 3 * ROOM], vec![3; 10], vec![4; 10]] {
            ends.push(place(&mut file, layout, *ends.last().unwrap(), &change));
        }
        let goes_on = |file: &[u8]| {
            let (_, end) = read(file, layout, &KEY, &ID, START);
            super::goes_on(file, layout, &KEY, &ID, end)
        };
        assert!(!goes_on(&file));
        let broken = |blocks: &[usize], at: usize| {
            let mut torn = file.clone();
            for block in blocks {
                torn[layout.block(*block).unwrap().start + at] ^= 1;
            }
            goes_on(&torn)
        };
        // In the text and in the tag, on which the next block depends.
        for at in [40, BLOCK - 1] {
            assert!(broken(&[0], at) && broken(&[2], at) && broken(&[1, 3], at), "{at}");
            assert!(!broken(&[5], at), "the last change is as good as never written");
        }
        assert!(broken(&[4], 40));
        // A write that was cut off, with its later blocks on the disk, and what an earlier session left behind.
        let mut file = vec![0; layout.total()];
        let one = place(&mut file, layout, START, &[1; 10]);
        place(&mut file, layout, one, &vec![2; 4 * ROOM]);
        file[layout.block(1).unwrap()].fill(9);
        let unwritten =
            |file: &[u8]| !super::goes_on(file, layout, &KEY, &ID, read(file, layout, &KEY, &ID, START).1);
        assert!(unwritten(&file));
        let two = place(&mut file, layout, one, &[2; 10]);
        assert!(unwritten(&file));
        place(&mut file, layout, two, &[3; 10]);
        assert!(unwritten(&file));
    }

    #[test]
    fn a_journal_can_say_that_a_later_state_is_lost() {
        let layout = Layout::small(2 * BLOCK, 4);
        let mut file = vec![0; layout.total()];
        let one = place(&mut file, layout, START, b"one");
        let (block, after) = one.seal_lost(&KEY, &ID).unwrap();
        file[layout.block(1).unwrap()].copy_from_slice(&block);
        let two = place(&mut file, layout, after, b"two");
        let changes = vec![b"one".to_vec(), Vec::new(), b"two".to_vec()];
        let expected = Journal { changes, end: two, says_lost: true };
        assert_eq!(super::read(&file, layout, &KEY, &ID, START), expected);
    }
}
