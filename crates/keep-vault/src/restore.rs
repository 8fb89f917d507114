//! A new vault out of an archive, which comes record by record.

use std::collections::HashMap;
use std::sync::Arc;

use keep_audit::{Action, Draft, Outcome};
use keep_store::{Row, Store, StoreError, WriteTx};
use keep_types::{
    Clock, Collection, Fault, Origin, Revision, SecretBytes, SecretKey32, SecretText, Timestamp, VaultId,
};
use zeroize::Zeroizing;

use crate::archive::damaged;
use crate::batch::{Batch, Changes};
use crate::bundles::{BUNDLED, Bundle};
use crate::cache::Cache;
use crate::examination::Examination;
use crate::head::Head;
use crate::header::{Header, StanzaKind};
use crate::ledger::into_store_error;
use crate::seal::{RowPlace, leaf, row_aad, seal};
use crate::subkeys::{Nonces, Subkeys};
use crate::vault::Identity;
use crate::{ArchiveContent, ArchivedRecord, Environment, Forms, KdfCost, Vault, VaultError};

/// What a new vault is made with, out of an archive.
pub struct RestoreOptions<'a> {
    /// Its passphrase.
    pub passphrase: &'a SecretText,
    /// The KDF salt, from its reserve.
    pub salt: [u8; 32],
    /// What unlocking it costs.
    pub cost: KdfCost,
}

/// Changes a record on its way from an archive into a new vault, at the time of the new vault. `None` leaves it as it is.
pub type Revive<'a> =
    &'a dyn Fn(Collection, &[u8], Timestamp) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError>;

/// A record as it comes back; of a bundle, what lies in it.
pub(crate) fn revived(
    revive: Revive<'_>,
    collection: Collection,
    cbor: &[u8],
    now: Timestamp,
) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    match collection {
        Collection::Bundles => Bundle::with_each(cbor, |cbor| revive(BUNDLED, cbor, now)),
        _ => revive(collection, cbor, now),
    }
}

/// What an archive says of itself before its first record.
pub struct ArchiveOrigin {
    /// Which vault.
    pub vault: VaultId,
    /// The generation of its data key.
    pub epoch: u64,
    /// The revision of its last commit.
    pub revision: Revision,
    /// The sealed head without its sums, as CBOR.
    pub head: SecretBytes,
}

impl std::fmt::Debug for ArchiveOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchiveOrigin").field("vault", &self.vault).finish_non_exhaustive()
    }
}

/// How many commits, and how many entries of its log, a vault may have had, and how many seconds its time may be after the epoch:
/// more than can come, and far from where counting ends.
pub(crate) const MOST: u64 = 1 << 53;

/// What of a head is beyond what a new vault can go on from.
pub(crate) fn beyond(head: &Head) -> Option<&'static str> {
    // The new vault is later than the old one.
    if head.max_time.as_secs() >= MOST {
        return Some("its time");
    }
    let is_beyond = head.revision.get() > MOST || head.audit.next_seq > MOST;
    is_beyond.then_some("how often it was written")
}

impl ArchiveOrigin {
    pub(crate) fn decode_head(&self) -> Result<Head, VaultError> {
        let head: Head = minicbor::decode(self.head.expose()).map_err(|_| damaged("its head"))?;
        if head.revision != self.revision {
            return Err(damaged("its revision"));
        }
        beyond(&head).map_or(Ok(head), |what| Err(damaged(what)))
    }
}

/// The time of a vault that is made of one whose time was `old`: later than everything that it granted, whatever the clock says.
fn later(old: Timestamp, clock: &dyn Clock) -> Timestamp {
    clock.now().max(old).plus(std::time::Duration::from_secs(1))
}

/// Gives an archive record by record, so that nobody needs to hold all of it.
pub trait GiveArchive {
    /// What comes before the records.
    fn origin(&self) -> &ArchiveOrigin;

    /// The next record, in the order of collections and ids; `None` once all of them came and are authentic.
    ///
    /// # Errors
    /// Whatever ends the archive early.
    fn record(&mut self) -> Result<Option<ArchivedRecord>, Fault>;
}

impl Vault {
    /// Looks an archive through, as [`restore`](Self::restore) does, and makes nothing of it. `forms` reads what the vault does not.
    ///
    /// # Errors
    /// When the archive is damaged, or what gives it fails; what `revive` says.
    pub fn examine(
        from: &mut dyn GiveArchive,
        revive: Revive<'_>,
        forms: Forms<'_>,
        clock: &dyn Clock,
    ) -> Result<ArchiveContent, VaultError> {
        let mut examination = Examination::new(from.origin())?;
        let now = later(from.origin().decode_head()?.max_time, clock);
        while let Some(record) = from.record()? {
            examination.look(&record, forms)?;
            if let Some(known) = Collection::from_number(record.collection) {
                revived(revive, known, &record.cbor, now)?;
            }
        }
        examination.end()
    }

    /// Makes a vault out of an archive in an empty store: with an identity and a data key of its own, everything that was
    /// in the archive as `revive` leaves it and where `forms` says, and where it came from as the next entry in the log. One transaction, which is
    /// committed once all of the archive was there and whole.
    ///
    /// # Errors
    /// When the archive is damaged, or the store holds a vault already or cannot be written; what `from` says.
    pub fn restore(
        store: Arc<dyn Store>,
        from: &mut dyn GiveArchive,
        options: &RestoreOptions<'_>,
        revive: Revive<'_>,
        forms: Forms<'_>,
        environment: &Environment,
    ) -> Result<(Self, ArchiveContent), VaultError> {
        let old = from.origin().decode_head()?;
        let carried = old.carried.clone().ok_or_else(|| damaged("its head has no name key"))?;
        let kdf = options.cost.params(options.salt);
        let derived = kdf.derive(options.passphrase, environment.weak_kdf)?;
        let mut header = Header::new(VaultId::random()?, kdf);
        let mut raw = [0; 32];
        getrandom::getrandom(&mut raw)?;
        let data_key = SecretKey32::take(&mut raw);
        let now = later(old.max_time, &*environment.clock);
        let kek = derived.outer_kek();
        let opened_by = header.wrap(StanzaKind::Passphrase, &kek, &data_key, None, now)?;
        let bytes = header.to_bytes()?;
        let keys = Subkeys::derive(&data_key, header.vault, header.epoch).with_carried(&carried);
        let identity = Identity { vault: header.vault, epoch: header.epoch };
        let head =
            Head { epoch: header.epoch, header_hash: Header::hash(&bytes), tallies: Vec::new(), ..old };
        let mut content = None;
        store.write(&mut |tx| {
            if tx.header()?.is_some() {
                return Err(StoreError::Exists(std::path::PathBuf::new()));
            }
            tx.set_header(&bytes)?;
            let into = Into { keys: &keys, identity, revive, forms, clock: &*environment.clock };
            content = Some(into.everything(tx, head.clone(), from).map_err(into_store_error)?);
            Ok(())
        })?;
        let vault = Self::with_keys(store, &header, &keys, (&data_key, opened_by), environment)?;
        Ok((vault, content.ok_or(VaultError::Closed)?))
    }
}

/// Into which vault an archive goes.
struct Into<'a> {
    keys: &'a Subkeys,
    identity: Identity,
    revive: Revive<'a>,
    forms: Forms<'a>,
    clock: &'a dyn Clock,
}

impl Into<'_> {
    fn everything(
        &self,
        tx: &mut dyn WriteTx,
        mut head: Head,
        from: &mut dyn GiveArchive,
    ) -> Result<ArchiveContent, VaultError> {
        let mut examination = Examination::new(from.origin())?;
        let mut nonces = Nonces::new(1024)?;
        while let Some(record) = from.record()? {
            examination.look(&record, self.forms)?;
            let known = Collection::from_number(record.collection);
            // An archive may take its time. What is spent is spent from when it came.
            let now = later(head.max_time, self.clock);
            let changed = known.map(|known| revived(self.revive, known, &record.cbor, now));
            let changed = changed.transpose()?.flatten();
            let row =
                self.row(&record, changed.as_ref().unwrap_or(&record.cbor), &mut head, nonces.next()?)?;
            tx.put(&row)?;
        }
        let content = examination.end()?;
        let reason = format!(
            "from vault {} at revision {}, log {}",
            content.vault,
            content.revision,
            head.audit.hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        );
        let draft = Draft::new(Action::Restored, Outcome::Allowed, &Origin::Cli).reason(reason);
        let batch = Batch {
            raw: tx,
            keys: self.keys,
            identity: self.identity,
            now: later(head.max_time, self.clock),
            head,
            cache: &mut Cache::default(),
            before: HashMap::new(),
            names_before: HashMap::new(),
            changes: Changes { drafts: vec![draft], ..Changes::default() },
        };
        batch.flush()?;
        Ok(content)
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
