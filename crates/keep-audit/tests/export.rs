//! Exports verify without a vault, and every way of falsifying one is named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use ed25519_dalek::{Signer as _, SigningKey};
use keep_audit::{
    Action, Batch, Chain, Checkpoint, Decider, Draft, ExportError, ExportWriter, Fingerprint, Outcome,
    Purpose, SignedCheckpoint, Surface, WriteError, verify_export,
};
use keep_types::{KeyId, Origin, PublicKey, Timestamp};

fn log(entries: u64, first: u64) -> (Batch, Checkpoint) {
    let base = if first == 1 { [0; 32] } else { [9; 32] };
    let mut chain = Chain { first_seq: first, next_seq: first, hash: base };
    let drafts = (0..entries)
        .map(|n| {
            let draft = Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli);
            match n % 3 {
                0 => draft.key(KeyId::from_bytes([n as u8; 16])).event_kind(1).subject([1; 32]),
                1 => {
                    let by = [Decider::Owner(Surface::Page), Decider::Person("bob".to_owned())];
                    draft.client(&PublicKey::from_byte_array([4; 32])).by(&by)
                }
                _ => draft.reason("\"quoted\" \u{202e} \n ä 😀"),
            }
        })
        .collect();
    let batch = Batch::link(&mut chain, Timestamp::from_secs(5), drafts);
    let (next, hash) = (chain.next_seq, chain.hash);
    let time = Timestamp::from_secs(6);
    (batch, Checkpoint { purpose: Purpose::Export, first, next, base, hash, revision: 12, time })
}

fn sign(checkpoint: Checkpoint, secret: u8) -> SignedCheckpoint {
    let key = SigningKey::from_bytes(&[secret; 32]);
    let signature = key.sign(&checkpoint.message()).to_bytes();
    SignedCheckpoint { checkpoint, public_key: key.verifying_key().to_bytes(), signature }
}

fn export(entries: u64, first: u64) -> String {
    let (batch, head) = log(entries, first);
    let mut writer = ExportWriter::begin(Vec::new(), sign(head, 1)).unwrap();
    batch.entries().iter().for_each(|entry| writer.entry(entry).unwrap());
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

fn verify(text: &str) -> Result<Fingerprint, ExportError> {
    verify_export(text.as_bytes()).map(|summary| summary.head.signer())
}

fn edited(text: &str, edit: impl FnOnce(&mut Vec<String>)) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    edit(&mut lines);
    lines.join("\n") + "\n"
}

#[test]
fn an_export_verifies_and_names_its_signer() {
    let key = SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
    for (entries, first) in [(0, 1), (1, 1), (50, 1), (50, 700)] {
        assert_eq!(verify(&export(entries, first)).unwrap(), Fingerprint::of(&key));
    }
    let summary = verify_export(export(50, 700).as_bytes()).unwrap();
    assert_eq!((summary.head.checkpoint.count(), summary.last), (50, Some(Timestamp::from_secs(5))));
}

#[test]
fn an_edited_line_is_named() {
    let text = export(20, 1);
    for line in 1..=20 {
        let bad = edited(&text, |lines| lines[line] = lines[line].replace("allowed", "refused"));
        assert_eq!(verify(&bad), Err(ExportError::Edited { line: line as u64 + 1, seq: line as u64 }));
        let bad = edited(&text, |lines| lines[line] = lines[line].replace("\"time\":5", "\"time\":4"));
        assert_eq!(verify(&bad), Err(ExportError::Edited { line: line as u64 + 1, seq: line as u64 }));
    }
    let bad = edited(&text, |lines| lines[7] = lines[7].replace("cli", "cl i\",\"extra\":\"x"));
    assert!(matches!(verify(&bad), Err(ExportError::Unreadable { line: 8, .. })));
}

#[test]
fn removed_added_and_moved_lines_are_named() {
    let text = export(20, 1);
    let bad = edited(&text, |lines| drop(lines.remove(5)));
    assert_eq!(verify(&bad), Err(ExportError::Gap { line: 6, expected: 5, found: 6 }));
    let bad = edited(&text, |lines| lines.swap(5, 6));
    assert_eq!(verify(&bad), Err(ExportError::Gap { line: 6, expected: 5, found: 6 }));
    let bad = edited(&text, |lines| lines.insert(5, lines[4].clone()));
    assert_eq!(verify(&bad), Err(ExportError::Gap { line: 6, expected: 5, found: 4 }));
}

#[test]
fn a_cut_tail_is_found_with_and_without_the_head() {
    let text = export(20, 1);
    for keep in 1..=21 {
        let bad = edited(&text, |lines| lines.truncate(keep));
        assert_eq!(verify(&bad), Err(ExportError::Cut { line: keep as u64 }));
    }
    let bad = edited(&text, |lines| drop(lines.remove(20)));
    assert!(matches!(verify(&bad), Err(ExportError::OtherHead { line: 21, .. })));
    // In the middle of the last line.
    assert!(matches!(verify(&text[..text.len() - 20]), Err(ExportError::Unreadable { line: 22, .. })));
    let bad = edited(&text, |lines| lines.push(lines[3].clone()));
    assert_eq!(verify(&bad), Err(ExportError::Trailing(23)));
}

#[test]
fn a_rewritten_chain_does_not_fit_the_signed_head() {
    let (original, head) = log(20, 1);
    let mut chain = Chain::start();
    let drafts =
        original.entries().iter().map(|_| Draft::new(Action::SignEvent, Outcome::Refused, &Origin::Cli));
    let forged = Batch::link(&mut chain, Timestamp::from_secs(5), drafts.collect());
    let own = Checkpoint { hash: chain.hash, ..head };
    let mut writer = ExportWriter::begin(Vec::new(), sign(own, 2)).unwrap();
    forged.entries().iter().for_each(|entry| writer.entry(entry).unwrap());
    let text = String::from_utf8(writer.finish().unwrap()).unwrap();
    // Self-consistent, but signed by somebody else.
    assert_eq!(verify(&text).unwrap(), sign(own, 2).signer());
    let genuine = serde_json::to_string(&sign(head, 1)).unwrap();
    let bad = edited(&text, |lines| lines[21] = genuine);
    assert!(matches!(verify(&bad), Err(ExportError::OtherHead { line: 22, .. })));
    // The stated head changed, the signature kept.
    let mut signed = sign(head, 1);
    signed.checkpoint.hash = chain.hash;
    let bad = edited(&text, |lines| lines[21] = serde_json::to_string(&signed).unwrap());
    assert_eq!(verify(&bad), Err(ExportError::BadSignature(22)));
}

#[test]
fn other_beginnings_and_purposes_do_not_pass() {
    let text = export(20, 700);
    let bad = edited(&text, |lines| lines[0] = lines[0].replace("0909", "0908"));
    assert_eq!(verify(&bad), Err(ExportError::Edited { line: 2, seq: 700 }));
    let bad = edited(&export(0, 700), |lines| lines[0] = lines[0].replace("0909", "0908"));
    assert!(matches!(verify(&bad), Err(ExportError::OtherHead { line: 2, .. })));
    let bad = edited(&text, |lines| lines[0] = lines[0].replace(":1,", ":2,"));
    assert_eq!(verify(&bad), Err(ExportError::TooNew(2)));
    let anchor = sign(Checkpoint { purpose: Purpose::Anchor, ..log(20, 700).1 }, 1);
    let bad = edited(&text, |lines| lines[21] = serde_json::to_string(&anchor).unwrap());
    assert!(matches!(verify(&bad), Err(ExportError::OtherHead { line: 22, .. })));
    assert!(matches!(verify(""), Err(ExportError::NotAnExport(_))));
    assert!(matches!(verify("{}"), Err(ExportError::NotAnExport(_))));
}

#[test]
fn an_endless_line_is_not_read_to_its_end() {
    let endless = std::io::BufReader::new(std::io::repeat(b'x'));
    assert!(matches!(verify_export(endless), Err(ExportError::Unreadable { line: 1, .. })));
}

#[test]
fn a_writer_refuses_what_its_head_does_not_cover() {
    let (batch, head) = log(3, 1);
    let mut writer = ExportWriter::begin(Vec::new(), sign(head, 1)).unwrap();
    assert!(matches!(writer.entry(&batch.entries()[1]), Err(WriteError::Broken(_))));
    writer.entry(&batch.entries()[0]).unwrap();
    assert!(matches!(writer.finish(), Err(WriteError::Broken(_))));
}
