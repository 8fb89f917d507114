//! Everything in a vault at once, for a backup.

use std::collections::HashMap;
use std::ops::ControlFlow;

use keep_policy::Permit;
use keep_store::{ReadTx, Row, Scan};
use keep_types::{
    Collection, DisplayText, ErrorCode, Fault, Intent, Record, RecordId, Revision, SecretBytes, SecretKey32,
    SecretText, VaultId,
};
use zeroize::Zeroizing;

use crate::head::{Head, SEGMENTS};
use crate::items::item_place;
use crate::keyring::public_key;
use crate::mnemonic::natural_key;
use crate::records::{SecretKind, SecretRecord, key_place};
use crate::restore::beyond;
use crate::seal::open_row;
use crate::subkeys::Subkeys;
use crate::vault::Identity;
use crate::verify::{Depth, verify_view};
use crate::{Committed, KeyRecord, MnemonicSecret, SecretItem, Vault, VaultError};

/// Everything in a vault as it was at one revision.
pub struct Archive {
    /// Which vault.
    pub vault: VaultId,
    /// The generation of its data key.
    pub epoch: u64,
    /// The revision of its last commit, which is the record of the backup itself.
    pub revision: Revision,
    /// The hash of the last entry in its log.
    pub log_hash: [u8; 32],
    /// The sealed head without its sums, as CBOR.
    pub head: SecretBytes,
    /// Every record.
    pub records: Vec<ArchivedRecord>,
    /// The keys again, for reading.
    pub keys: Vec<ArchivedKey>,
    /// The stored secrets again, for reading.
    pub secrets: Vec<(SecretItem, SecretText)>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("records", &self.records.len()).finish_non_exhaustive()
    }
}

/// One record of an archive.
pub struct ArchivedRecord {
    /// The number of its collection.
    pub collection: u8,
    /// Where it lies.
    pub id: RecordId,
    /// The keyed hash of its unique name.
    pub name: Option<[u8; 32]>,
    /// Its CBOR.
    pub cbor: Zeroizing<Vec<u8>>,
}

/// A key with its secret.
pub struct ArchivedKey {
    /// What is public.
    pub record: KeyRecord,
    /// The secret key.
    pub secret: SecretKey32,
    /// The mnemonic that it follows from.
    pub mnemonic: Option<MnemonicSecret>,
}

/// Takes an archive piece by piece, so that nobody needs to hold all of it.
pub trait TakeArchive {
    /// Everything but the records, before the first of them.
    ///
    /// # Errors
    /// Whatever ends the archive.
    fn begin(&mut self, archive: Archive) -> Result<(), Fault>;

    /// The next record, in the order of collections and ids.
    ///
    /// # Errors
    /// Whatever ends the archive.
    fn record(&mut self, record: ArchivedRecord) -> Result<(), Fault>;
}

/// All of it at once.
impl TakeArchive for Option<Archive> {
    fn begin(&mut self, archive: Archive) -> Result<(), Fault> {
        *self = Some(archive);
        Ok(())
    }

    fn record(&mut self, record: ArchivedRecord) -> Result<(), Fault> {
        if let Some(archive) = self {
            archive.records.push(record);
        }
        Ok(())
    }
}

impl Vault {
    /// Whether a vault can be made again out of everything in this one: of what a later version keeps, this one does not know what
    /// must not work any more in another vault, and no vault goes on from beyond where restoring ends.
    ///
    /// # Errors
    /// [`ErrorCode::FormatTooNew`]; [`ErrorCode::Integrity`]; when the vault cannot be read.
    pub fn expect_archivable(&self) -> Result<(), VaultError> {
        let seen = self.shared.seen();
        let mut outcome = Err(VaultError::Closed);
        self.read(&mut |tx| {
            outcome = self.head_in(tx, seen).and_then(|head| expect_restorable(&head));
            Ok(())
        })?;
        outcome
    }

    fn head_in(&self, tx: &dyn ReadTx, seen: u64) -> Result<Head, VaultError> {
        let (header, sealed) = (tx.header()?.unwrap_or_default(), tx.head()?.unwrap_or_default());
        self.shared.open_head(&header, &sealed, seen)
    }

    /// Everything in the vault, as the permit for a backup says, once its record is durable. Checks every row first: a
    /// backup of a vault that was tampered with would look like one of a whole vault. `into` gets it as it was at one
    /// revision; until it has all of it, nothing of it is a backup.
    ///
    /// # Errors
    /// [`VaultError::Unrecorded`], [`VaultError::Tampered`]; when the vault cannot be read; what `into` says.
    pub fn archive(
        &self,
        permit: Permit,
        record: &Committed,
        into: &mut dyn TakeArchive,
    ) -> Result<(), VaultError> {
        if !record.is_own_record_of(permit.job()) || !matches!(permit.intent(), Intent::Backup) {
            return Err(VaultError::Unrecorded);
        }
        let keys = self.shared.keys()?;
        let seen = self.shared.seen();
        let mut outcome = Err(VaultError::Closed);
        self.read(&mut |tx| {
            outcome = self.take(tx, &keys, seen, into);
            Ok(())
        })?;
        outcome
    }

    fn take(
        &self,
        tx: &dyn ReadTx,
        keys: &Subkeys,
        seen: u64,
        into: &mut dyn TakeArchive,
    ) -> Result<(), VaultError> {
        let report = verify_view(tx, &self.shared, keys, seen, Depth::Everything)?;
        self.shared.keep_report(&report);
        if !self.shared.report_is_intact() {
            return Err(VaultError::Tampered(report.problems.join("; ")));
        }
        let head = self.head_in(tx, seen)?;
        expect_restorable(&head)?;
        let identity = self.shared.identity;
        let mut archive = Archive::bare(keys, identity, head)?;
        for collection in [Collection::Keys, Collection::Secrets, Collection::Items] {
            each(tx, Scan::collection(collection), keys, identity, &mut |record| {
                archive.records.push(record);
                Ok(())
            })?;
        }
        archive.read(keys)?;
        archive.records = Vec::new();
        into.begin(archive)?;
        each(tx, Scan::everything(), keys, identity, &mut |record| into.record(record))
    }
}

fn expect_restorable(head: &Head) -> Result<(), VaultError> {
    if let Some(what) = beyond(head) {
        let message = format!("no vault could be made of a backup of this one: {what} is beyond 2^53");
        let fault = Fault::new(ErrorCode::Integrity, message);
        return Err(fault
            .with_hint("bring what is in it to a new vault: `keep export`, `keep import`")
            .into());
    }
    let is_known = |number| number == SEGMENTS || Collection::from_number(number).is_some();
    if head.tallies.iter().all(|tally| tally.count == 0 || is_known(tally.collection)) {
        return Ok(());
    }
    let message = "the vault has records of a kind that this version of Keep does not know";
    let fault = Fault::new(ErrorCode::FormatTooNew, message);
    Err(fault.with_hint("make the backup with the version of Keep that wrote them").into())
}

/// Opens the rows of a scan one by one.
fn each(
    tx: &dyn ReadTx,
    scan: Scan,
    keys: &Subkeys,
    identity: Identity,
    take: &mut dyn FnMut(ArchivedRecord) -> Result<(), Fault>,
) -> Result<(), VaultError> {
    let mut outcome = Ok(());
    tx.scan(scan, &mut |row| {
        let opened = open_row(keys, identity.vault, identity.epoch, &row).map_err(|_| VaultError::Record {
            collection: Collection::from_number(row.collection).map_or("records", |c| c.as_str()),
            reason: "it was changed or is damaged".into(),
        });
        let Row { collection, id, name, .. } = row;
        outcome = opened.and_then(|cbor| Ok(take(ArchivedRecord { collection, id, name, cbor })?));
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    outcome
}

impl Archive {
    /// What comes before the records.
    fn bare(keys: &Subkeys, identity: Identity, head: Head) -> Result<Self, VaultError> {
        let (revision, log_hash) = (head.revision, head.audit.hash);
        let bare = Head { tallies: Vec::new(), carried: Some(keys.carried()), ..head };
        let bare = minicbor::to_vec(&bare).map_err(|e| VaultError::Head(e.to_string()))?;
        Ok(Self {
            vault: identity.vault,
            epoch: identity.epoch,
            revision,
            log_hash,
            head: SecretBytes::new(bare),
            records: Vec::new(),
            keys: Vec::new(),
            secrets: Vec::new(),
        })
    }

    /// Reads the keys and stored secrets, and checks that each secret belongs to its public key.
    fn read(&mut self, keys: &Subkeys) -> Result<(), VaultError> {
        let secrets: HashMap<RecordId, &ArchivedRecord> = self
            .records
            .iter()
            .filter(|record| record.collection == Collection::Secrets.number())
            .map(|record| (record.id, record))
            .collect();
        let secret = |place: &RecordId, kind: SecretKind| -> Result<Option<SecretRecord>, VaultError> {
            let Some(found) = secrets.get(place) else { return Ok(None) };
            let record = SecretRecord::from_cbor(&found.cbor)?;
            Ok((record.kind == kind).then_some(record))
        };
        let (mut found_keys, mut found_secrets) = (Vec::new(), Vec::new());
        for record in &self.records {
            match Collection::from_number(record.collection) {
                Some(Collection::Keys) => {
                    let key = KeyRecord::from_cbor(&record.cbor)?;
                    let own = secret(&key_place(key.id), SecretKind::Identity)?
                        .ok_or_else(|| missing(&key.name))?;
                    let own = own.key32()?;
                    if public_key(&own)?.to_bytes() != key.public_key {
                        return Err(VaultError::SecretMismatch);
                    }
                    let place = keys.locate(Collection::Secrets, &natural_key(key.id));
                    let mnemonic = secret(&place, SecretKind::Mnemonic)?;
                    let mnemonic =
                        mnemonic.map(|record| MnemonicSecret::from_secret(&record.secret)).transpose()?;
                    found_keys.push(ArchivedKey { record: key, secret: own, mnemonic });
                }
                Some(Collection::Items) => {
                    let item = SecretItem::from_cbor(&record.cbor)?;
                    let own = secret(&item_place(item.id), SecretKind::Stored)?
                        .ok_or_else(|| missing(&item.name))?;
                    let text = String::from_utf8_lossy(own.secret.expose()).into_owned();
                    found_secrets.push((item, SecretText::new(text)));
                }
                _ => {}
            }
        }
        found_keys.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        found_secrets.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        (self.keys, self.secrets) = (found_keys, found_secrets);
        Ok(())
    }
}

pub(crate) fn missing(name: &keep_types::Name) -> VaultError {
    let shown = DisplayText::new(name.as_str());
    VaultError::Record { collection: "secrets", reason: format!("the secret of \"{shown}\" is missing") }
}

pub(crate) fn damaged(what: &str) -> VaultError {
    VaultError::Record { collection: "the backup", reason: format!("{what} is damaged") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keep_store::MemoryStore;
    use keep_testing::clock::FakeClock;
    use keep_types::Timestamp;

    use super::*;
    use crate::batch::Change;
    use crate::{Environment, KdfCost};

    /// What a later version of Keep keeps is in no backup that this one could not restore.
    #[test]
    fn unknown_kinds_are_refused_before_anything_is_made() {
        let environment =
            Environment::new(FakeClock::at(Timestamp::from_secs(1_800_000_000))).allow_weak_kdf();
        let cost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
        let passphrase = SecretText::from("words".to_owned());
        let store = Arc::new(MemoryStore::new());
        let vault = Vault::create(store, &passphrase, [1; 32], cost, &environment).unwrap();
        vault.expect_archivable().unwrap();
        // The last number for which there is a key.
        let place = (19, RecordId::from_bytes([3; 16]));
        let change = |vault: &Vault, delete: bool| {
            let job = move |tx: &mut crate::Tx<'_, '_>| {
                let plain = Zeroizing::new(vec![0x80]);
                let change = if delete { Change::Delete } else { Change::Put { plain, name: None } };
                tx.staged.records.insert(place, change);
                Ok(())
            };
            vault.submit(job).wait().unwrap();
        };
        change(&vault, false);
        let keys = vault.shared.keys().unwrap();
        let mut taken: Option<Archive> = None;
        let mut outcomes = vec![vault.expect_archivable()];
        vault
            .read(&mut |tx| {
                outcomes.push(vault.take(tx, &keys, vault.shared.seen(), &mut taken));
                Ok(())
            })
            .unwrap();
        for outcome in outcomes {
            let fault = Fault::from(outcome.unwrap_err());
            assert_eq!(fault.code(), ErrorCode::FormatTooNew, "{fault}");
        }
        assert!(taken.is_none());
        change(&vault, true);
        vault.expect_archivable().unwrap();
    }
}
