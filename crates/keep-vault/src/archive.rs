//! Everything in a vault at once: for a backup, and a new vault out of it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use keep_audit::{Action, Draft, Outcome};
use keep_policy::Permit;
use keep_store::{ReadTx, Row, Scan, Store, StoreError, WriteTx};
use keep_types::{
    Collection, DisplayText, Fault, Intent, Origin, Record, RecordId, Revision, SecretBytes, SecretKey32,
    SecretText, Timestamp, VaultId,
};
use zeroize::Zeroizing;

use crate::batch::{Batch, Changes};
use crate::cache::Cache;
use crate::head::Head;
use crate::header::{Header, StanzaKind};
use crate::items::item_place;
use crate::keyring::public_key;
use crate::ledger::into_store_error;
use crate::mnemonic::natural_key;
use crate::records::{SecretKind, SecretRecord, key_place};
use crate::seal::{RowPlace, leaf, open_row, row_aad, seal};
use crate::subkeys::{Nonces, Subkeys};
use crate::vault::Identity;
use crate::verify::{Depth, verify_view};
use crate::{Committed, Environment, KdfCost, KeyRecord, MnemonicSecret, SecretItem, Vault, VaultError};

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

/// What a new vault is made with, out of an archive.
pub struct RestoreOptions<'a> {
    /// Its passphrase.
    pub passphrase: &'a SecretText,
    /// The KDF salt, from its reserve.
    pub salt: [u8; 32],
    /// What unlocking it costs.
    pub cost: KdfCost,
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

/// Changes a record on its way from an archive into a new vault, at the time of the new vault. `None` leaves it as it is.
pub type Revive<'a> =
    &'a dyn Fn(Collection, &[u8], Timestamp) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError>;

impl Vault {
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
        let (header, sealed) = (tx.header()?.unwrap_or_default(), tx.head()?.unwrap_or_default());
        let head = self.shared.open_head(&header, &sealed, seen)?;
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

    /// Makes a vault out of an archive in an empty store: with an identity and a data key of its own, everything that was
    /// in the archive as `revive` leaves it, and where it came from as the next entry in the log. One transaction.
    ///
    /// # Errors
    /// When the archive is damaged, or the store holds a vault already or cannot be written.
    pub fn restore(
        store: Arc<dyn Store>,
        archive: &Archive,
        options: &RestoreOptions<'_>,
        revive: Revive<'_>,
        environment: &Environment,
    ) -> Result<Self, VaultError> {
        let kdf = options.cost.params(options.salt);
        let derived = kdf.derive(options.passphrase, environment.weak_kdf)?;
        let mut header = Header::new(VaultId::random()?, kdf);
        let mut raw = [0; 32];
        getrandom::getrandom(&mut raw)?;
        let data_key = SecretKey32::take(&mut raw);
        let old: Head = minicbor::decode(archive.head.expose()).map_err(|_| damaged("its head"))?;
        // Later than everything that the old vault granted, whatever the clock says.
        let now = environment.clock.now().max(old.max_time).plus(std::time::Duration::from_secs(1));
        let kek = derived.outer_kek();
        let opened_by = header.wrap(StanzaKind::Passphrase, &kek, &data_key, None, now)?;
        let bytes = header.to_bytes()?;
        let carried = old.carried.clone().ok_or_else(|| damaged("its head has no name key"))?;
        let keys = Subkeys::derive(&data_key, header.vault, header.epoch).with_carried(&carried);
        let identity = Identity { vault: header.vault, epoch: header.epoch };
        let head =
            Head { epoch: header.epoch, header_hash: Header::hash(&bytes), tallies: Vec::new(), ..old };
        store.write(&mut |tx| {
            if tx.header()?.is_some() {
                return Err(StoreError::Exists(std::path::PathBuf::new()));
            }
            tx.set_header(&bytes)?;
            let into = Into { keys: &keys, identity, revive, now };
            into.everything(tx, head.clone(), archive).map_err(into_store_error)
        })?;
        Self::with_keys(store, &header, &keys, (&data_key, opened_by), environment)
    }
}

/// Into which vault an archive goes.
struct Into<'a> {
    keys: &'a Subkeys,
    identity: Identity,
    revive: Revive<'a>,
    now: Timestamp,
}

impl Into<'_> {
    fn everything(&self, tx: &mut dyn WriteTx, mut head: Head, archive: &Archive) -> Result<(), VaultError> {
        let mut nonces = Nonces::new(1024)?;
        for record in &archive.records {
            let known = Collection::from_number(record.collection);
            let revived =
                known.map(|known| (self.revive)(known, &record.cbor, self.now)).transpose()?.flatten();
            let row =
                self.row(record, revived.as_ref().unwrap_or(&record.cbor), &mut head, nonces.next()?)?;
            tx.put(&row)?;
        }
        let reason = format!(
            "from vault {} at revision {}, log {}",
            archive.vault,
            archive.revision,
            archive.log_hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        );
        let draft = Draft::new(Action::Restored, Outcome::Allowed, &Origin::Cli).reason(reason);
        let batch = Batch {
            raw: tx,
            keys: self.keys,
            identity: self.identity,
            head,
            now: self.now,
            cache: &mut Cache::default(),
            before: HashMap::new(),
            names_before: HashMap::new(),
            changes: Changes { drafts: vec![draft], ..Changes::default() },
        };
        batch.flush().map(drop)
    }

    fn row(
        &self,
        record: &ArchivedRecord,
        cbor: &[u8],
        head: &mut Head,
        nonce: [u8; 24],
    ) -> Result<Row, VaultError> {
        let (collection, id, name) = (record.collection, record.id, record.name);
        let key = self.keys.records(collection).ok_or_else(|| damaged("a collection"))?;
        let revision = head.revision.next();
        let place = RowPlace { collection, id, revision, name: name.as_ref() };
        let aad = row_aad(self.identity.vault, self.identity.epoch, place);
        let sealed = seal(key, nonce, &aad, cbor);
        let number = head.tally_number(collection, &id);
        let tally = head.tally(number);
        tally.sum.add(&leaf(self.keys.leaf(), &aad, &sealed));
        tally.count += 1;
        Ok(Row { collection, id, revision, name, sealed })
    }
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

    /// An archive as it was written: its readable parts are made anew from the records.
    ///
    /// # Errors
    /// [`VaultError::Record`] when a part is damaged, or a secret does not belong to its public key.
    pub fn from_parts(
        (vault, epoch, revision): (VaultId, u64, Revision),
        head: SecretBytes,
        records: Vec<ArchivedRecord>,
    ) -> Result<Self, VaultError> {
        let decoded: Head = minicbor::decode(head.expose()).map_err(|_| damaged("its head"))?;
        let carried = decoded.carried.clone().ok_or_else(|| damaged("its head has no name key"))?;
        if decoded.revision != revision {
            return Err(damaged("its revision"));
        }
        // Only the name key is used, which is among the carried ones.
        let keys = Subkeys::derive(&SecretKey32::take(&mut [0; 32]), vault, epoch).with_carried(&carried);
        let log_hash = decoded.audit.hash;
        let (keys_read, secrets) = (Vec::new(), Vec::new());
        let mut archive = Self { vault, epoch, revision, log_hash, head, records, keys: keys_read, secrets };
        archive.read(&keys)?;
        Ok(archive)
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

fn missing(name: &keep_types::Name) -> VaultError {
    let shown = DisplayText::new(name.as_str());
    VaultError::Record { collection: "secrets", reason: format!("the secret of \"{shown}\" is missing") }
}

fn damaged(what: &str) -> VaultError {
    VaultError::Record { collection: "the backup", reason: format!("{what} is damaged") }
}
