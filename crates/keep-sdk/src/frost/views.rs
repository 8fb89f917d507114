//! What front ends show of threshold keys.

use keep_frost::minisign::PublicKeyFile;
use keep_frost::{Network, Provenance, Status};
use keep_types::{DisplayText, ErrorCode, Fault, PublicKey, SecretText, VaultId};
use keep_vault::GroupRecord;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cosigners::CosignerView;
use crate::call::secret;
use crate::views::npub;

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Its public key in bech32 (NIP-19; for an Ed25519 group the same encoding of its 32 bytes).
    pub npub: String,
    /// Its public key in hexadecimal (32 bytes).
    pub pubkey: String,
    /// `secp256k1-tr` or `ed25519`.
    pub suite: String,
    /// How many members must sign together.
    pub threshold: u16,
    /// The members.
    pub members: Vec<MemberView>,
    /// The members whose shares are in this vault.
    pub shares: Vec<u16>,
    /// How often the shares were renewed.
    pub epoch: u32,
    /// `active`; `must_reshare` (refuses to sign until its shares were renewed); `unconfirmed` (came from a backup).
    pub status: String,
    /// Where the shares came from: `dealer`, `split`, `dkg` or `imported`.
    pub provenance: String,
    /// The group key with its parity (33 bytes) or the Ed25519 key, in hexadecimal.
    pub group_key: String,
    /// The extended public key (BIP-32) on mainnet, if the group has agreed on a chain code.
    pub xpub: Option<String>,
    /// The minisign public key, of an Ed25519 group.
    pub minisign: Option<String>,
    /// Since when it is in this vault, RFC 3339.
    pub created_at: String,
    /// What members in other vaults may have signed here although nobody is asked.
    #[serde(default)]
    pub grants: Vec<CosignerView>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberView {
    /// Its index.
    pub index: u16,
    /// Its public share in hexadecimal.
    pub verifying_share: String,
    /// Its device key in hexadecimal, if the group has a roster.
    pub device: Option<String>,
    /// Whether its share is in this vault.
    pub here: bool,
}

impl GroupView {
    pub(super) fn new(record: &GroupRecord, vault: VaultId) -> Self {
        let group = &record.group;
        let status = match group.status() {
            Status::MustReshare => "must_reshare",
            Status::Active if record.confirmed_in != vault => "unconfirmed",
            Status::Active => "active",
        };
        let provenance = match group.provenance() {
            Provenance::Dealer => "dealer",
            Provenance::Split => "split",
            Provenance::Dkg => "dkg",
            Provenance::Imported => "imported",
        };
        let members = group.members().iter().map(|member| MemberView {
            index: member.index.get(),
            verifying_share: member.verifying_share.to_string(),
            device: member.device.map(|device| device.to_string()),
            here: record.shares.contains(&member.index),
        });
        Self {
            name: record.name.to_string(),
            npub: npub(&PublicKey::from_byte_array(group.public_key())),
            pubkey: hex::encode(group.public_key()),
            suite: group.suite().to_string(),
            threshold: group.threshold(),
            members: members.collect(),
            shares: record.shares.iter().map(|index| index.get()).collect(),
            epoch: group.epoch(),
            status: status.to_owned(),
            provenance: provenance.to_owned(),
            group_key: group.key().to_string(),
            xpub: group.xpub(Network::Mainnet).ok(),
            minisign: PublicKeyFile::of_group(group).ok().map(|key| key.to_base64()),
            created_at: record.created_at.to_string(),
            grants: record
                .grants
                .iter()
                .map(|grant| CosignerView::new(grant, record.is_alive(grant, vault)))
                .collect(),
        }
    }
}

/// A finished signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignatureView {
    /// The signature: 64 bytes in hexadecimal, BIP-340 or Ed25519.
    pub signature: String,
    /// The public key under which it verifies: 32 bytes in hexadecimal.
    pub pubkey: String,
    /// The group's name.
    pub group: String,
    /// `secp256k1-tr` or `ed25519`.
    pub suite: String,
    /// The members that signed.
    pub signers: Vec<u16>,
}

/// A signed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseView {
    /// The content of the `.minisig` file.
    pub minisig: String,
    /// The minisign public key that verifies it, as `minisign -P` takes it.
    pub public_key: String,
    /// The trusted comment.
    pub trusted_comment: String,
    /// The BLAKE2b-512 of the file in hexadecimal.
    pub digest: String,
}

/// What a proposal asks to sign, decoded by this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalView {
    /// The group's name here.
    pub group: String,
    /// The member who proposes; its device signed the proposal.
    pub from: u16,
    /// The session, in hexadecimal.
    pub session: String,
    /// `event`, `file_digest`, `trusted_comment` or `raw`.
    pub kind: String,
    /// The kind of the event, if it is one.
    pub event_kind: Option<u16>,
    /// The time that the event claims, RFC 3339.
    pub created_at: Option<String>,
    /// The tags of the event.
    pub tags: Vec<Vec<DisplayText>>,
    /// The BIP-32 child that signs, and the Taproot tweak; empty for the group key itself.
    pub key: String,
    /// What would be signed, for a person.
    pub summary: String,
    /// The whole text or the bytes in hexadecimal.
    pub content: String,
    /// The members whose shares are here.
    pub shares: Vec<u16>,
    /// How many members must sign.
    pub threshold: u16,
    /// Whether the member who proposes it has a grant for it here, so that nobody need be asked.
    #[serde(default)]
    pub granted: bool,
}

/// Messages of a session, each as one line of text that can be pasted, and given to the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoundView {
    /// The session, in hexadecimal.
    pub session: String,
    /// The messages.
    pub messages: Vec<StepMessage>,
    /// How many commitments of other members are still needed before the package can be made.
    pub missing: u16,
}

/// What a step of a renewal or repair among vaults gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// The session, in hexadecimal.
    pub session: Option<String>,
    /// The messages for the others.
    pub messages: Vec<StepMessage>,
    /// The members whose messages are missing.
    pub waiting_for: Vec<u16>,
    /// Whether it is over for this vault.
    pub done: bool,
    /// Why it cannot go on as it stands: what a member sent does not fit, or one has stopped. Give the messages to the others
    /// all the same, so that they do not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopView>,
    /// Members that have said different things in one step, where that stops nothing: nobody else can have signed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub two_faced: Vec<u16>,
    /// What was left out of the messages that came: it is no part of this, and nothing was made of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedView>,
}

/// A message that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedView {
    /// Its place among the messages that were given, from 0.
    pub at: usize,
    /// The stable code of the reason.
    pub code: String,
    /// Why.
    pub reason: String,
    /// Whether it cannot be read at all, so that nobody knows what it is.
    pub unreadable: bool,
}

impl SkippedView {
    pub(super) fn new(at: usize, fault: &Fault, unreadable: bool) -> Self {
        let code = fault.code().as_str().to_owned();
        Self { at, code, reason: fault.message().to_owned(), unreadable }
    }
}

/// Why a ceremony among vaults cannot go on as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopView {
    /// The error's stable code.
    pub code: String,
    /// What is wrong, and with whose messages.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl From<&Fault> for StopView {
    fn from(fault: &Fault) -> Self {
        let code = fault.code().as_str().to_owned();
        Self { code, message: fault.message().to_owned(), hint: fault.hint().to_owned() }
    }
}

impl From<StopView> for Fault {
    fn from(view: StopView) -> Self {
        let code = ErrorCode::from_word(&view.code).unwrap_or(ErrorCode::Peer);
        Self::new(code, view.message).with_hint(view.hint)
    }
}

/// A message of a ceremony.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepMessage {
    /// A name for its file: the same message always has the same.
    pub name: String,
    /// The message: `keepfrost1:…`. Secrets in it are sealed to their receiver.
    pub text: String,
}

/// What came of splitting a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SplitView {
    /// The group.
    pub group: GroupView,
    /// Whether the key that was split is still in the vault.
    pub original_kept: bool,
}

/// A share that left the vault, sealed under a passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShareView {
    /// The group's name.
    pub group: String,
    /// The group's public key in bech32.
    pub npub: String,
    /// Whose share it is.
    pub index: u16,
    /// The epoch.
    pub epoch: u32,
    /// The share: `kshare1…`, or its JSON form.
    pub share: String,
}

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportView {
    /// The group as it is now.
    pub group: GroupView,
    /// The members whose shares came in.
    pub imported: Vec<u16>,
    /// What showed that shares of a later epoch are the group's: `threshold` (enough of them came), `endorsed` (the group
    /// signed for them) or `owner` (the owner's word). None if the epoch stayed.
    pub proof: Option<String>,
}

/// The whole secret key of a group, in clear.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RecoveredKey {
    /// The group's name.
    pub group: String,
    /// The group's public key in bech32.
    pub npub: String,
    /// `nsec1…` (NIP-19), or of an Ed25519 group the secret scalar in hexadecimal.
    #[serde(with = "secret::text")]
    #[schemars(with = "String")]
    pub secret: SecretText,
}

/// A new device key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceView {
    /// The group's name.
    pub group: String,
    /// The member.
    pub index: u16,
    /// The device key in hexadecimal.
    pub device: String,
    /// For the other members: the change, signed with the old key. None if there was no old key.
    pub notice: Option<String>,
}
