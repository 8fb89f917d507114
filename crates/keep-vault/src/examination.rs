//! Whether an archive is whole, seen while it passes by.
//!
//! Nothing of the log is kept, and of every other record no more than what later ones are compared with. No secret is, but shares
//! of threshold keys, which are compared with their groups and wiped.

use std::collections::{BTreeMap, HashMap, HashSet};

use keep_audit::{Batch as AuditBatch, Broken, Chain, Counts, SignedCheckpoint};
use keep_store::{NameIndex, StoreError};
use keep_types::{
    Collection, DecodeError, DisplayText, ErrorCode, Fault, Name, PublicKey, Record, RecordId, Revision,
    SecretKey32, VaultId,
};

use crate::archive::{damaged, missing};
use crate::bundles::{BUNDLED, Bundle};
use crate::form::{Spot, Transport};
use crate::groups::HeldSecret;
use crate::head::LogMark;
use crate::items::item_place;
use crate::keyring::public_key;
use crate::log::{PRUNED, check_pruned, link, tampered};
use crate::mnemonic::natural_key;
use crate::records::{SecretKind, SecretRecord, key_place};
use crate::restore::{ArchiveOrigin, MOST};
use crate::secrets::{AUDIT_KEY, public_of};
use crate::segments::COUNTS;
use crate::subkeys::Subkeys;
use crate::tx::index_in;
use crate::{
    ArchivedRecord, BurnRecord, Form, Forms, GroupRecord, KeyRecord, MnemonicSecret, SecretItem, Unanswered,
    VaultError, WalletRow,
};

/// What was in an archive that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveContent {
    /// Which vault.
    pub vault: VaultId,
    /// The revision of its last commit.
    pub revision: Revision,
    /// How many keys, each with its secret.
    pub keys: u64,
    /// How many stored secrets.
    pub secrets: u64,
    /// How many records of each collection, by its number.
    pub records: BTreeMap<u8, u64>,
}

/// Looks an archive through, record by record: what is known of it up to here.
pub struct Examination {
    content: ArchiveContent,
    /// Only the name key is used, which is among the carried ones.
    keys: Subkeys,
    /// The log as the head has it, as it begins, and up to here.
    recorded: Chain,
    begin: Chain,
    chain: Chain,
    /// Where its segments end, and whether that was passed.
    mark: LogMark,
    is_past_mark: bool,
    pruned: Option<SignedCheckpoint>,
    last: Option<(u8, RecordId)>,
    names: HashSet<(u8, NameIndex)>,
    /// The records of the collection that is bundled, also those in rows of their own.
    bundled: HashSet<RecordId>,
    owners: Vec<Owner>,
    secrets: HashMap<RecordId, Secret>,
}

/// Whose secret must be there.
enum Owner {
    Key { place: RecordId, mnemonic: RecordId, name: Name, public_key: [u8; 32] },
    Item { place: RecordId, name: Name },
}

/// What is kept of a secret.
enum Secret {
    /// The public key that belongs to it.
    Identity([u8; 32]),
    Audit([u8; 32]),
    Mnemonic,
    Stored,
    /// The public key that belongs to it.
    Transport([u8; 32]),
    /// A share, a device key, or the state of a ceremony: its place says which.
    Held(HeldSecret),
    Unreadable(VaultError),
}

impl Secret {
    fn of(record: Result<SecretRecord, DecodeError>) -> Self {
        let read = || {
            let record = record?;
            Ok(match record.kind {
                SecretKind::Identity => {
                    let own = public_key(&record.key32()?)?;
                    if record.public.as_ref().is_some_and(|public| *public != own.to_hex()) {
                        return Err(VaultError::SecretMismatch);
                    }
                    Self::Identity(own.to_bytes())
                }
                SecretKind::Audit => Self::Audit(public_of(&record)?),
                SecretKind::Mnemonic => {
                    MnemonicSecret::from_secret(&record.secret).map(|_| Self::Mnemonic)?
                }
                SecretKind::Stored => Self::Stored,
                SecretKind::Transport => Self::Transport(public_key(&record.key32()?)?.to_bytes()),
                SecretKind::Share => Self::Held(HeldSecret::of(record.secret.expose())),
            })
        };
        read().unwrap_or_else(Self::Unreadable)
    }
}

/// What a later version keeps, this one would bring back without taking from it what must not work any more.
fn unknown() -> VaultError {
    VaultError::Rejected(Fault::new(
        ErrorCode::FormatTooNew,
        "the backup has records of a kind that this version of Keep does not know",
    ))
}

impl std::fmt::Debug for Examination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examination").field("content", &self.content).finish_non_exhaustive()
    }
}

impl Examination {
    /// Begins one of an archive that says this of itself.
    ///
    /// # Errors
    /// When that is damaged, or beyond what a new vault can go on from.
    pub fn new(origin: &ArchiveOrigin) -> Result<Self, VaultError> {
        let head = origin.decode_head()?;
        let carried = head.carried.clone().ok_or_else(|| damaged("its head has no name key"))?;
        let keys = Subkeys::derive(&SecretKey32::take(&mut [0; 32]), origin.vault, origin.epoch);
        let content = ArchiveContent {
            vault: origin.vault,
            revision: origin.revision,
            keys: 0,
            secrets: 0,
            records: BTreeMap::new(),
        };
        Ok(Self {
            content,
            keys: keys.with_carried(&carried),
            recorded: head.audit,
            begin: head.log_begin(),
            chain: head.log_begin(),
            mark: head.log_mark(),
            is_past_mark: false,
            pruned: None,
            last: None,
            names: HashSet::new(),
            bundled: HashSet::new(),
            owners: Vec::new(),
            secrets: HashMap::new(),
        })
    }

    /// Looks at the next record, in the order of collections and ids. `forms` knows those that the vault does not read.
    ///
    /// # Errors
    /// When it is damaged, lies elsewhere than it belongs, or is of a kind that is not known.
    pub fn look(&mut self, record: &ArchivedRecord, forms: Forms<'_>) -> Result<(), VaultError> {
        let place = (record.collection, record.id);
        // So no place comes twice.
        if self.last >= Some(place) {
            return Err(damaged("the order of its records"));
        }
        self.last = Some(place);
        if record.name.is_some_and(|name| !self.names.insert((record.collection, name))) {
            return Err(StoreError::NameTaken.into());
        }
        let collection = Collection::from_number(record.collection).ok_or_else(unknown)?;
        *self.content.records.entry(record.collection).or_default() += 1;
        if collection == BUNDLED {
            self.bundled.insert(record.id);
        }
        let form = match collection {
            Collection::Keys => {
                let key = KeyRecord::from_cbor(&record.cbor)?;
                let form = Form::at(&key, key_place(key.id));
                self.key(key);
                form
            }
            Collection::Items => {
                let item = SecretItem::from_cbor(&record.cbor)?;
                let form = Form::at(&item, item_place(item.id));
                self.item(item);
                form
            }
            Collection::Secrets => {
                let secret = SecretRecord::from_cbor(&record.cbor);
                let form = secret.as_ref().ok().map(Form::anywhere);
                self.secrets.insert(record.id, Secret::of(secret));
                // Whether one that does not decode is missed, its owner says.
                let Some(form) = form else { return Ok(()) };
                form
            }
            Collection::Audit => return self.piece(record),
            Collection::Checkpoints => return self.stands_for_log(record),
            Collection::Groups => {
                let group = GroupRecord::from_cbor(&record.cbor)?;
                self.holds(&group)?;
                Form::at(&group, GroupRecord::place(group.id))
            }
            Collection::Burns => {
                let burn = BurnRecord::from_cbor(&record.cbor)?;
                Form::by(&burn, &burn.nonce)
            }
            Collection::Unanswered => {
                let revision = Unanswered::revision_at(&record.id);
                if revision > self.content.revision {
                    return Err(damaged("the place of a record"));
                }
                Form::at(&Unanswered::from_cbor(&record.cbor)?, Unanswered::place(revision))
            }
            Collection::Bundles => return self.bundle(record, forms),
            Collection::Wallets => {
                let row = WalletRow::from_cbor(&record.cbor)?;
                Form::by(&row, &row.natural_key())
            }
            _ => forms(collection, &record.cbor)?.ok_or_else(unknown)?,
        };
        if let Some(transport) = form.transport {
            self.speaks_of(transport, form.name.as_deref())?;
        }
        self.belongs(record.id, record.name.as_ref(), collection, &form)
    }

    /// Records that lie together, where the commit that added them put them. Each is where no other is.
    fn bundle(&mut self, record: &ArchivedRecord, forms: Forms<'_>) -> Result<(), VaultError> {
        let revision = Bundle::revision_at(&record.id);
        if revision > self.content.revision || record.id != Bundle::place(revision) {
            return Err(damaged("the place of a record"));
        }
        if record.name.is_some() {
            return Err(damaged("the index of a name"));
        }
        let number = BUNDLED.number();
        for bundled in &Bundle::from_cbor(&record.cbor)?.0 {
            if bundled.name.is_some_and(|name| !self.names.insert((number, name))) {
                return Err(StoreError::NameTaken.into());
            }
            if !self.bundled.insert(bundled.id) {
                return Err(damaged("the place of a record"));
            }
            let form = forms(BUNDLED, &bundled.plain)?.ok_or_else(unknown)?;
            self.belongs(bundled.id, bundled.name.as_ref(), BUNDLED, &form)?;
        }
        Ok(())
    }

    /// Whether what is there of a group's shares and device keys decodes, and is the group's. What is missing shows in the group,
    /// and is no reason to lose the rest: accepting damage leaves such a group.
    fn holds(&self, group: &GroupRecord) -> Result<(), VaultError> {
        for place in group.secret_places() {
            match self.secrets.get(&place.at) {
                None => {}
                Some(Secret::Held(held)) => held.check(group, &place)?,
                Some(_) => HeldSecret::Other.check(group, &place)?,
            }
        }
        Ok(())
    }

    /// Whether a transport key, if it is there, is one, and the one that is spoken of by what has this name.
    fn speaks_of(&self, transport: Transport, name: Option<&str>) -> Result<(), VaultError> {
        let bad = |reason: &str| {
            let whose = match (name, transport.public.map(PublicKey::from_byte_array)) {
                (Some(name), _) => format!("the transport key of \"{}\"", DisplayText::new(name)),
                (None, Some(public)) => {
                    format!("the transport key of the address bunker://{}", public.to_hex())
                }
                (None, None) => "a transport key".to_owned(),
            };
            Err(VaultError::Record { collection: "secrets", reason: format!("{whose} {reason}") })
        };
        match (self.secrets.get(&transport.place), transport.public) {
            (None, _) | (Some(Secret::Transport(_)), None) => Ok(()),
            (Some(Secret::Transport(own)), Some(public)) if *own == public => Ok(()),
            (Some(Secret::Transport(_)), Some(_)) => bad("is not the one that its public key follows from"),
            (Some(Secret::Unreadable(_)), _) => bad("is none"),
            (Some(_), _) => bad("is a secret of another kind"),
        }
    }

    /// Whether a record lies where it is looked for, and is found by the name that it has.
    fn belongs(
        &self,
        id: RecordId,
        name: Option<&NameIndex>,
        collection: Collection,
        form: &Form,
    ) -> Result<(), VaultError> {
        let is_there = match &form.spot {
            Spot::At(place) => *place == id,
            Spot::By(natural) => self.keys.locate(collection, natural) == id,
            Spot::Anywhere => true,
        };
        if !is_there {
            return Err(damaged("the place of a record"));
        }
        let index = form.name.as_ref().map(|name| index_in(&self.keys, collection, name));
        if index.as_ref() == name { Ok(()) } else { Err(damaged("the index of a name")) }
    }

    /// A piece of the log, which lies at the number of its first entry.
    fn piece(&mut self, record: &ArchivedRecord) -> Result<(), VaultError> {
        self.pass_mark()?;
        if record.id != AuditBatch::place(self.chain.next_seq) {
            return Err(damaged("the order of the log"));
        }
        let linked = link(&record.cbor, &mut self.chain, &[], &mut Vec::new());
        linked.map(drop).map_err(|broken| tampered(&broken))
    }

    /// What stands for the log as a whole.
    fn stands_for_log(&mut self, record: &ArchivedRecord) -> Result<(), VaultError> {
        match record.id {
            PRUNED => self.pruned = Some(SignedCheckpoint::from_cbor(&record.cbor)?),
            COUNTS => {
                let counts = Counts::from_cbor(&record.cbor)?;
                let all = counts.iter().try_fold(0, |all: u64, count| all.checked_add(count.entries));
                if all.is_none_or(|all| all > MOST) {
                    return Err(damaged("the counts of the log"));
                }
            }
            _ => return Err(damaged("the place of a record")),
        }
        if record.name.is_some() { Err(damaged("the index of a name")) } else { Ok(()) }
    }

    /// Whether the log, where its segments are said to end, is what it is said to be there.
    fn pass_mark(&mut self) -> Result<(), VaultError> {
        if self.chain.next_seq != self.mark.next {
            return Ok(());
        }
        self.is_past_mark = true;
        if self.chain.hash == self.mark.hash { Ok(()) } else { Err(tampered(&Broken::Changed)) }
    }

    fn key(&mut self, key: KeyRecord) {
        self.content.keys += 1;
        let mnemonic = self.keys.locate(Collection::Secrets, &natural_key(key.id));
        let KeyRecord { id, name, public_key, .. } = key;
        self.owners.push(Owner::Key { place: key_place(id), mnemonic, name, public_key });
    }

    fn item(&mut self, item: SecretItem) {
        self.content.secrets += 1;
        self.owners.push(Owner::Item { place: item_place(item.id), name: item.name });
    }

    /// There are no more records: whether all belongs together.
    ///
    /// # Errors
    /// When something is missing, or does not belong to the rest.
    pub fn end(mut self) -> Result<ArchiveContent, VaultError> {
        self.pass_mark()?;
        if !self.is_past_mark {
            return Err(damaged("the end of the log's segments"));
        }
        for owner in &self.owners {
            self.check(owner)?;
        }
        let signer = match self.secrets.get(&AUDIT_KEY) {
            Some(Secret::Unreadable(error)) => return Err(error.clone()),
            Some(Secret::Audit(public_key)) => Some(public_key),
            _ => None,
        };
        check_pruned(self.pruned.as_ref(), self.begin, signer)?;
        self.chain.compare(&self.recorded).map_err(|broken| tampered(&broken))?;
        Ok(self.content)
    }

    /// Whether a key or stored secret has its secret, and the right one.
    fn check(&self, owner: &Owner) -> Result<(), VaultError> {
        match owner {
            Owner::Key { place, mnemonic, name, public_key } => {
                match self.secrets.get(place) {
                    Some(Secret::Identity(own)) if own == public_key => {}
                    Some(Secret::Identity(_)) => return Err(VaultError::SecretMismatch),
                    Some(Secret::Unreadable(error)) => return Err(error.clone()),
                    _ => return Err(missing(name)),
                }
                match self.secrets.get(mnemonic) {
                    Some(Secret::Unreadable(error)) => Err(error.clone()),
                    _ => Ok(()),
                }
            }
            Owner::Item { place, name } => match self.secrets.get(place) {
                Some(Secret::Stored) => Ok(()),
                Some(Secret::Unreadable(error)) => Err(error.clone()),
                _ => Err(missing(name)),
            },
        }
    }
}
