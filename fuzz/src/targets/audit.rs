//! Targets of keep-audit: exported logs, and batches as they are stored.

use keep_audit::{Batch, Chain, RawEntries, join, link_all, verify_export};
use keep_types::Record;

/// A log that somebody hands over. What is accepted has a head whose signature holds, and as many lines as it counts.
pub fn audit_export(input: &[u8]) {
    let Ok(summary) = verify_export(input) else { return };
    assert!(summary.head.verify().is_ok());
    let lines = input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64;
    assert_eq!(lines, summary.head.checkpoint.count() + 2);
}

/// A stored batch. Its entries put together again are the same batch, with the same chain.
pub fn audit_batch(input: &[u8]) {
    let Ok(entries) = RawEntries::new(input) else { return };
    let Ok(entries) = entries.collect::<Result<Vec<_>, _>>() else { return };
    let first = entries.first().map_or(1, |entry| entry.seq);
    let begin = Chain { first_seq: first, next_seq: first, hash: [0; 32] };
    let joined = join(entries.iter().map(|entry| entry.bytes));
    let (mut one, mut two) = (begin, begin);
    let (outcome, again) = (link_all(input, &mut one), link_all(&joined, &mut two));
    assert_eq!((outcome.is_ok(), one), (again.is_ok(), two));
    if let Ok(batch) = Batch::from_cbor(input) {
        assert_eq!(batch.entries().len(), entries.len());
    }
}
