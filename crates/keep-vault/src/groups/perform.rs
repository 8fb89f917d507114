//! The use of shares, as a permit says.

use std::collections::BTreeSet;

use keep_audit::{Action, Draft, Outcome};
use keep_frost::sign::{Package, Proposal};
use keep_frost::{
    Endorsement, FrostError, Index, KeySpec, Message, NonceId, SecretShare, Suite, Tweak, dealer,
};
use keep_types::{
    Answer, EventId, GroupKeyPath, GroupMessage, GroupSign, GroupTweak, GroupUse, KeyId, Name, Origin,
    SecretBytes, UnsignedEvent,
};
use rand_core::OsRng;

use super::change::{forget_member, list, put_holding};
use super::under_way::RightOfWay;
use super::{GroupRecord, Holding, changed_meanwhile};
use crate::records::{SecretKind, key_place};
use crate::{Vault, VaultError};

/// What is signed, in the words of policy.
pub fn group_message(message: &Message) -> GroupMessage {
    match message {
        Message::Event(event) => GroupMessage::Event(event.clone()),
        Message::FileDigest(digest) => GroupMessage::FileDigest(Box::new(*digest)),
        Message::TrustedComment { signature, comment } => GroupMessage::TrustedComment {
            signature: Box::new(*signature.as_bytes()),
            comment: comment.clone(),
        },
        Message::Raw(bytes) => GroupMessage::Raw(bytes.clone()),
    }
}

/// Which key of a group signs, in the words of policy.
pub fn group_key_path(spec: &KeySpec) -> GroupKeyPath {
    let tweak = match spec.tweak {
        Tweak::None => GroupTweak::None,
        Tweak::KeyPath => GroupTweak::KeyPath,
        Tweak::ScriptTree(root) => GroupTweak::ScriptTree(root),
    };
    GroupKeyPath { path: spec.path.clone(), tweak }
}

/// The next epoch of a group, with the shares of it that are here.
pub(super) struct NextSharing {
    pub group: keep_frost::Group,
    pub holdings: Vec<Holding>,
    /// What this vault sent in the renewal, if it was one among vaults.
    pub last_refresh: Option<super::record::Messages>,
    /// The group's own word for it.
    pub endorsement: Option<Endorsement>,
    /// The nonces that this took.
    pub burns: Vec<NonceId>,
    /// On what terms it takes the place of renewals that are under way.
    pub way: RightOfWay,
}

impl Vault {
    /// Uses shares. The record is durable, or it is under way where a whole signature is made, which waits for it.
    pub(crate) fn perform_group(&self, key: KeyId, usage: GroupUse) -> Result<Answer, VaultError> {
        match usage {
            GroupUse::Sign(sign) => self.sign_with_shares(key, &sign),
            GroupUse::Spend(spend) => self.spend_with_shares(key, spend),
            GroupUse::ExportShare { index } => Ok(Answer::Share(self.export_share(key, member(index)?)?)),
            GroupUse::Recover => self.recover_key(key),
            GroupUse::Refresh { keep, abandon } => self.refresh_here(key, &members(&keep)?, abandon),
            GroupUse::RefreshStep { keep, messages, abandon } => {
                let keep = keep.as_deref().map(members).transpose()?;
                self.refresh_step(key, keep.as_ref(), &messages, abandon).map(Answer::Ceremony)
            }
            GroupUse::Repair { index, abandon } => self.repair_here(key, member(index)?, abandon),
            GroupUse::RepairStep { index, messages, abandon } => {
                self.repair_step(key, member(index)?, &messages, abandon).map(Answer::Ceremony)
            }
            GroupUse::Split { name, threshold, members } => self.split_key(key, name, threshold, members),
        }
    }

    fn sign_with_shares(&self, id: KeyId, sign: &GroupSign) -> Result<Answer, VaultError> {
        let session = self.secrets.sessions.take(&self.shared.shield, id, &sign.session)?;
        let burns: BTreeSet<[u8; 32]> = session.burns().iter().map(|burn| *burn.as_bytes()).collect();
        if burns != sign.nonces.iter().copied().collect() {
            return Err(FrostError::NotBurnt.into());
        }
        if !is_about(session.proposal(), sign) {
            return Err(FrostError::Internal("a session that is about something else than was judged").into());
        }
        let record = self.signing_group(id)?;
        let Some(package) = &sign.package else {
            let signers: Vec<Index> = session.commitments().map(|(index, _)| index).collect();
            let shares = self.shares(&record, &signers)?;
            let shares: Vec<&SecretShare> = shares.iter().collect();
            let signature = session.finish(&record.group, &shares)?;
            return Ok(Answer::Signature(Box::new(*signature.as_bytes())));
        };
        Ok(Answer::SignatureShares(self.answer_part(&record, session, &decoded(package)?)?))
    }

    fn export_share(&self, id: KeyId, index: Index) -> Result<SecretBytes, VaultError> {
        let record = self.group(id)?;
        let holding = self.holding(&record, index)?;
        holding.share.check(&record.group)?;
        holding.to_record()
    }

    fn recover_key(&self, id: KeyId) -> Result<Answer, VaultError> {
        let record = self.group(id)?;
        let held = self.shares(&record, &record.shares)?;
        let shares: Vec<&SecretShare> = held.iter().collect();
        Ok(Answer::SecretKey(dealer::recover(&record.group, &shares)?))
    }

    fn refresh_here(&self, id: KeyId, keep: &BTreeSet<Index>, abandon: bool) -> Result<Answer, VaultError> {
        let record = self.signing_group(id)?;
        let way = RightOfWay { abandon, ..RightOfWay::default() };
        self.expect_way(&record, &way)?;
        let held = self.shares(&record, &record.shares)?;
        let shares: Vec<&SecretShare> = held.iter().collect();
        let (group, renewed) = dealer::refresh(&record.group, &shares, keep, &mut OsRng)?;
        drop(shares);
        let fresh: Vec<&SecretShare> = renewed.iter().collect();
        let (endorsement, burns) = Endorsement::sign(&group, &fresh, &mut OsRng)?;
        let mut new = Vec::with_capacity(renewed.len());
        for share in renewed {
            let device = self.device_key(id, share.index()).ok();
            new.push(Holding { share, device });
        }
        let endorsement = Some(endorsement);
        let next = NextSharing { group, holdings: new, last_refresh: None, endorsement, burns, way };
        self.replace_sharing(&record, next)?;
        Ok(Answer::Done)
    }

    /// Puts the next epoch in the place of the present one: record and all shares that are here, in one commit.
    pub(super) fn replace_sharing(&self, old: &GroupRecord, next: NextSharing) -> Result<(), VaultError> {
        let NextSharing { group, holdings, last_refresh, endorsement, burns, way } = next;
        let (id, before) = (old.id, old.group.clone());
        let mut secrets = Vec::with_capacity(holdings.len());
        for holding in &holdings {
            holding.share.check(&group)?;
            secrets.push((holding.share.index(), holding.to_record()?));
        }
        drop(holdings);
        self.submit(move |tx| {
            let place = GroupRecord::place(id);
            let mut record: GroupRecord = tx.get(&place)?.ok_or(VaultError::NoSuchKey)?;
            if record.group.sharing() != before.sharing() {
                return Err(FrostError::WrongSharing.into());
            }
            if record.group != before {
                return Err(changed_meanwhile());
            }
            way.take(tx, &mut record)?;
            for index in std::mem::take(&mut record.shares) {
                forget_member(tx, id, &record.group, index)?;
            }
            for (index, secret) in secrets {
                put_holding(tx, id, index, secret)?;
                record.shares.push(index);
            }
            record.group = group;
            record.last_refresh = last_refresh;
            record.given_up.clear();
            record.endorsement = endorsement;
            burns.iter().try_for_each(|nonce| super::burn(tx, id, nonce.as_bytes()))?;
            tx.put(place, &record)?;
            let reason = format!(
                "{}: epoch {}, shares of members {} here",
                record.name,
                record.group.epoch(),
                list(&record.shares)
            );
            let entry = Draft::new(Action::GroupChanged, Outcome::Allowed, &Origin::Cli);
            tx.audit(entry.key(id).reason(reason));
            Ok(())
        })
        .wait()?;
        self.secrets.sessions.forget(id);
        Ok(())
    }

    fn split_key(&self, key: KeyId, name: Name, threshold: u16, members: u16) -> Result<Answer, VaultError> {
        let secret = self.read_secret(&key_place(key), SecretKind::Identity)?.ok_or(VaultError::NoSuchKey)?;
        let dealt = dealer::split(Suite::Secp256k1Tr, &secret.key32()?, threshold, members, &mut OsRng)?;
        self.add_dealt(name, dealt, Some(key))?;
        Ok(Answer::Done)
    }
}

/// The coordinator's package.
pub(super) fn decoded(package: &[u8]) -> Result<Package, FrostError> {
    minicbor::decode(package).map_err(|_| FrostError::Malformed {
        what: "round message",
        reason: "the package has another form".into(),
    })
}

fn member(index: u16) -> Result<Index, FrostError> {
    Index::new(u64::from(index))
}

fn members(indices: &[u16]) -> Result<BTreeSet<Index>, FrostError> {
    indices.iter().map(|index| member(*index)).collect()
}

/// Whether a session signs exactly what was judged.
fn is_about(proposal: &Proposal, sign: &GroupSign) -> bool {
    if group_key_path(proposal.spec()) != sign.key {
        return false;
    }
    match (proposal.message(), &sign.message) {
        (Message::Event(ours), GroupMessage::Event(judged)) => id_of(ours) == id_of(judged),
        (Message::FileDigest(ours), GroupMessage::FileDigest(judged)) => *ours == **judged,
        (
            Message::TrustedComment { signature, comment },
            GroupMessage::TrustedComment { signature: judged, comment: said },
        ) => signature.as_bytes() == &**judged && comment == said,
        (Message::Raw(ours), GroupMessage::Raw(judged)) => ours == judged,
        (
            Message::Event(_) | Message::FileDigest(_) | Message::TrustedComment { .. } | Message::Raw(_),
            _,
        ) => false,
    }
}

/// Computed from the fields, whatever id is written beside them.
fn id_of(event: &UnsignedEvent) -> EventId {
    EventId::new(&event.pubkey, &event.created_at, &event.kind, &event.tags, &event.content)
}
