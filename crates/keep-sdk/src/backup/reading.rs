//! The document of a backup, read record by record.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keep_cipher::age::Opening;
use keep_types::{ErrorCode, Fault, RecordId, Revision, SecretBytes};
use keep_vault::{ArchiveOrigin, ArchivedRecord, GiveArchive};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::document::{FORMAT, Origin, VERSION, no_backup};
use super::pieces::{Pieces, Source};

impl<R: Read> Source for Opening<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Fault> {
        Ok(Self::read(self, into)?)
    }
}

/// An archive that comes out of a document. Everything but the records stands before them.
pub struct Reading<S> {
    pieces: Pieces<S>,
    origin: ArchiveOrigin,
    created_at: String,
    is_first: bool,
    is_over: bool,
}

impl<S: Source> Reading<S> {
    /// Reads up to the first record.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidPayload`] when it is no backup; [`ErrorCode::FormatTooNew`]; what `source` says.
    pub fn begin(source: S) -> Result<Self, Fault> {
        let (mut pieces, mut found, mut is_first) = (Pieces::new(source), Found::default(), true);
        pieces.expect(b'{')?;
        while pieces.another(b'}', &mut is_first)? {
            let name: String = pieces.parse()?;
            pieces.expect(b':')?;
            if name == RECORDS {
                pieces.expect(b'[')?;
                let (origin, created_at) = found.whole()?;
                return Ok(Self { pieces, origin, created_at, is_first: true, is_over: false });
            }
            found.member(&name, &mut pieces)?;
        }
        Err(no_backup())
    }

    /// When the backup was made.
    pub fn into_created_at(self) -> String {
        self.created_at
    }

    /// What comes after the records: nothing that a restore reads.
    fn finish(&mut self) -> Result<(), Fault> {
        while self.pieces.another(b'}', &mut false)? {
            let name: String = self.pieces.parse()?;
            if name == RECORDS || KNOWN.contains(&name.as_str()) {
                return Err(no_backup());
            }
            self.pieces.expect(b':')?;
            self.pieces.skip()?;
        }
        self.pieces.end()
    }
}

impl<S: Source> GiveArchive for Reading<S> {
    fn origin(&self) -> &ArchiveOrigin {
        &self.origin
    }

    fn record(&mut self) -> Result<Option<ArchivedRecord>, Fault> {
        if self.is_over {
            return Ok(None);
        }
        if self.pieces.another(b']', &mut self.is_first)? {
            return self.pieces.parse::<ReadRecord<'_>>()?.archived().map(Some);
        }
        self.finish()?;
        self.is_over = true;
        Ok(None)
    }
}

const RECORDS: &str = "records";
/// What [`Found`] takes.
const KNOWN: [&str; 5] = ["format", "version", "created_at", "vault", "head"];

/// What was found before the records.
#[derive(Default)]
struct Found {
    format: Option<String>,
    version: Option<u64>,
    created_at: Option<String>,
    vault: Option<Origin>,
    head: Option<SecretBytes>,
}

impl Found {
    fn member<S: Source>(&mut self, name: &str, pieces: &mut Pieces<S>) -> Result<(), Fault> {
        match name {
            "format" => once(&mut self.format, pieces.parse()?)?,
            "version" => once(&mut self.version, pieces.parse()?)?,
            "created_at" => once(&mut self.created_at, pieces.parse()?)?,
            "vault" => once(&mut self.vault, pieces.parse()?)?,
            "head" => once(&mut self.head, SecretBytes::new(bytes(pieces.parse()?)?.to_vec()))?,
            _ => pieces.skip()?,
        }
        self.check_format()
    }

    /// Whether the document is one that is known here, as soon as it says what it is.
    fn check_format(&self) -> Result<(), Fault> {
        match (self.format.as_deref(), self.version) {
            (Some(FORMAT), Some(version)) if version != VERSION => {
                let message =
                    format!("the backup has version {version}; this version of Keep knows version {VERSION}");
                Err(Fault::new(ErrorCode::FormatTooNew, message))
            }
            (Some(FORMAT) | None, _) => Ok(()),
            (Some(_), _) => Err(no_backup()),
        }
    }

    fn whole(self) -> Result<(ArchiveOrigin, String), Fault> {
        let Self { format: Some(_), version: Some(_), created_at, vault, head } = self else {
            return Err(no_backup());
        };
        let (Some(created_at), Some(vault), Some(head)) = (created_at, vault, head) else {
            return Err(no_backup());
        };
        let Origin { id, key_epoch, revision } = vault;
        let revision = Revision::new(revision);
        Ok((ArchiveOrigin { vault: id, epoch: key_epoch, revision, head }, created_at))
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Fault> {
    if place.replace(value).is_none() { Ok(()) } else { Err(no_backup()) }
}

#[derive(Deserialize)]
struct ReadRecord<'a> {
    collection: u8,
    id: RecordId,
    #[serde(borrow, default)]
    name_index: Option<&'a str>,
    #[serde(borrow)]
    cbor: &'a str,
}

impl ReadRecord<'_> {
    fn archived(&self) -> Result<ArchivedRecord, Fault> {
        let name = self.name_index.map(|text| {
            let mut index = [0; 32];
            hex::decode_to_slice(text, &mut index).map(|()| index).map_err(|_| no_backup())
        });
        let (name, cbor) = (name.transpose()?, bytes(self.cbor)?);
        Ok(ArchivedRecord { collection: self.collection, id: self.id, name, cbor })
    }
}

fn bytes(text: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
    STANDARD.decode(text).map(Zeroizing::new).map_err(|_| no_backup())
}
