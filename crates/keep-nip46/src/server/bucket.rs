//! Token buckets.

use std::collections::HashMap;

use keep_types::{PublicKey, Timestamp};

use super::Rate;

/// A token bucket in whole seconds. A clock that runs backwards brings nothing back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    tokens: u32,
    at: Timestamp,
}

impl Bucket {
    pub(super) const fn full(rate: Rate) -> Self {
        Self { tokens: rate.burst, at: Timestamp::ZERO }
    }

    /// Takes one token, if there is one.
    pub(super) fn take(&mut self, rate: Rate, now: Timestamp) -> bool {
        let seconds = u32::try_from(now.since(self.at).as_secs()).unwrap_or(u32::MAX);
        self.at = self.at.max(now);
        self.tokens = self.tokens.saturating_add(seconds.saturating_mul(rate.per_second)).min(rate.burst);
        let has_one = self.tokens > 0;
        self.tokens -= u32::from(has_one);
        has_one
    }
}

/// A bucket for each client, in two generations: a full young one becomes the old one.
#[derive(Debug)]
pub(super) struct ClientBuckets {
    young: HashMap<PublicKey, Bucket>,
    old: HashMap<PublicKey, Bucket>,
    generation: usize,
}

impl ClientBuckets {
    /// Room for `max` clients.
    pub(super) fn new(max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation: max.div_ceil(2).max(1) }
    }

    pub(super) fn take(&mut self, client: PublicKey, rate: Rate, now: Timestamp) -> bool {
        if let Some(bucket) = self.young.get_mut(&client) {
            return bucket.take(rate, now);
        }
        if self.young.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        let mut bucket = self.old.remove(&client).unwrap_or(Bucket::full(rate));
        let taken = bucket.take(rate, now);
        self.young.insert(client, bucket);
        taken
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2, burst: 3 };

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn taken(bucket: &mut Bucket, now: u64) -> usize {
        (0..10).filter(|_| bucket.take(RATE, at(now))).count()
    }

    #[test]
    fn a_bucket_refills_up_to_its_burst() {
        let mut bucket = Bucket::full(RATE);
        assert_eq!(taken(&mut bucket, 1_000), 3);
        assert_eq!(taken(&mut bucket, 1_001), 2);
        assert_eq!(taken(&mut bucket, 1_000), 0, "the clock went back");
        assert_eq!(taken(&mut bucket, 1_001), 0);
        assert_eq!(taken(&mut bucket, u64::MAX), 3);
    }

    #[test]
    fn clients_are_bounded_and_apart() {
        let mut clients = ClientBuckets::new(8);
        let client = |n: u8| PublicKey::from_byte_array([n; 32]);
        for n in 0..100 {
            assert!(clients.take(client(n), RATE, at(1)));
            assert!(clients.len() <= 8);
        }
        for _ in 0..2 {
            assert!(clients.take(client(99), RATE, at(1)));
        }
        assert!(!clients.take(client(99), RATE, at(1)));
        assert!(clients.take(client(98), RATE, at(1)));
    }
}
