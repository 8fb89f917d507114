//! The log as a file of JSON Lines that verifies without its vault.
//!
//! The first line names the format and the hash before the first entry; then comes one line for each entry, with the hash of
//! the chain up to it; the last line is a [`SignedCheckpoint`] over all of them.

use std::io::{BufRead, Read as _, Write};

use keep_types::{KeyId, Timestamp, are, counted};
use serde::{Deserialize, Serialize};

use crate::batch::canonical;
use crate::{Action, BadSignature, Broken, Chain, ChainHash, Checkpoint, Entry, Outcome, Purpose};
use crate::{SignedCheckpoint, hex32};

/// The version of the export format that this code writes and reads.
const FORMAT: u32 = 1;
/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    keep_audit_export: u32,
    first: u64,
    #[serde(with = "hex32")]
    base: ChainHash,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    seq: u64,
    time: Timestamp,
    action: Action,
    outcome: Outcome,
    origin: String,
    #[serde(default, with = "hex32::option", skip_serializing_if = "Option::is_none")]
    client: Option<[u8; 32]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<KeyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<u16>,
    #[serde(default, with = "hex32::option", skip_serializing_if = "Option::is_none")]
    subject: Option<[u8; 32]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Vec<String>>,
    #[serde(with = "hex32")]
    hash: ChainHash,
}

impl Line {
    fn new(entry: &Entry, hash: ChainHash) -> Self {
        Self {
            seq: entry.seq,
            time: entry.time,
            action: entry.action,
            outcome: entry.outcome,
            origin: entry.origin.clone(),
            client: entry.client,
            key: entry.key,
            kind: entry.event_kind,
            subject: entry.subject,
            reason: entry.reason.clone(),
            by: entry.by.clone(),
            hash,
        }
    }

    fn into_entry(self) -> (Entry, ChainHash) {
        let entry = Entry {
            seq: self.seq,
            time: self.time,
            action: self.action,
            outcome: self.outcome,
            origin: self.origin,
            client: self.client,
            key: self.key,
            event_kind: self.kind,
            subject: self.subject,
            reason: self.reason,
            by: self.by,
        };
        (entry, self.hash)
    }
}

/// Why an export cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The place that it is written to failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The entries are not those that the checkpoint covers.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// A value has no JSON form.
    #[error("an entry has no JSON form")]
    Json,
}

/// Writes an export line by line.
#[derive(Debug)]
pub struct ExportWriter<W> {
    out: W,
    chain: Chain,
    head: SignedCheckpoint,
}

impl<W: Write> ExportWriter<W> {
    /// Begins an export of the entries that `head` covers.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(mut out: W, head: SignedCheckpoint) -> Result<Self, WriteError> {
        let Checkpoint { first, base, .. } = head.checkpoint;
        line(&mut out, &Begin { keep_audit_export: FORMAT, first, base })?;
        Ok(Self { out, chain: head.checkpoint.begin(), head })
    }

    /// The number of the entry that comes next.
    pub const fn next_seq(&self) -> u64 {
        self.chain.next_seq
    }

    /// Writes the next entry.
    ///
    /// # Errors
    /// When another entry belongs here, or it cannot be written.
    pub fn entry(&mut self, entry: &Entry) -> Result<(), WriteError> {
        self.chain.push(entry.seq, &canonical(entry))?;
        line(&mut self.out, &Line::new(entry, self.chain.hash))
    }

    /// Writes the signed head.
    ///
    /// # Errors
    /// When the entries are not those that it covers, or it cannot be written.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.chain.compare(&self.head.checkpoint.end())?;
        line(&mut self.out, &self.head)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> Result<(), WriteError> {
    serde_json::to_writer(&mut *out, value).map_err(|error| match error.io_error_kind() {
        Some(kind) => WriteError::Io(kind.into()),
        None => WriteError::Json,
    })?;
    Ok(out.write_all(b"\n")?)
}

/// What is wrong with an export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(String),
    /// It is something else.
    #[error("this is not an export of an audit log: {0}")]
    NotAnExport(String),
    /// A later version wrote it.
    #[error("the export has format {0}; this version of Keep knows format 1")]
    TooNew(u32),
    /// A line says something that no export says.
    #[error("line {line} cannot be read: {reason}")]
    Unreadable {
        /// Which line, from 1.
        line: u64,
        /// What does not fit.
        reason: String,
    },
    /// A line was edited, or the hash in it or before it.
    #[error("line {line} (entry {seq}) is not what was exported: it was edited")]
    Edited {
        /// Which line, from 1.
        line: u64,
        /// Which entry.
        seq: u64,
    },
    /// A line was removed, added or moved.
    #[error(
        "line {line} has entry {found} where entry {expected} belongs: lines were removed, added or reordered"
    )]
    Gap {
        /// Which line, from 1.
        line: u64,
        /// The number that belongs here.
        expected: u64,
        /// The number that stands here.
        found: u64,
    },
    /// There is no signed head at the end.
    #[error("the file ends after line {line} without its signed head: its tail was cut")]
    Cut {
        /// The last line.
        line: u64,
    },
    /// The signed head speaks of other entries.
    #[error("the signed head in line {line} is that of other entries: {what}")]
    OtherHead {
        /// Which line, from 1.
        line: u64,
        /// What differs.
        what: String,
    },
    /// The signature of the head does not hold.
    #[error("the signature of the head in line {0} does not hold")]
    BadSignature(u64),
    /// Something stands after the signed head.
    #[error("line {0} stands after the signed head: it was added")]
    Trailing(u64),
}

/// What an export says, when nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportSummary {
    /// The signed head.
    pub head: SignedCheckpoint,
    /// The time of the last entry.
    pub last: Option<Timestamp>,
}

/// Checks an export: every line against the chain, the chain against the signed head, and the head's signature. Whose
/// signature that is, only a fingerprint known from elsewhere tells: compare [`SignedCheckpoint::signer`].
///
/// Memory stays bounded however long the file is.
///
/// # Errors
/// [`ExportError`] with the number of the line.
pub fn verify_export(mut file: impl BufRead) -> Result<ExportSummary, ExportError> {
    let mut text = Vec::new();
    if !read_line(&mut file, &mut text, 1)? {
        return Err(ExportError::NotAnExport("it is empty".into()));
    }
    let begin: Begin = serde_json::from_slice(&text)
        .map_err(|_| ExportError::NotAnExport("its first line says so".into()))?;
    if begin.keep_audit_export != FORMAT {
        return Err(ExportError::TooNew(begin.keep_audit_export));
    }
    let mut chain = Chain { first_seq: begin.first, next_seq: begin.first, hash: begin.base };
    let (mut number, mut last) = (1, None);
    loop {
        number += 1;
        if !read_line(&mut file, &mut text, number)? {
            return Err(ExportError::Cut { line: number - 1 });
        }
        match serde_json::from_slice::<Line>(&text) {
            Ok(line) => last = Some(check_line(line, &mut chain, number)?),
            Err(error) => {
                let head = serde_json::from_slice(&text)
                    .map_err(|_| ExportError::Unreadable { line: number, reason: error.to_string() })?;
                check_head(&head, &begin, &chain, number)?;
                return match read_line(&mut file, &mut text, number + 1)? {
                    true => Err(ExportError::Trailing(number + 1)),
                    false => Ok(ExportSummary { head, last }),
                };
            }
        }
    }
}

fn check_line(line: Line, chain: &mut Chain, number: u64) -> Result<Timestamp, ExportError> {
    let (entry, hash) = line.into_entry();
    chain.push(entry.seq, &canonical(&entry)).map_err(|_| ExportError::Gap {
        line: number,
        expected: chain.next_seq,
        found: entry.seq,
    })?;
    if chain.hash != hash {
        return Err(ExportError::Edited { line: number, seq: entry.seq });
    }
    Ok(entry.time)
}

fn check_head(head: &SignedCheckpoint, begin: &Begin, chain: &Chain, number: u64) -> Result<(), ExportError> {
    let other = |what: String| ExportError::OtherHead { line: number, what };
    let stated = &head.checkpoint;
    // The signature first: a forged head says nothing about the entries.
    head.verify().map_err(|BadSignature| ExportError::BadSignature(number))?;
    if stated.purpose != Purpose::Export {
        return Err(other("it was signed for another purpose".into()));
    }
    if (stated.first, stated.base) != (begin.first, begin.base) {
        return Err(other("it begins elsewhere; the first line was edited".into()));
    }
    if stated.next != chain.next_seq {
        let (signed, here) = (stated.count(), chain.len());
        return Err(other(format!(
            "it counts {}, and here {} {here}; the tail was cut or added to",
            counted(signed, "entry"),
            are(here)
        )));
    }
    if stated.hash != chain.hash {
        return Err(other("an entry was edited together with all hashes after it".into()));
    }
    Ok(())
}

/// Reads one line without its line feed; `false` at the end of the file.
fn read_line(file: &mut impl BufRead, text: &mut Vec<u8>, number: u64) -> Result<bool, ExportError> {
    text.clear();
    file.by_ref()
        .take(MAX_LINE + 1)
        .read_until(b'\n', text)
        .map_err(|error| ExportError::Io(error.to_string()))?;
    if text.len() as u64 > MAX_LINE {
        return Err(ExportError::Unreadable { line: number, reason: "it is too long".into() });
    }
    Ok(!text.is_empty())
}
