//! Entries that were committed together.

use keep_types::{Collection, RecordId, Timestamp};
use minicbor::{Decode, Encode};

use crate::{Broken, Chain, Draft, Entry};

/// The entries of one commit, in order. One row of the vault; its place is the number of its first entry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Batch(#[n(0)] Vec<Entry>);

impl keep_types::Record for Batch {
    const COLLECTION: Collection = Collection::Audit;
}

impl Batch {
    /// Gives `drafts` their numbers and the time, and links them to `chain`.
    pub fn link(chain: &mut Chain, time: Timestamp, drafts: Vec<Draft>) -> Self {
        let mut entries = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let entry = Entry::from_draft(draft, chain.next_seq, time);
            // The number is the chain's own, so there is no gap to report.
            let _ = chain.push(entry.seq, &canonical(&entry));
            entries.push(entry);
        }
        Self(entries)
    }

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Entries that have their numbers already.
    pub const fn of_entries(entries: Vec<Entry>) -> Self {
        Self(entries)
    }

    /// The entries, taken out.
    pub fn into_entries(self) -> Vec<Entry> {
        self.0
    }

    /// Where the batch whose first entry has number `seq` lies: the number in the last 8 bytes, big-endian.
    pub fn place(seq: u64) -> RecordId {
        RecordId::numbered(seq)
    }

    /// The number of the first entry of the batch that lies at `place`.
    pub const fn seq_at(place: &RecordId) -> u64 {
        place.number()
    }

    /// Links the entries to `chain` as they stand.
    ///
    /// # Errors
    /// [`Broken`] when one does not follow the one before it.
    pub fn verify(&self, chain: &mut Chain) -> Result<(), Broken> {
        self.0.iter().try_for_each(|entry| chain.push(entry.seq, &canonical(entry)))
    }
}

/// The bytes of an entry that the chain covers. Encoding into memory cannot fail.
pub(crate) fn canonical(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160);
    let _ = minicbor::encode(entry, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use keep_types::{KeyId, Origin, Record};

    use super::*;
    use crate::{Action, Outcome};

    fn log(batches: usize) -> (Vec<Batch>, Chain) {
        let mut chain = Chain::start();
        let log = (0..batches)
            .map(|n| {
                let draft = Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli)
                    .key(KeyId::from_bytes([7; 16]))
                    .event_kind(1)
                    .subject([n as u8; 32]);
                Batch::link(&mut chain, Timestamp::from_secs(n as u64), vec![draft.clone(), draft])
            })
            .collect();
        (log, chain)
    }

    fn check(log: &[Batch], recorded: &Chain) -> Result<(), Broken> {
        let mut chain = Chain::start();
        log.iter().try_for_each(|batch| batch.verify(&mut chain))?;
        chain.compare(recorded)
    }

    #[test]
    fn an_untouched_log_verifies_after_a_round_trip() {
        let (log, chain) = log(5);
        let stored: Vec<Batch> =
            log.iter().map(|b| Batch::from_cbor(&b.to_cbor().unwrap()).unwrap()).collect();
        assert_eq!(stored, log);
        check(&stored, &chain).unwrap();
    }

    #[test]
    fn every_kind_of_tampering_is_named() {
        let (full, chain) = log(4);
        assert_eq!(check(&full[..3], &chain), Err(Broken::Cut { expected: 8, found: 6 }));
        let mut removed = full.clone();
        removed.remove(1);
        assert_eq!(check(&removed, &chain), Err(Broken::Gap { expected: 3, found: 5 }));
        let mut swapped = full.clone();
        swapped.swap(1, 2);
        assert_eq!(check(&swapped, &chain), Err(Broken::Gap { expected: 3, found: 5 }));
        let mut changed = full;
        changed[2].0[0].outcome = Outcome::Refused;
        assert_eq!(check(&changed, &chain), Err(Broken::Changed));
    }
}
