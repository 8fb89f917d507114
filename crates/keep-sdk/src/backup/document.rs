//! What is inside a backup: JSON, as `docs/formats/backup.md` describes it.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keep_types::{Collection, ErrorCode, Fault, RecordId, SecretText, VaultId};
use keep_vault::{Archive, ArchiveOrigin, ArchivedKey, ArchivedRecord, Examination, TakeArchive, VaultError};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::calls::BackupSummary;
use super::form::form;
use super::pieces::{LONGEST, too_long};
use crate::KeyView;
use crate::call::{Wiped, to_wiped_json};
use crate::keys::{bug, to_nsec};

pub const FORMAT: &str = "keep-backup";
pub const VERSION: u64 = 1;
const ABOUT: &str = "Everything of one Keep vault. Whoever reads this can sign with every key in it. A share of a threshold \
     key beside a backup that holds another share undoes the threshold: keep them apart. `keep restore` makes a vault of it; \
     the keys and secrets can also be read here.";

#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    version: u64,
    about: &'static str,
    keep_version: &'static str,
    created_at: &'a str,
    vault: Origin,
    keys: Vec<Key<'a>>,
    secrets: Vec<Secret<'a>>,
    head: Base64<'a>,
    // Behind it, before the end of the object: the records.
}

/// Which vault a document is of.
#[derive(Serialize, Deserialize)]
pub struct Origin {
    pub id: VaultId,
    pub key_epoch: u64,
    pub revision: u64,
}

#[derive(Serialize)]
struct Key<'a> {
    #[serde(flatten)]
    public: KeyView,
    #[serde(serialize_with = "clear")]
    nsec: SecretText,
    #[serde(skip_serializing_if = "Option::is_none")]
    mnemonic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mnemonic_passphrase: Option<&'a str>,
}

#[derive(Serialize)]
struct Secret<'a> {
    name: &'a str,
    note: Option<&'a str>,
    secret: &'a str,
}

#[derive(Serialize)]
struct WrittenRecord<'a> {
    collection: u8,
    #[serde(rename = "type")]
    kind: &'static str,
    id: RecordId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_index: Option<String>,
    cbor: Base64<'a>,
}

/// Bytes that are written in base64, through a buffer that is wiped.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(self.0)))
    }
}

fn clear<S: Serializer>(secret: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// Writes the document of an archive while the archive comes, and examines it as whoever restores it will.
pub struct Document<W: Write> {
    to: W,
    written: usize,
    created_at: String,
    come: Option<Come>,
}

/// What came of an archive up to here.
struct Come {
    summary: BackupSummary,
    examination: Examination,
}

impl<W: Write> Document<W> {
    pub const fn new(to: W, created_at: String) -> Self {
        Self { to, written: 0, created_at, come: None }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.to.write_all(bytes).map_err(|error| cannot_write(&error))?;
        self.written += bytes.len();
        Ok(())
    }

    /// Ends the document, with spaces behind it so that its last piece has nothing but spaces: the buffer in which age
    /// collects a piece is given back as it was filled last. They also hide the length of the document.
    ///
    /// # Errors
    /// When it cannot be written, no archive came, or no vault can be made of what came.
    pub fn end(mut self) -> Result<(W, BackupSummary), Fault> {
        let come = self.come.take().ok_or_else(|| bug("an archive without a beginning"))?;
        come.examination.end().map_err(not_restorable)?;
        self.write(b"]}")?;
        let length = (self.written.div_ceil(PIECE) + 1) * PIECE;
        let spaces = vec![b' '; length - self.written];
        self.write(&spaces)?;
        Ok((self.to, come.summary))
    }
}

impl<W: Write> TakeArchive for Document<W> {
    fn begin(&mut self, archive: Archive) -> Result<(), Fault> {
        let before = before_records(&archive, &self.created_at)?;
        let open = before.strip_suffix(b"}").unwrap_or(&before);
        self.write(open)?;
        self.write(b",\"records\":[")?;
        let summary = BackupSummary::new(&archive, self.created_at.clone());
        let Archive { vault, epoch, revision, head, .. } = archive;
        let origin = ArchiveOrigin { vault, epoch, revision, head };
        let examination = Examination::new(&origin).map_err(not_restorable)?;
        self.come = Some(Come { summary, examination });
        Ok(())
    }

    fn record(&mut self, record: ArchivedRecord) -> Result<(), Fault> {
        let Come { summary, examination } =
            self.come.as_mut().ok_or_else(|| bug("a record before the archive"))?;
        examination.look(&record, &form).map_err(not_restorable)?;
        let is_first = summary.records == 0;
        summary.count(&record);
        if !is_first {
            self.write(b",")?;
        }
        let json = to_wiped_json(&WrittenRecord {
            collection: record.collection,
            kind: Collection::from_number(record.collection).map_or("unknown", |known| known.as_str()),
            id: record.id,
            name_index: record.name.map(hex::encode),
            cbor: Base64(&record.cbor),
        })?;
        // What could not be read again is no backup.
        if json.len() > LONGEST { Err(too_long()) } else { self.write(&json) }
    }
}

/// Why no backup is made that could not be restored.
fn not_restorable(error: VaultError) -> Fault {
    let fault = Fault::from(error);
    let message = format!("a backup of this vault could not be restored: {}", fault.message());
    Fault::new(fault.code(), message).with_hint(
        "`keep doctor` examines the vault; delete what is named there or here, or export it, and make the backup again",
    )
}

/// Why a backup could not be written.
pub fn cannot_write(error: &io::Error) -> Fault {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorCode::StorageFull,
        _ => ErrorCode::Storage,
    };
    Fault::new(code, format!("cannot write the backup: {error}"))
}

fn before_records(archive: &Archive, created_at: &str) -> Result<Wiped, Fault> {
    let keys = archive.keys.iter().map(key).collect::<Result<_, _>>()?;
    let secrets = archive.secrets.iter().map(|(item, text)| Secret {
        name: item.name.as_str(),
        note: item.note.as_deref(),
        secret: text.expose(),
    });
    to_wiped_json(&Written {
        format: FORMAT,
        version: VERSION,
        about: ABOUT,
        keep_version: env!("CARGO_PKG_VERSION"),
        created_at,
        vault: Origin { id: archive.vault, key_epoch: archive.epoch, revision: archive.revision.get() },
        keys,
        secrets: secrets.collect(),
        head: Base64(archive.head.expose()),
    })
}

/// The pieces in which age encrypts, in bytes.
const PIECE: usize = 64 << 10;

fn key(key: &ArchivedKey) -> Result<Key<'_>, Fault> {
    Ok(Key {
        public: KeyView::from(&key.record),
        nsec: to_nsec(&key.secret)?,
        mnemonic: key.mnemonic.as_ref().map(|mnemonic| mnemonic.words().expose()),
        mnemonic_passphrase: key
            .mnemonic
            .as_ref()
            .map(|mnemonic| mnemonic.passphrase().expose())
            .filter(|passphrase| !passphrase.is_empty()),
    })
}

/// Why something that opened is not read.
pub fn no_backup() -> Fault {
    Fault::new(ErrorCode::InvalidPayload, "the file opens, but what is in it is no backup of Keep")
}
