//! Nonces made ahead of time, so that a signature takes one round trip.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use keep_types::Timestamp;
use rand_core::{CryptoRng, RngCore};

use crate::share::check_binding;
use crate::{Commitment, DevicePublic, FrostError, Group, GroupId, NonceId, Nonces, SecretShare, SharingId};

/// The unused nonces of one share, in the memory of one process.
///
/// Each is bound to the peer that it was announced to, to the group, its epoch and sharing; it is found by the hash of
/// its commitment, moved out when it is used, and gone after [`NoncePool::TTL`]. Nothing here can be copied, written
/// down or restored: a process that starts has an empty pool with a new [`NoncePool::id`].
pub struct NoncePool {
    id: [u8; 16],
    group: GroupId,
    sharing: SharingId,
    epoch: u32,
    entries: HashMap<NonceId, Entry>,
}

struct Entry {
    nonces: Nonces,
    peer: DevicePublic,
    made: Timestamp,
}

impl fmt::Debug for NoncePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoncePool({} of {})", self.entries.len(), self.group)
    }
}

impl NoncePool {
    /// How long an unused nonce lives.
    pub const TTL: Duration = Duration::from_secs(600);
    /// The most unused nonces per peer.
    pub const PER_PEER: usize = 16;

    /// An empty pool for `share`.
    ///
    /// # Errors
    /// As [`SecretShare::belongs_to`]; [`FrostError::Random`].
    pub fn new(
        group: &Group,
        share: &SecretShare,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        share.belongs_to(group)?;
        let mut id = [0; 16];
        rng.try_fill_bytes(&mut id).map_err(|_| FrostError::Random)?;
        let (group, sharing, epoch) = (share.group(), share.sharing(), share.epoch());
        Ok(Self { id, group, sharing, epoch, entries: HashMap::new() })
    }

    /// The pool's random identity. A device that hears its own key with another pool's id knows that its share is in
    /// use elsewhere.
    pub const fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// How many unused nonces `peer` may still use at `now`.
    pub fn unused(&self, peer: &DevicePublic, now: Timestamp) -> usize {
        self.entries.values().filter(|e| e.peer == *peer && fresh(e.made, now)).count()
    }

    /// Makes `count` nonces for `peer` and returns their commitments, to be sent to that peer.
    ///
    /// # Errors
    /// [`FrostError::PoolFull`] when the peer would hold more than [`NoncePool::PER_PEER`]; the errors of
    /// [`SecretShare::belongs_to`] when the share is not the pool's.
    pub fn refill(
        &mut self,
        share: &SecretShare,
        peer: DevicePublic,
        count: usize,
        now: Timestamp,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Vec<Commitment>, FrostError> {
        self.check_share(share)?;
        self.expire(now);
        if self.unused(&peer, now) + count > Self::PER_PEER {
            return Err(FrostError::PoolFull(Self::PER_PEER));
        }
        let mut commitments = Vec::with_capacity(count);
        for _ in 0..count {
            let nonces = Nonces::generate(share, rng)?;
            let commitment = nonces.commitment().clone();
            self.entries.insert(commitment.id(), Entry { nonces, peer, made: now });
            commitments.push(commitment);
        }
        Ok(commitments)
    }

    /// Moves the nonce with this commitment out, for the one signature it will make.
    ///
    /// # Errors
    /// [`FrostError::UnknownNonce`], [`FrostError::ExpiredNonce`], [`FrostError::ForeignNonce`] (then it stays).
    pub fn take(&mut self, id: &NonceId, peer: &DevicePublic, now: Timestamp) -> Result<Nonces, FrostError> {
        let entry = self.entries.get(id).ok_or(FrostError::UnknownNonce)?;
        if entry.peer != *peer {
            return Err(FrostError::ForeignNonce);
        }
        let entry = self.entries.remove(id).ok_or(FrostError::UnknownNonce)?;
        if fresh(entry.made, now) { Ok(entry.nonces) } else { Err(FrostError::ExpiredNonce) }
    }

    /// Drops what is too old, or from the future (the clock was set back, or the machine was restored).
    pub fn expire(&mut self, now: Timestamp) {
        self.entries.retain(|_, e| fresh(e.made, now));
    }

    /// Drops everything, as after a resume from sleep or a jump of the clock.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Whether the pool serves this group as it is now.
    ///
    /// # Errors
    /// As [`SecretShare::belongs_to`].
    pub fn serves(&self, group: &Group) -> Result<(), FrostError> {
        check_binding(group, group.suite(), self.group, self.epoch, self.sharing)
    }

    fn check_share(&self, share: &SecretShare) -> Result<(), FrostError> {
        if share.group() != self.group {
            return Err(FrostError::WrongGroup);
        }
        if share.epoch() != self.epoch {
            return Err(FrostError::WrongEpoch { expected: self.epoch, found: share.epoch() });
        }
        if share.sharing() != self.sharing {
            return Err(FrostError::WrongSharing);
        }
        Ok(())
    }
}

fn fresh(made: Timestamp, now: Timestamp) -> bool {
    now >= made && now.since(made) < NoncePool::TTL
}
