//! What a co-signer of a group may have signed here although nobody is asked.

use keep_types::{ErrorCode, Fault, GroupKeyPath, GroupMessage, GroupUse, SpendFacts, Timestamp, VaultId};
use minicbor::{Decode, Encode};

use crate::SpendLimits;

/// The owner's standing agreement to what one member of a group proposes from another vault. It is for the device that the
/// member had when it was given, and for the vault in which it was given: it ends with either.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CosignerGrant {
    /// The member.
    #[n(0)]
    pub member: u16,
    /// Its device key (32 bytes), which signs its proposals.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub device: [u8; 32],
    /// Nostr events of these kinds; of any kind if there are none; no events without it.
    #[n(2)]
    pub events: Option<Vec<u16>>,
    /// Bytes whose meaning nobody checked.
    #[n(3)]
    pub raw: bool,
    /// Bitcoin transactions within the limits on the group, which there must be.
    #[n(4)]
    pub transactions: bool,
    /// Until when; for ever without it.
    #[n(5)]
    pub until: Option<Timestamp>,
    /// How many more times; any number without it.
    #[n(6)]
    pub uses_left: Option<u32>,
    /// The vault in which it was given.
    #[n(7)]
    pub granted_in: VaultId,
}

/// What a member proposes, as far as its grant goes.
#[derive(Debug, Clone, Copy)]
pub enum Proposed<'p> {
    /// A message.
    Message {
        /// What it says.
        message: &'p GroupMessage,
        /// Under which key of the group.
        key: &'p GroupKeyPath,
    },
    /// A Bitcoin transaction, and whether the owner has limited what may leave, this amount without a question.
    Transaction {
        /// Whether that is so.
        limited: bool,
    },
}

impl<'p> Proposed<'p> {
    /// A transaction, by the owner's limits on the group. An amount above which a person is to be asked is not without a
    /// question.
    pub fn transaction(limits: Option<&SpendLimits>, facts: &SpendFacts) -> Self {
        Self::Transaction {
            limited: limits.is_some_and(|limits| limits.caps_amounts() && !limits.asks(facts)),
        }
    }

    /// Of a use of shares; none if it is no signature.
    pub fn of(usage: &'p GroupUse, limits: Option<&SpendLimits>) -> Option<Self> {
        match usage {
            GroupUse::Sign(sign) => Some(Self::Message { message: &sign.message, key: &sign.key }),
            GroupUse::Spend(spend) => Some(Self::transaction(limits, spend.spend.facts())),
            GroupUse::ExportShare { .. }
            | GroupUse::Recover
            | GroupUse::Refresh { .. }
            | GroupUse::RefreshStep { .. }
            | GroupUse::Repair { .. }
            | GroupUse::RepairStep { .. }
            | GroupUse::Split { .. } => None,
        }
    }
}

/// Why a grant does not cover a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ungranted {
    /// The member has no grant, or none for this.
    #[error("member {0} has no grant for this")]
    Nothing(u16),
    /// It has ended.
    #[error("the grant of member {0} has ended")]
    Ended(u16),
    /// It is used up.
    #[error("the grant of member {0} is used up")]
    UsedUp(u16),
    /// The member has another device now, or this is another vault.
    #[error("the grant of member {0} was given to another device, or in another vault")]
    Elsewhere(u16),
    /// Nothing limits what may be spent.
    #[error(
        "the grant of member {0} is for transactions within limits on what may leave, and there are none for this one"
    )]
    Unlimited(u16),
}

impl From<Ungranted> for Fault {
    fn from(why: Ungranted) -> Self {
        Self::new(ErrorCode::RefusedByPolicy, why.to_string())
            .with_hint("decide yourself, or give a grant with `keep frost grant`")
    }
}

impl CosignerGrant {
    /// Whether it covers a proposal that `device` has signed, in `vault`, at `now`.
    ///
    /// # Errors
    /// Why it does not.
    pub fn judge(
        &self,
        proposed: Proposed<'_>,
        device: Option<&[u8; 32]>,
        vault: VaultId,
        now: Timestamp,
    ) -> Result<(), Ungranted> {
        let member = self.member;
        if !self.holds_for(device, vault) {
            return Err(Ungranted::Elsewhere(member));
        }
        if self.until.is_some_and(|until| now >= until) {
            return Err(Ungranted::Ended(member));
        }
        if self.uses_left == Some(0) {
            return Err(Ungranted::UsedUp(member));
        }
        let covered = match proposed {
            // A child key or a Taproot output key is another key, which the grant says nothing about.
            Proposed::Message { key, .. } if *key != GroupKeyPath::default() => false,
            Proposed::Message { message: GroupMessage::Event(event), .. } => {
                let kind = event.kind.as_u16();
                self.events.as_ref().is_some_and(|kinds| kinds.is_empty() || kinds.contains(&kind))
            }
            Proposed::Message { message: GroupMessage::Raw(_), .. } => self.raw,
            // Whoever takes part in a release has hashed the file, and decides there.
            Proposed::Message {
                message: GroupMessage::FileDigest(_) | GroupMessage::TrustedComment { .. },
                ..
            } => false,
            Proposed::Transaction { limited } if self.transactions && !limited => {
                return Err(Ungranted::Unlimited(member));
            }
            Proposed::Transaction { .. } => self.transactions,
        };
        if covered { Ok(()) } else { Err(Ungranted::Nothing(member)) }
    }

    /// Whether it was given for this device of the member, and in this vault.
    pub fn holds_for(&self, device: Option<&[u8; 32]>, vault: VaultId) -> bool {
        device == Some(&self.device) && vault == self.granted_in
    }

    /// Counts a use.
    pub const fn count(&mut self) {
        if let Some(left) = &mut self.uses_left {
            *left = left.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use keep_types::GroupTweak;

    use super::*;

    const VAULT: VaultId = VaultId::from_bytes([7; 16]);

    fn plain(message: &GroupMessage) -> Proposed<'_> {
        const PLAIN: &GroupKeyPath = &GroupKeyPath { path: Vec::new(), tweak: GroupTweak::None };
        Proposed::Message { message, key: PLAIN }
    }

    #[test]
    fn a_grant_is_for_the_plain_key() {
        let raw = GroupMessage::Raw(vec![1]);
        let now = Timestamp::from_secs(1);
        for key in [
            GroupKeyPath { path: vec![0], ..GroupKeyPath::default() },
            GroupKeyPath { tweak: GroupTweak::KeyPath, ..GroupKeyPath::default() },
            GroupKeyPath { tweak: GroupTweak::ScriptTree([1; 32]), ..GroupKeyPath::default() },
        ] {
            let proposed = Proposed::Message { message: &raw, key: &key };
            assert_eq!(
                grant().judge(proposed, Some(&[3; 32]), VAULT, now),
                Err(Ungranted::Nothing(2)),
                "{key:?}"
            );
        }
    }

    fn grant() -> CosignerGrant {
        CosignerGrant {
            member: 2,
            device: [3; 32],
            events: None,
            raw: true,
            transactions: true,
            until: Some(Timestamp::from_secs(100)),
            uses_left: Some(1),
            granted_in: VAULT,
        }
    }

    #[test]
    fn transactions_need_a_limit_on_amounts() {
        let facts = SpendFacts { leaving_sats: Some(1_000), ..SpendFacts::default() };
        let limited = |limits: Option<&SpendLimits>| {
            matches!(Proposed::transaction(limits, &facts), Proposed::Transaction { limited: true })
        };
        let capped = SpendLimits { per_transaction_sats: Some(5_000), ..SpendLimits::default() };
        let asking = SpendLimits { ask_above_sats: Some(999), ..capped.clone() };
        let blocking = SpendLimits { block: vec!["x".into()], ..SpendLimits::default() };
        assert!(limited(Some(&capped)));
        let none = SpendLimits::default();
        for limits in [None, Some(&none), Some(&blocking), Some(&asking)] {
            assert!(!limited(limits), "{limits:?}");
        }
    }

    #[test]
    fn a_grant_covers_what_it_says_and_ends() {
        let now = Timestamp::from_secs(99);
        let raw = GroupMessage::Raw(vec![1]);
        let digest = GroupMessage::FileDigest(Box::new([0; 64]));
        let judge = |grant: &CosignerGrant, proposed, now| grant.judge(proposed, Some(&[3; 32]), VAULT, now);
        let mut known = grant();
        assert_eq!(judge(&known, plain(&raw), now), Ok(()));
        assert_eq!(judge(&known, plain(&digest), now), Err(Ungranted::Nothing(2)));
        assert_eq!(judge(&known, Proposed::Transaction { limited: true }, now), Ok(()));
        let free = judge(&known, Proposed::Transaction { limited: false }, now);
        assert_eq!(free, Err(Ungranted::Unlimited(2)));
        let late = judge(&known, plain(&raw), Timestamp::from_secs(100));
        assert_eq!(late, Err(Ungranted::Ended(2)));
        for (device, vault) in [([4; 32], VAULT), ([3; 32], VaultId::from_bytes([8; 16]))] {
            let other = known.judge(plain(&raw), Some(&device), vault, now);
            assert_eq!(other, Err(Ungranted::Elsewhere(2)));
        }
        assert_eq!(known.judge(plain(&raw), None, VAULT, now), Err(Ungranted::Elsewhere(2)));
        known.count();
        assert_eq!(judge(&known, plain(&raw), now), Err(Ungranted::UsedUp(2)));
        let nothing = CosignerGrant { raw: false, transactions: false, ..grant() };
        assert_eq!(judge(&nothing, plain(&raw), now), Err(Ungranted::Nothing(2)));
        let nothing = judge(&nothing, Proposed::Transaction { limited: true }, now);
        assert_eq!(nothing, Err(Ungranted::Nothing(2)));
    }
}
