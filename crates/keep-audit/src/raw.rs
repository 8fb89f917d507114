//! Batches as they are stored: entries as bytes, without reading more of them than their numbers.

use minicbor::Decoder;

use crate::{Broken, Chain};

/// How many entries a segment of the log has: the batches of many commits, written together again as one.
pub const SEGMENT_LEN: u64 = 1024;

/// The number of the first entry after the segment in which entry `seq` lies.
pub const fn segment_end(seq: u64) -> u64 {
    (seq.saturating_sub(1) / SEGMENT_LEN + 1) * SEGMENT_LEN + 1
}

/// The entries of a stored batch, one after the other.
#[derive(Debug, Clone)]
pub struct RawEntries<'b> {
    bytes: &'b [u8],
    decoder: Decoder<'b>,
    left: u64,
}

/// One entry as it is stored: what the chain covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawEntry<'b> {
    /// Its number.
    pub seq: u64,
    /// Its CBOR.
    pub bytes: &'b [u8],
}

/// A batch that does not have the form of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no batch of entries")]
pub struct Malformed;

impl<'b> RawEntries<'b> {
    /// Reads the CBOR of a batch.
    ///
    /// # Errors
    /// [`Malformed`] when it does not begin as one.
    pub fn new(bytes: &'b [u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes);
        let left = decoder.array().ok().flatten().ok_or(Malformed)?;
        Ok(Self { bytes, decoder, left })
    }

    fn read(&mut self) -> Result<RawEntry<'b>, minicbor::decode::Error> {
        let begin = self.decoder.position();
        let wrong = || minicbor::decode::Error::message("no entry");
        let fields = self.decoder.map()?.ok_or_else(wrong)?;
        if fields == 0 || self.decoder.u8()? != 0 {
            return Err(wrong());
        }
        let seq = self.decoder.u64()?;
        for _ in 1..fields {
            self.decoder.skip()?;
            self.decoder.skip()?;
        }
        let bytes = self.bytes.get(begin..self.decoder.position()).ok_or_else(wrong)?;
        Ok(RawEntry { seq, bytes })
    }
}

impl<'b> Iterator for RawEntries<'b> {
    type Item = Result<RawEntry<'b>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.read().map_err(|_| Malformed);
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

impl RawEntry<'_> {
    /// Links the entry to `chain`.
    ///
    /// # Errors
    /// [`Broken::Gap`] when another entry belongs here.
    pub fn link(&self, chain: &mut Chain) -> Result<(), Broken> {
        chain.push(self.seq, self.bytes)
    }
}

/// Links every entry of a stored batch to `chain`, reading nothing of them but their numbers: the hash covers the rest.
///
/// # Errors
/// [`Broken`] when one does not follow the one before it, or cannot be read.
pub fn link_all(batch: &[u8], chain: &mut Chain) -> Result<(), Broken> {
    let entries = RawEntries::new(batch).map_err(|_| Broken::Unreadable(chain.next_seq))?;
    for entry in entries {
        entry.map_err(|_| Broken::Unreadable(chain.next_seq))?.link(chain)?;
    }
    Ok(())
}

/// A batch of these entries, as it is stored.
pub fn join<'b>(entries: impl ExactSizeIterator<Item = &'b [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing into memory cannot fail.
    let _ = minicbor::Encoder::new(&mut bytes).array(entries.len() as u64);
    entries.for_each(|entry| bytes.extend_from_slice(entry));
    bytes
}

#[cfg(test)]
mod tests {
    use keep_types::{Origin, Record, Timestamp};

    use super::*;
    use crate::{Action, Batch, Draft, Outcome};

    fn batch(chain: &mut Chain, entries: usize) -> Vec<u8> {
        let draft = Draft::new(Action::SignEvent, Outcome::Refused, &Origin::Cli).reason("no rule allows it");
        Batch::link(chain, Timestamp::from_secs(3), vec![draft; entries]).to_cbor().unwrap().to_vec()
    }

    #[test]
    fn stored_entries_are_what_the_chain_covers() {
        let mut chain = Chain::start();
        let (one, two) = (batch(&mut chain, 40), batch(&mut chain, 3));
        let mut check = Chain::start();
        link_all(&one, &mut check).unwrap();
        link_all(&two, &mut check).unwrap();
        assert_eq!(check, chain);
    }

    #[test]
    fn joined_batches_have_the_same_chain() {
        let mut chain = Chain::start();
        let batches: Vec<_> = (1..30).map(|n| batch(&mut chain, n)).collect();
        let entries: Vec<&[u8]> = batches
            .iter()
            .flat_map(|batch| RawEntries::new(batch).unwrap().map(|entry| entry.unwrap().bytes))
            .collect();
        let joined = join(entries.iter().copied());
        let mut check = Chain::start();
        link_all(&joined, &mut check).unwrap();
        assert_eq!(check, chain);
        assert_eq!(Batch::from_cbor(&joined).unwrap().entries().len() as u64, chain.len());
    }

    #[test]
    fn what_is_no_batch_is_said_to_be_none() {
        let mut chain = Chain::start();
        let whole = batch(&mut chain, 3);
        for end in 0..whole.len() {
            assert!(link_all(&whole[..end], &mut Chain::start()).is_err(), "{end}");
        }
        assert!(RawEntries::new(b"\xa1\x00\x01").is_err());
    }

    #[test]
    fn segments_end_at_multiples() {
        assert_eq!(segment_end(1), 1025);
        assert_eq!(segment_end(1024), 1025);
        assert_eq!(segment_end(1025), 2049);
    }
}
