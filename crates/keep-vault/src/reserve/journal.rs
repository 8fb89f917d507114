//! The journal: what changed since the slot was written, in blocks that hold on to each other.

use keep_cipher::sealed::{self, NONCE, TAG};
use zeroize::Zeroizing;

use super::layout::{BLOCK, Layout};
use crate::VaultError;
use crate::secrets::payload;

const PLAIN: usize = BLOCK - NONCE - TAG;
/// Number of the change, whether more follows, length.
const FIELDS: usize = 8 + 1 + 2;
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

    /// Whether a change of so many bytes fits.
    pub fn has_room(&self, len: usize, layout: Layout) -> bool {
        self.block + len.div_ceil(ROOM).max(1) <= layout.blocks()
    }

    /// The blocks of a change, to be written from block `self.block` on, and where the journal ends after them.
    pub fn seal(&self, key: &[u8; 32], id: &[u8; 16], change: &[u8]) -> Result<(Vec<u8>, Self), VaultError> {
        let (mut out, mut end, mut rest) = (Vec::new(), *self, change);
        loop {
            let (taken, others) = rest.split_at(rest.len().min(ROOM));
            let mut nonce = [0; NONCE];
            getrandom::getrandom(&mut nonce)?;
            let start = out.len() + NONCE;
            out.extend_from_slice(&nonce);
            out.extend_from_slice(&self.change.to_be_bytes());
            out.push(u8::from(!others.is_empty()));
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

fn aad(id: &[u8; 16], at: &End) -> Vec<u8> {
    let number = u32::try_from(at.block).unwrap_or(u32::MAX).to_be_bytes();
    [b"keep v1 reserve block".as_slice(), id, &number, &at.tag].concat()
}

/// Reads the journal that begins at `start`: the whole changes, and where it ends after the last of them.
pub(super) fn read(
    bytes: &[u8],
    layout: Layout,
    key: &[u8; 32],
    id: &[u8; 16],
    start: End,
) -> (Vec<Vec<u8>>, End) {
    let (mut changes, mut safe, mut at) = (Vec::new(), start, start);
    let mut open = Vec::new();
    while let Some(block) = layout.block(at.block).and_then(|range| bytes.get(range)) {
        let Some((plain, tag)) = unseal(block, key, id, &at) else { break };
        let Some((number, more, part)) = parse(&plain) else { break };
        if number != at.change {
            break;
        }
        open.extend_from_slice(part);
        (at.block, at.tag) = (at.block + 1, tag);
        if !more {
            changes.push(std::mem::take(&mut open));
            at.change += 1;
            safe = at;
        }
    }
    (changes, safe)
}

fn unseal(block: &[u8], key: &[u8; 32], id: &[u8; 16], at: &End) -> Option<(Zeroizing<Vec<u8>>, [u8; TAG])> {
    let (nonce, rest) = block.split_first_chunk::<NONCE>()?;
    let (text, tag) = rest.split_last_chunk::<TAG>()?;
    let mut plain = Zeroizing::new(text.to_vec());
    sealed::open(key, nonce, &aad(id, at), &mut plain, tag).then_some((plain, *tag))
}

fn parse(plain: &[u8]) -> Option<(u64, bool, &[u8])> {
    let (number, rest) = plain.split_first_chunk::<8>()?;
    let (more, rest) = rest.split_first()?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let part = rest.get(..usize::from(u16::from_be_bytes(*len)))?;
    Some((u64::from_be_bytes(*number), *more == 1, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [3; 32];
    const ID: [u8; 16] = [4; 16];
    const START: End = End::after_slot([5; TAG]);

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
        assert!(!ends[5].has_room(ROOM + 1, layout) && ends[5].has_room(ROOM, layout));
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
}
