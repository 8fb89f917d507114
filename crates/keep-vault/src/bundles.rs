//! Requests that lie together: those that one commit added, in one row.
//!
//! A busy bunker adds a request's record with each signature. In a row of its own, each would cost the store a page of the
//! index of ids and one of the index of names, in random places. In a bundle they cost one row at the end of the table;
//! where each lies is held in memory instead. Records that are large, or more than fit in memory, have rows of their own.

use std::collections::HashMap;

use keep_audit::Chain;
use keep_store::NameIndex;
use keep_types::{Collection, Record, RecordId, Revision};
use minicbor::{Decode, Encode};
use zeroize::{Zeroize, Zeroizing};

use crate::VaultError;
use crate::head::{Head, History};

/// The collection whose records are bundled.
pub(crate) const BUNDLED: Collection = Collection::Requests;

/// How many records lie in bundles, beyond which new ones have rows of their own: each takes about 70 bytes of memory.
pub(crate) const MOST_BUNDLED: usize = if cfg!(test) { 12 } else { 1 << 17 };

/// How long a record in a bundle may be when it is added, in bytes.
pub(crate) const LONGEST_BUNDLED: usize = 4096;

/// How long the records of a bundle may be together when it is made, in bytes: it is written again when one of them changes.
pub(crate) const LONGEST_BUNDLE: usize = if cfg!(test) { 8 << 10 } else { 64 << 10 };

/// After how many commits a full index is read anew, where others may have taken records out.
const READ_ANEW: u64 = if cfg!(test) { 3 } else { 1000 };

/// The records that one commit added. It lies where [`Bundle::place`] says; a record stays in its bundle when it is changed.
#[derive(Debug, Default, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct Bundle(#[n(0)] pub Vec<Bundled>);

/// One record of a bundle.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Bundled {
    /// Where it is looked for.
    #[n(0)]
    pub id: RecordId,
    /// Its CBOR.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub plain: Vec<u8>,
    /// The keyed hash of its unique name.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub name: Option<NameIndex>,
}

impl Record for Bundle {
    const COLLECTION: Collection = Collection::Bundles;
}

impl Bundle {
    /// Where the commit with this revision puts what it adds: the number in the last 8 bytes, big-endian.
    pub fn place(revision: Revision) -> RecordId {
        RecordId::numbered(revision.get())
    }

    /// The revision of the commit that added what lies at `place`.
    pub const fn revision_at(place: &RecordId) -> Revision {
        Revision::new(place.number())
    }

    /// The record that has this name.
    pub fn named(&self, name: &NameIndex) -> Option<&Bundled> {
        self.0.iter().find(|bundled| bundled.name.as_ref() == Some(name))
    }

    pub fn find(&self, id: &RecordId) -> Option<&Bundled> {
        self.0.iter().find(|bundled| bundled.id == *id)
    }

    /// The same with each record as `change` leaves it; `None` where it changes none of them.
    pub fn with_each(
        cbor: &[u8],
        mut change: impl FnMut(&[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let mut bundle = Self::from_cbor(cbor)?;
        let mut changed = false;
        for bundled in &mut bundle.0 {
            if let Some(mut plain) = change(&bundled.plain)? {
                bundled.plain.zeroize();
                bundled.plain = std::mem::take(&mut *plain);
                changed = true;
            }
        }
        Ok(if changed { Some(bundle.to_cbor()?) } else { None })
    }
}

impl Drop for Bundled {
    fn drop(&mut self) {
        self.plain.zeroize();
    }
}

impl std::fmt::Debug for Bundled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundled").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A state that can be known again by the log: with the commit of this revision it came to this end. The chain of the log says
/// nothing of revisions; which commit wrote an entry shows in its row only, until that goes into a segment. So two histories
/// with the very same entries, of the same moments, are told apart by that for a while, and after it they are not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    pub revision: Revision,
    pub log: Chain,
}

/// In which bundle a record lies, and who has a name. What it says is to be checked there: another process may have taken a
/// record out or its name away since. What it does not say is in no bundle up to the revision that it knows.
#[derive(Default)]
pub(crate) struct BundleIndex {
    known_to: Option<Revision>,
    places: HashMap<Short, Revision>,
    names: HashMap<Short, Revision>,
    /// When everything was read, and not only what was new.
    read_at: Revision,
    staged: Option<Staged>,
    /// The bundle that was opened last, as it is in the store.
    opened: Option<(Revision, Bundle)>,
    /// Why what is there at this revision cannot be read.
    unreadable: Option<(Revision, VaultError)>,
    /// Of which history all this is.
    history: Option<History>,
    /// What of this holds whatever others have made of the vault since, if they went on from there at all.
    base: Option<Base>,
}

/// A state of the vault that is known again by its anchor, and what was known of it: everything that bundles up to a revision
/// held at that time, whoever may have taken it out later.
struct Base {
    anchor: Anchor,
    known_to: Option<Revision>,
    /// What was known since, the latest last, as it was before.
    undo: Vec<Undo>,
}

/// A place or a name, and in which bundle it was before.
enum Undo {
    Place(Short, Option<Revision>),
    Name(Short, Option<Revision>),
}

/// How much is taken back at most, beyond which everything is read anew.
pub(crate) const MOST_UNDONE: usize = MOST_BUNDLED;

/// The beginning of an id or of a name's index. Both are keyed hashes, so that nobody can make two begin with the same 8 bytes,
/// and among as many as are bundled no two do so by chance.
type Short = [u8; 8];

/// What a commit that is under way does to bundles.
pub(crate) struct Staged {
    /// Its revision. Everything before it is known.
    pub revision: Revision,
    /// What lies in its own bundle.
    pub added: Vec<(RecordId, Option<NameIndex>)>,
    /// What lies in an earlier bundle no more.
    pub removed: Vec<RecordId>,
    /// Names that were given up.
    pub unnamed: Vec<NameIndex>,
}

impl BundleIndex {
    /// Up to which revision every bundle is known.
    pub const fn known_to(&self) -> Option<Revision> {
        self.known_to
    }

    /// The vault has this head, which another process has left; `anchor` is that state's own, if it has one. Goes back to the last
    /// anchor that was known here, if `has_come_from` says that the vault has gone on from there, and else forgets everything.
    /// What came after that anchor may be gone: records may lie where they were taken out of here, and others in bundles of
    /// revisions that were used here.
    pub fn follow(
        &mut self,
        head: &Head,
        anchor: Option<Anchor>,
        has_come_from: impl FnOnce(&Anchor) -> bool,
    ) {
        let is_later =
            self.history == head.history && self.known_to.is_some_and(|known| known < head.revision);
        let common = self.base.take().filter(|base| {
            // Without anything that was known then, there is nothing to go back to.
            is_later && base.known_to.is_some() && has_come_from(&base.anchor)
        });
        match common {
            Some(common) => self.go_back(common),
            None => *self = Self { history: head.history, ..Self::default() },
        }
        // A state without an anchor may not be known again, so that the last one stays.
        if let Some(anchor) = anchor {
            self.rest_on(anchor);
        }
    }

    fn go_back(&mut self, mut base: Base) {
        for undo in base.undo.drain(..).rev() {
            let (map, short, before) = match undo {
                Undo::Place(short, before) => (&mut self.places, short, before),
                Undo::Name(short, before) => (&mut self.names, short, before),
            };
            match before {
                Some(revision) => map.insert(short, revision),
                None => map.remove(&short),
            };
        }
        self.known_to = base.known_to;
        self.base = Some(base);
    }

    /// What is known now holds from this anchor on.
    fn rest_on(&mut self, anchor: Anchor) {
        self.base = Some(Base { anchor, known_to: self.known_to, undo: Vec::new() });
    }

    fn can_undo(&mut self, undo: Undo) {
        let Some(base) = self.base.as_mut().filter(|base| base.known_to.is_some()) else { return };
        base.undo.push(undo);
        if base.undo.len() > MOST_UNDONE {
            self.base = None;
        }
    }

    /// The anchor, if it is of this very state.
    fn anchor_at(&self, now: Revision) -> Option<Anchor> {
        self.base.as_ref().map(|base| base.anchor).filter(|anchor| anchor.revision == now)
    }

    /// Nothing is known.
    fn forget(&mut self, now: Revision) {
        let anchor = self.anchor_at(now);
        *self = Self { history: self.history, ..Self::default() };
        // What others took out since an earlier one will not be read.
        if let Some(anchor) = anchor {
            self.rest_on(anchor);
        }
    }

    /// Why nothing can be looked up at this revision.
    pub fn unreadable(&self, now: Revision) -> Option<&VaultError> {
        self.unreadable.as_ref().filter(|(at, _)| *at == now).map(|(_, error)| error)
    }

    /// From which revision on bundles are to be read to know all of them at `now`; from the first on if this gives none.
    pub fn read_from(&mut self, now: Revision) -> Option<Revision> {
        self.opened = None;
        let is_stale = self.len() >= MOST_BUNDLED && now.get() >= self.read_at.get() + READ_ANEW;
        let known = self.known_to.filter(|_| !is_stale);
        if known.is_none() {
            self.forget(now);
            self.read_at = now;
        }
        known.map(Revision::next)
    }

    /// The bundle of this revision, if it was opened last.
    pub fn opened(&self, revision: Revision) -> Option<&Bundle> {
        self.opened.as_ref().filter(|(opened, _)| *opened == revision).map(|(_, bundle)| bundle)
    }

    pub fn keep_open(&mut self, revision: Revision, bundle: Bundle) {
        self.opened = Some((revision, bundle));
    }

    /// How many records lie in bundles.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn revision_of(&self, id: &RecordId) -> Option<Revision> {
        self.places.get(&short(id.as_bytes())).copied()
    }

    /// In which bundle the record lies that has this name.
    pub fn revision_of_name(&self, name: &NameIndex) -> Option<Revision> {
        self.names.get(&short(name)).copied()
    }

    /// Takes up a bundle that was read.
    pub fn learn(&mut self, revision: Revision, bundle: &Bundle) {
        bundle.0.iter().for_each(|bundled| self.add(revision, bundled.id, bundled.name));
    }

    /// Every bundle up to this revision was read, or why not.
    pub fn knows(&mut self, revision: Revision, outcome: &Result<(), VaultError>) {
        match outcome {
            Ok(()) => {
                self.known_to = Some(revision);
                if let Some(anchor) = self.anchor_at(revision) {
                    self.rest_on(anchor);
                }
            }
            Err(error) => {
                self.forget(revision);
                self.unreadable = Some((revision, error.clone()));
            }
        }
    }

    /// What the commit that is under way does, once it is durable.
    pub fn stage(&mut self, staged: Staged) {
        self.staged = Some(staged);
    }

    /// How the commit ended, and what state it left if it wrote the end of the log.
    pub fn settle(&mut self, is_committed: bool, anchor: Option<Anchor>) {
        self.opened = None;
        if let Some(staged) = self.staged.take().filter(|_| is_committed) {
            self.commit(staged);
        }
        if let Some(anchor) = anchor {
            self.rest_on(anchor);
        }
    }

    fn commit(&mut self, staged: Staged) {
        for id in staged.removed {
            let short = short(id.as_bytes());
            let before = self.places.remove(&short);
            self.can_undo(Undo::Place(short, before));
        }
        for name in staged.unnamed {
            let short = short(&name);
            let before = self.names.remove(&short);
            self.can_undo(Undo::Name(short, before));
        }
        for (id, name) in staged.added {
            self.add(staged.revision, id, name);
        }
        self.known_to = Some(staged.revision);
    }

    fn add(&mut self, revision: Revision, id: RecordId, name: Option<NameIndex>) {
        let place = short(id.as_bytes());
        let before = self.places.insert(place, revision);
        self.can_undo(Undo::Place(place, before));
        if let Some(name) = name {
            let name = short(&name);
            let before = self.names.insert(name, revision);
            self.can_undo(Undo::Name(name, before));
        }
    }
}

fn short(hash: &[u8]) -> Short {
    hash.first_chunk().copied().unwrap_or_default()
}
