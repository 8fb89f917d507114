//! Checking that the rows are those that were recorded.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use keep_audit::{Action, Batch, Entry};
use keep_store::{ReadTx, Row, Scan, Store, StoreError};
use keep_types::{Collection, KeyId, Record, Revision, are, counted};

use crate::head::{Head, SEGMENTS, Sum};
use crate::seal::{leaf, open_row, row_aad};
use crate::subkeys::Subkeys;
use crate::vault::{Identity, Shared};
use crate::{KeyRecord, VaultError};

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

const AUDIT: u8 = Collection::Audit as u8;

/// What a scan found of one collection.
#[derive(Default)]
struct Found {
    count: u64,
    sum: Sum,
}

/// How much a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Every row.
    Everything,
    /// Every row but the segments of the log: what anything is decided by, and the end of the log. Its cost does not depend
    /// on how long the log is.
    Deciding,
}

/// Adds up leaves and compares them with the head. Rows are opened only where the sums differ, to name the culprits.
pub(crate) fn verify(
    store: &dyn Store,
    shared: &Shared,
    depth: Depth,
) -> Result<IntegrityReport, VaultError> {
    let keys = shared.keys()?;
    let mut outcome = None;
    let seen = shared.seen();
    store.read(&mut |tx| {
        outcome = Some(verify_view(tx, shared, &keys, seen, depth));
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
    seen: u64,
    depth: Depth,
) -> Result<IntegrityReport, VaultError> {
    let identity = shared.identity;
    let header = tx.header()?.ok_or_else(|| VaultError::Header("it is missing".into()))?;
    let sealed = tx.head()?.ok_or_else(|| VaultError::Head("it is missing".into()))?;
    let mut head = shared.open_head(&header, &sealed, seen)?;
    shared.saw(head.revision, head.max_time);
    let mut problems = Vec::new();
    let found = match add_up(tx, keys, identity, &head, depth, &mut problems) {
        Ok(found) => found,
        // A broken page: what lies behind it cannot be counted.
        Err(StoreError::Damaged(what)) => {
            problems.push(format!("the database is damaged: {what}"));
            BTreeMap::new()
        }
        Err(error) => return Err(error.into()),
    };
    let mut rows = found.values().map(|f| f.count).sum();
    if depth == Depth::Deciding {
        rows += head.tally(SEGMENTS).count;
    }
    if problems.is_empty() {
        for number in collections(&head, &found) {
            if number == SEGMENTS && depth == Depth::Deciding {
                continue;
            }
            compare(number, &mut head, &found, &mut problems);
        }
        if !problems.is_empty() {
            name_culprits(tx, keys, identity, head.revision, &mut problems)?;
        }
    }
    Ok(IntegrityReport { revision: head.revision, rows, problems })
}

/// What is wrong with the rows under this head, without a look at the header or the log's chain.
pub(crate) fn problems_of(
    tx: &dyn ReadTx,
    keys: &Subkeys,
    identity: Identity,
    head: &Head,
) -> Result<Vec<String>, VaultError> {
    let (mut head, mut problems) = (head.clone(), Vec::new());
    let found = add_up(tx, keys, identity, &head, Depth::Everything, &mut problems)?;
    for number in collections(&head, &found) {
        compare(number, &mut head, &found, &mut problems);
    }
    Ok(problems)
}

fn add_up(
    tx: &dyn ReadTx,
    keys: &Subkeys,
    identity: Identity,
    head: &Head,
    depth: Depth,
    problems: &mut Vec<String>,
) -> Result<BTreeMap<u8, Found>, StoreError> {
    let mac = keys.leaf();
    let mut found: BTreeMap<u8, Found> = BTreeMap::new();
    let mut named = Vec::new();
    let (mut last, mut ordered) = (None, true);
    let mut visit = |row: Row| {
        let place = Some((row.collection, row.id));
        ordered &= last < place;
        last = place;
        let entry = found.entry(head.tally_number(row.collection, &row.id)).or_default();
        entry.count += 1;
        entry.sum.add(&leaf(mac, &row_aad(identity.vault, identity.epoch, (&row).into()), &row.sealed));
        if let Some(name) = row.name {
            named.push((row.collection, row.id, name));
        }
        ControlFlow::Continue(())
    };
    match depth {
        Depth::Everything => tx.scan(Scan::everything(), &mut visit)?,
        Depth::Deciding => {
            tx.scan(Scan::everything(), &mut |row| {
                if row.collection >= AUDIT { ControlFlow::Break(()) } else { visit(row) }
            })?;
            let tail = Batch::place(head.log_mark().next);
            tx.scan(Scan::collection(Collection::Audit).from(tail), &mut visit)?;
            tx.scan(Scan::everything().beyond(Collection::Audit), &mut visit)?;
        }
    }
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
            "{} of {} of {name} {} missing",
            recorded.count - here.count,
            counted(recorded.count, "record"),
            are(recorded.count - here.count)
        ));
    } else if here.count > recorded.count {
        problems.push(format!("{name} has {} too many", counted(here.count - recorded.count, "record")));
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

pub(crate) fn word(number: u8) -> &'static str {
    let number = if number == SEGMENTS { AUDIT } else { number };
    Collection::from_number(number).map_or("an unknown collection", Collection::as_str)
}
