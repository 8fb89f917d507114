//! Random numbers for jitter, wire names and faults. Not for keys.

/// SplitMix64: small, fast, and the same sequence for the same seed.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix(u64);

impl SplitMix {
    /// The sequence of `seed`.
    #[cfg(feature = "testing")]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence that nobody else has; from the clock if the system has no random bytes.
    pub fn from_system() -> Self {
        let mut seed = [0; 8];
        if getrandom::getrandom(&mut seed).is_err() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            return Self(now.map_or(0, |d| d.as_nanos() as u64));
        }
        Self(u64::from_le_bytes(seed))
    }

    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True with a probability of `per_mille` in a thousand.
    #[cfg(feature = "testing")]
    pub fn chance(&mut self, per_mille: u16) -> bool {
        self.below(1000) < u64::from(per_mille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_repeat_and_bounds_hold() {
        let (mut a, mut b) = (SplitMix::seeded(7), SplitMix::seeded(7));
        for _ in 0..1000 {
            assert_eq!(a.next_u64(), b.next_u64());
            assert!(a.below(10) < 10 && b.below(10) < 10);
        }
        assert_eq!(a.below(0), 0);
        assert!(!a.chance(0) && a.chance(1000));
        assert_ne!(SplitMix::from_system().next_u64(), SplitMix::from_system().next_u64());
    }
}
