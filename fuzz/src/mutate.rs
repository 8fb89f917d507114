//! A small mutator: reproducible from its seed, no dependency.

/// Values at which parsers go wrong.
const BYTES: &[u8] =
    &[0, 1, b' ', b'"', b'&', b'%', b'+', b'/', b'0', b'9', b':', b'=', b'?', 0x7f, 0x80, 0xfe, 0xff];
/// Pieces at which text parsers go wrong.
const PIECES: &[&[u8]] = &[
    b"\\u0000",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    b"null",
    b"[[",
    b"]]",
    b"{}",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"%00",
    b"%zz",
    b"::",
    b"\r\n",
    b"\xf0\x9f\xa6\x80",
];
/// No input grows beyond this many bytes.
const MAX: usize = 1 << 16;

/// Makes new inputs from old ones.
#[derive(Debug, Clone)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// The same seed gives the same sequence.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A mutation of one of `seeds`: one to eight small changes.
    pub fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(seeds).cloned().unwrap_or_default();
        for _ in 0..=self.below(8) {
            self.change(&mut input, seeds);
        }
        input.truncate(MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let length = 1 + self.below(16);
        match self.below(8) {
            0 => self.edit(input, at, |byte, noise| byte ^ (1 << (noise % 8))),
            1 => self.edit(input, at, |_, noise| noise.to_le_bytes()[0]),
            2 => self.edit(input, at, |_, noise| BYTES[noise as usize % BYTES.len()]),
            3 => insert(input, at, &vec![self.next().to_le_bytes()[0]; length]),
            4 => insert(input, at, self.pick(PIECES).copied().unwrap_or_default()),
            5 => drop(input.drain(at..input.len().min(at + length))),
            6 => {
                let copied = input[at..input.len().min(at + length)].to_vec();
                let to = self.below(input.len() + 1);
                insert(input, to, &copied);
            }
            _ => {
                let other = self.pick(seeds).cloned().unwrap_or_default();
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }

    fn edit(&mut self, input: &mut [u8], at: usize, change: impl Fn(u8, u32) -> u8) {
        let noise = (self.next() >> 32) as u32;
        if let Some(byte) = input.get_mut(at) {
            *byte = change(*byte, noise);
        }
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len().max(1)))
    }

    /// A number below `bound`; zero when there is none.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if input.len() + piece.len() <= MAX {
        input.splice(at..at, piece.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let seeds = [b"hello world".to_vec(), b"{\"a\":1}".to_vec()];
        let sequence = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..1000).map(|_| mutator.mutate(&seeds)).collect::<Vec<_>>()
        };
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
    }

    #[test]
    fn nothing_to_start_from_still_gives_inputs() {
        let mut mutator = Mutator::new(1);
        assert!((0..100).any(|_| !mutator.mutate(&[]).is_empty()));
    }

    #[test]
    fn inputs_stay_bounded() {
        let seeds = [vec![b'x'; MAX]];
        let mut mutator = Mutator::new(1);
        assert!((0..1000).all(|_| mutator.mutate(&seeds).len() <= MAX));
    }
}
