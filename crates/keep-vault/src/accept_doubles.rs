//! Bundled records of which something else than Keep put an older one back beside the one that took its place or name.

use std::collections::{HashMap, HashSet};

use keep_store::Row;
use keep_types::{Collection, Record, RecordId};
use zeroize::Zeroizing;

use crate::VaultError;
use crate::bundles::{BUNDLED, Bundle};
use crate::seal::open_row;
use crate::subkeys::Subkeys;
use crate::vault::Identity;

/// What bundles are to hold, by their places, where that is less than they do; and how many records go. In rows of their own
/// the store keeps places and names apart; among bundles the record of the latest commit stays.
pub(crate) struct Doubles {
    pub kept: HashMap<RecordId, Zeroizing<Vec<u8>>>,
    pub removed: u64,
}

impl Doubles {
    pub fn of(rows: &[Row], keys: &Subkeys, identity: Identity) -> Result<Self, VaultError> {
        let of =
            |collection: Collection| rows.iter().filter(move |row| row.collection == collection.number());
        let opens = |row: &&Row| open_row(keys, identity.vault, identity.epoch, row).is_ok();
        let mut places: HashSet<RecordId> = of(BUNDLED).filter(opens).map(|row| row.id).collect();
        let mut names: HashSet<_> = of(BUNDLED).filter(opens).filter_map(|row| row.name).collect();
        let mut bundles: Vec<&Row> = of(Collection::Bundles).collect();
        bundles.sort_by_key(|row| std::cmp::Reverse(row.id));
        let mut doubles = Self { kept: HashMap::new(), removed: 0 };
        for row in bundles {
            let Ok(plain) = open_row(keys, identity.vault, identity.epoch, row) else { continue };
            let Ok(mut bundle) = Bundle::from_cbor(&plain) else { continue };
            let before = bundle.0.len();
            bundle.0.retain(|bundled| {
                places.insert(bundled.id) && bundled.name.is_none_or(|name| names.insert(name))
            });
            if bundle.0.len() < before {
                doubles.removed += (before - bundle.0.len()) as u64;
                doubles.kept.insert(row.id, bundle.to_cbor()?);
            }
        }
        Ok(doubles)
    }
}
