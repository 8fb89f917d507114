//! Checking that the rows are those that were recorded.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use keep_audit::{Action, Batch, Broken, Chain, Entry};
use keep_store::{ReadTx, Scan, Store, StoreError};
use keep_types::{Collection, KeyId, Record, RecordId, Revision, Timestamp};

use crate::head::{Head, Sum};
use crate::seal::{leaf, open_row, row_aad};
use crate::subkeys::Subkeys;
use crate::vault::{Identity, Shared};
use crate::{KeyRecord, Vault, VaultError};

/// What a check of the whole vault found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IntegrityReport {
    /// The revision that was checked.
    pub revision: Revision,
    /// How many rows there are.
    pub rows: u64,
    /// What is wrong, one sentence each. Empty if every row is as it was recorded.
    pub problems: Vec<String>,
}

impl IntegrityReport {
    /// Whether every row is as it was recorded.
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What a scan found of one collection.
#[derive(Default)]
struct Found {
    count: u64,
    sum: Sum,
}

/// Adds up all leaves and compares them with the head. Rows are opened only where the sums differ, to name the culprits.
pub(crate) fn verify(store: &dyn Store, shared: &Shared) -> Result<IntegrityReport, VaultError> {
    let keys = shared.keys()?;
    let identity = shared.identity;
    let mut outcome = None;
    let seen = shared.seen();
    store.read(&mut |tx| {
        outcome = Some(verify_view(tx, shared, &keys, identity, seen));
        Ok(())
    })?;
    let report = outcome.unwrap_or_else(|| Err(VaultError::Head("it could not be read".into())))?;
    shared.keep_report(&report);
    Ok(report)
}

pub(crate) fn verify_view(
    tx: &dyn ReadTx,
    shared: &Shared,
    keys: &Subkeys,
    identity: Identity,
    seen: u64,
) -> Result<IntegrityReport, VaultError> {
    let header = tx.header()?.ok_or_else(|| VaultError::Header("it is missing".into()))?;
    let sealed = tx.head()?.ok_or_else(|| VaultError::Head("it is missing".into()))?;
    let mut head = shared.open_head(&header, &sealed, seen)?;
    shared.saw(head.revision, head.max_time);
    let mut problems = Vec::new();
    let found = match add_up(tx, keys, identity, &mut problems) {
        Ok(found) => found,
        // A broken page: what lies behind it cannot be counted.
        Err(StoreError::Damaged(what)) => {
            problems.push(format!("the database is damaged: {what}"));
            BTreeMap::new()
        }
        Err(error) => return Err(error.into()),
    };
    let rows = found.values().map(|f| f.count).sum();
    if problems.is_empty() {
        for number in collections(&head, &found) {
            compare(number, &mut head, &found, &mut problems);
        }
        if !problems.is_empty() {
            name_culprits(tx, keys, identity, head.revision, &mut problems)?;
        }
    }
    Ok(IntegrityReport { revision: head.revision, rows, problems })
}

fn add_up(
    tx: &dyn ReadTx,
    keys: &Subkeys,
    identity: Identity,
    problems: &mut Vec<String>,
) -> Result<BTreeMap<u8, Found>, StoreError> {
    let mac = keys.leaf();
    let mut found: BTreeMap<u8, Found> = BTreeMap::new();
    let mut named = Vec::new();
    let (mut last, mut ordered) = (None, true);
    tx.scan(Scan::everything(), &mut |row| {
        let place = Some((row.collection, row.id));
        ordered &= last < place;
        last = place;
        let entry = found.entry(row.collection).or_default();
        entry.count += 1;
        entry.sum.add(&leaf(mac, &row_aad(identity.vault, identity.epoch, (&row).into()), &row.sealed));
        if let Some(name) = row.name {
            named.push((row.collection, row.id, name));
        }
        ControlFlow::Continue(())
    })?;
    // A row that its index does not lead to would be taken for absent, and a counter would begin anew.
    if !ordered {
        problems.push("the index of the records is out of order".into());
    }
    for (collection, id, name) in named {
        if tx.find(collection, &name)?.map(|row| row.id) != Some(id) {
            problems.push(format!(
                "the name index of {} does not lead to a record that exists",
                word(collection)
            ));
            break;
        }
    }
    Ok(found)
}

fn collections(head: &Head, found: &BTreeMap<u8, Found>) -> Vec<u8> {
    let mut numbers: Vec<u8> =
        head.tallies.iter().map(|t| t.collection).chain(found.keys().copied()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn compare(number: u8, head: &mut Head, found: &BTreeMap<u8, Found>, problems: &mut Vec<String>) {
    let recorded = *head.tally(number);
    let none = Found::default();
    let here = found.get(&number).unwrap_or(&none);
    let name = word(number);
    if here.count < recorded.count {
        problems.push(format!(
            "{} of {} records of {name} are missing",
            recorded.count - here.count,
            recorded.count
        ));
    } else if here.count > recorded.count {
        problems.push(format!("{name} has {} records too many", here.count - recorded.count));
    } else if here.sum != recorded.sum {
        problems.push(format!("a record of {name} was changed, or replaced by an older one"));
    }
}

/// Opens rows to say which of them is damaged, and compares keys with the log of their making.
fn name_culprits(
    tx: &dyn ReadTx,
    keys: &Subkeys,
    identity: Identity,
    revision: Revision,
    problems: &mut Vec<String>,
) -> Result<(), VaultError> {
    let mut present: Vec<KeyId> = Vec::new();
    let mut made: BTreeMap<[u8; 16], Option<String>> = BTreeMap::new();
    tx.scan(Scan::everything(), &mut |row| {
        let Ok(plain) = open_row(keys, identity.vault, identity.epoch, &row) else {
            problems.push(format!("the record {} of {} does not open", row.id, word(row.collection)));
            return ControlFlow::Continue(());
        };
        if row.revision > revision {
            problems.push(format!(
                "the record {} of {} is newer than the head",
                row.id,
                word(row.collection)
            ));
        }
        if row.collection == Collection::Keys.number() {
            present.extend(KeyRecord::from_cbor(&plain).ok().map(|key| key.id));
        }
        if row.collection == Collection::Audit.number()
            && let Ok(batch) = Batch::from_cbor(&plain)
        {
            batch.entries().iter().for_each(|entry| follow_keys(entry, &mut made));
        }
        ControlFlow::Continue(())
    })?;
    for (id, name) in made {
        if !present.contains(&KeyId::from_bytes(id)) {
            let name = name.unwrap_or_default();
            problems.push(format!("the key \"{}\" is missing", keep_types::DisplayText::new(&name)));
        }
    }
    Ok(())
}

/// Which keys must exist, by what the log says of their making and deleting.
fn follow_keys(entry: &Entry, made: &mut BTreeMap<[u8; 16], Option<String>>) {
    let Some(key) = entry.key else { return };
    match entry.action {
        Action::KeyGenerated | Action::KeyImported => {
            made.insert(*key.as_bytes(), entry.reason.clone());
        }
        Action::KeyDeleted => {
            made.remove(key.as_bytes());
        }
        _ => {}
    }
}

fn word(number: u8) -> &'static str {
    Collection::from_number(number).map_or("an unknown collection", Collection::as_str)
}

/// What a check of the audit log found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditSummary {
    /// How many entries the log has.
    pub entries: u64,
    /// The hash of the last one.
    pub head: [u8; 32],
    /// The time of the last one.
    pub last: Option<Timestamp>,
}

impl Vault {
    /// Checks the whole audit chain against the sealed head.
    ///
    /// # Errors
    /// [`VaultError::Tampered`] with what is wrong with the chain; otherwise when the store cannot be read.
    pub fn verify_audit(&self) -> Result<AuditSummary, VaultError> {
        let keys = self.shared.keys()?;
        let identity = self.shared.identity;
        let mut outcome = None;
        let seen = self.shared.seen();
        self.store.read(&mut |tx| {
            outcome = Some(verify_chain(tx, &self.shared, &keys, identity, seen));
            Ok(())
        })?;
        outcome.unwrap_or_else(|| Err(VaultError::Head("it could not be read".into())))
    }

    /// The last `limit` entries of the audit log, the latest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn audit_tail(&self, limit: usize) -> Result<Vec<Entry>, VaultError> {
        let mut entries = Vec::new();
        self.scan::<Batch>(Scan::default().backwards(), &mut |_: RecordId, batch| {
            entries.extend(batch.entries().iter().rev().cloned());
            if entries.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        entries.truncate(limit);
        Ok(entries)
    }
}

fn verify_chain(
    tx: &dyn ReadTx,
    shared: &Shared,
    keys: &Subkeys,
    identity: Identity,
    seen: u64,
) -> Result<AuditSummary, VaultError> {
    let header = tx.header()?.ok_or_else(|| VaultError::Header("it is missing".into()))?;
    let sealed = tx.head()?.ok_or_else(|| VaultError::Head("it is missing".into()))?;
    let recorded = shared.open_head(&header, &sealed, seen)?.audit;
    let mut chain = Chain { next_seq: recorded.first_seq, ..Chain::start() };
    let mut last = None;
    let mut broken = None;
    tx.scan(Scan::collection(Collection::Audit), &mut |row| {
        let batch = open_row(keys, identity.vault, identity.epoch, &row)
            .ok()
            .and_then(|plain| Batch::from_cbor(&plain).ok());
        let step = match &batch {
            Some(batch) => batch.verify(&mut chain),
            None => Err(Broken::Unreadable(chain.next_seq)),
        };
        last = batch.and_then(|batch| batch.entries().last().map(|entry| entry.time)).or(last);
        match step {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                broken = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    let tampered = |broken: Broken| VaultError::Tampered(format!("the audit log: {broken}"));
    if let Some(broken) = broken {
        return Err(tampered(broken));
    }
    chain.compare(&recorded).map_err(tampered)?;
    Ok(AuditSummary { entries: chain.len(), head: chain.hash, last })
}
