//! How much is wrong with a vault, kind by kind.

use std::collections::BTreeMap;
use std::fmt;

use keep_audit::Fingerprint;
use keep_store::Row;
use keep_types::counted;

use crate::head::{Head, Sum};
use crate::seal::{leaf, open_row, row_aad};
use crate::subkeys::Subkeys;
use crate::vault::Identity;
use crate::verify::word;

/// What is wrong with the records of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindDamage {
    /// The kind.
    pub kind: &'static str,
    /// How many fewer there are than were written.
    pub missing: u64,
    /// How many do not open.
    pub unreadable: u64,
    /// How many more there are than were written.
    pub added: u64,
    /// How many are newer than the vault's head.
    pub newer: u64,
    /// Whether at least one was replaced by an older one: all open and none is missing, but they are not those that were written.
    pub replaced: bool,
}

impl KindDamage {
    fn is_none(&self) -> bool {
        (self.missing, self.unreadable, self.added, self.newer, self.replaced) == (0, 0, 0, 0, false)
    }
}

/// As it stands in the log: `grants: 1 missing, 2 do not open`.
impl fmt::Display for KindDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: u64, what: &str| (number > 0).then(|| format!("{number} {what}"));
        let parts = [
            count(self.missing, "missing"),
            count(self.unreadable, "unreadable"),
            count(self.added, "too many"),
            count(self.newer, "newer than the vault"),
            self.replaced.then(|| "replaced by older ones".to_owned()),
        ];
        write!(f, "{}: {}", self.kind, parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// Counts what is wrong with these rows under this head. Kinds of which every record is as it was written are left out.
pub(crate) fn count(rows: &[Row], keys: &Subkeys, identity: Identity, head: &Head) -> Vec<KindDamage> {
    let mut found: BTreeMap<u8, (u64, Sum, KindDamage)> = BTreeMap::new();
    for tally in &head.tallies {
        found.entry(tally.collection).or_default();
    }
    for row in rows {
        let number = head.tally_number(row.collection, &row.id);
        let (count, sum, damage) = found.entry(number).or_default();
        *count += 1;
        sum.add(&leaf(keys.leaf(), &row_aad(identity.vault, identity.epoch, row.into()), &row.sealed));
        damage.unreadable += u64::from(open_row(keys, identity.vault, identity.epoch, row).is_err());
        damage.newer += u64::from(row.revision > head.revision);
    }
    let of_kind = found.into_iter().map(|(number, (count, sum, mut damage))| {
        let recorded = head.tallies.iter().find(|tally| tally.collection == number);
        let (expected, expected_sum) = recorded.map_or((0, Sum::default()), |tally| (tally.count, tally.sum));
        damage.kind = word(number);
        damage.missing = expected.saturating_sub(count);
        damage.added = count.saturating_sub(expected);
        damage.replaced = damage.is_none() && sum != expected_sum;
        damage
    });
    of_kind.filter(|damage| !damage.is_none()).collect()
}

/// The beginning of the log's entry: the counts, what became of the log, and whether it has another signer.
pub(crate) fn summary(
    kinds: &[KindDamage],
    removed: u64,
    log_removed: u64,
    signer: Option<&Fingerprint>,
) -> String {
    let counts = kinds.iter().map(ToString::to_string);
    let rest = [
        (removed > 0).then(|| format!("{} taken out", counted(removed, "record"))),
        (log_removed > 0).then(|| format!("{} of the log gone", counted(log_removed, "entry"))),
        signer.map(|signer| format!("the log has another signer from here on, {signer}")),
    ];
    counts.chain(rest.into_iter().flatten()).collect::<Vec<_>>().join("; ")
}
