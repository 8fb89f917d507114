//! What is public about a threshold key in this vault, and the nonces that it has used up.

use keep_frost::{Endorsement, FrostError, Group, Index, Provenance, SessionId};
use keep_policy::CosignerGrant;
use keep_types::{Collection, KeyId, Name, Record, RecordId, Timestamp, VaultId};
use minicbor::{Decode, Encode};

/// How many renewals that were given up are remembered: each takes 34 bytes of the record.
const MAX_GIVEN_UP: usize = 64;

/// A group as this vault knows it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GroupRecord {
    /// Which group. The same in one vault for as long as the group's key is.
    #[n(0)]
    pub id: KeyId,
    /// Its name, unique among the groups of the vault.
    #[n(1)]
    pub name: Name,
    /// Key, threshold, members, roster, public shares, suite, epoch and chain code.
    #[n(2)]
    pub group: Group,
    /// The members whose shares are in this vault, ascending.
    #[n(3)]
    pub shares: Vec<Index>,
    /// Since when it is in the vault.
    #[n(4)]
    pub created_at: Timestamp,
    /// The vault in which the epoch was known to be the group's present one. In a restored vault it is another one, and
    /// the owner has to confirm it.
    #[n(5)]
    pub confirmed_in: VaultId,
    /// The last renewal among vaults: for members that have not seen its end.
    #[n(6)]
    pub last_refresh: Option<Messages>,
    /// The group's own word for this sharing, if it was renewed: for vaults that have older shares.
    #[n(7)]
    pub endorsement: Option<Endorsement>,
    /// What members in other vaults may have signed here although nobody is asked.
    #[cbor(n(8), default)]
    pub grants: Vec<CosignerGrant>,
    /// The last renewals among vaults of this sharing that members here have begun and do not go on with, the latest last. They
    /// are not begun again: the members would say something else than before.
    #[cbor(n(9), default)]
    pub given_up: Vec<SessionId>,
}

/// The messages of a ceremony that this vault has sent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Messages {
    /// The session, 32 bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub session: [u8; 32],
    /// The messages, each as an envelope.
    #[n(1)]
    pub sent: Vec<Message>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Message(#[cbor(n(0), with = "minicbor::bytes")] pub Vec<u8>);

impl Record for GroupRecord {
    const COLLECTION: Collection = Collection::Groups;

    fn unique_name(&self) -> Option<&str> {
        Some(self.name.as_str())
    }
}

impl GroupRecord {
    /// Where a group's record lies: under its own id.
    pub const fn place(id: KeyId) -> RecordId {
        RecordId::from_bytes(*id.as_bytes())
    }

    /// Whether an existing key was split into it.
    pub const fn was_split(&self) -> bool {
        matches!(self.group.provenance(), Provenance::Split)
    }

    /// Notes renewals that members here do not go on with.
    pub(super) fn give_up(&mut self, sessions: impl IntoIterator<Item = SessionId>) {
        for session in sessions {
            self.given_up.retain(|known| *known != session);
            self.given_up.push(session);
        }
        let oldest = self.given_up.len().saturating_sub(MAX_GIVEN_UP);
        self.given_up.drain(..oldest);
    }

    /// Whether the share of this member is here.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`]; [`FrostError::NotHere`].
    pub fn expect_share(&self, index: Index) -> Result<(), FrostError> {
        self.group.member(index)?;
        if self.shares.contains(&index) { Ok(()) } else { Err(FrostError::NotHere(index)) }
    }
}

/// A nonce that is used up. Its place is a hash of its id, so that it cannot be used up twice.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BurnRecord {
    /// The group.
    #[n(0)]
    pub group: KeyId,
    /// What makes the nonce itself: `H(D‖E)` over its two public commitments.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub nonce: [u8; 32],
    /// When.
    #[n(2)]
    pub at: Timestamp,
}

impl Record for BurnRecord {
    const COLLECTION: Collection = Collection::Burns;
}
