//! What the shares of a group are used for (FROST, RFC 9591).

use nostr::UnsignedEvent;

use crate::{DisplayText, Fault, InspectedSpend, Name, counted};

/// What a group signs, decoded. Policy judges this value, and the vault signs nothing else.
#[derive(Debug, Clone)]
pub enum GroupMessage {
    /// A Nostr event (NIP-01).
    Event(Box<UnsignedEvent>),
    /// The BLAKE2b-512 of a file, as minisign signs it.
    FileDigest(Box<[u8; 64]>),
    /// A minisign trusted comment, bound to the signature over the file (64 bytes).
    TrustedComment {
        /// The signature over the file.
        signature: Box<[u8; 64]>,
        /// The comment.
        comment: String,
    },
    /// Bytes whose meaning nobody checked.
    Raw(Vec<u8>),
}

impl GroupMessage {
    /// One line for the audit log. Raw bytes are told by their number only.
    pub fn summary(&self) -> DisplayText {
        match self {
            Self::Event(event) => DisplayText::new(&format!("event of kind {}", event.kind.as_u16())),
            Self::FileDigest(digest) => {
                DisplayText::new(&format!("file with BLAKE2b-512 {}…", hex::encode(&digest[..8])))
            }
            Self::TrustedComment { comment, .. } => {
                DisplayText::truncated(&format!("trusted comment: {comment}"), 200)
            }
            Self::Raw(bytes) => DisplayText::new(&counted(bytes.len(), "raw byte")),
        }
    }
}

/// The Taproot tweak (BIP-341) of the key that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupTweak {
    /// The key itself.
    #[default]
    None,
    /// The key path without scripts (BIP-86).
    KeyPath,
    /// The key path over a script tree with this Merkle root.
    ScriptTree([u8; 32]),
}

/// Which key of a group signs: unhardened BIP-32 steps from the group key, and a tweak on top.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupKeyPath {
    /// The steps, each below 2³¹.
    pub path: Vec<u32>,
    /// The tweak.
    pub tweak: GroupTweak,
}

/// One signature, or this vault's part of one. The nonces were made beforehand and wait in the memory of the process.
#[derive(Debug)]
pub struct GroupSign {
    /// The session whose nonces are used up.
    pub session: [u8; 32],
    /// What is signed.
    pub message: GroupMessage,
    /// Under which key of the group.
    pub key: GroupKeyPath,
    /// The ids of the nonces. Each is recorded as burnt before anything leaves that was made with it, and refused a second
    /// time.
    pub nonces: Vec<[u8; 32]>,
    /// The signers and commitments of all vaults (the coordinator's package), when signature shares leave this vault;
    /// nothing when all signers are here and only the finished signature leaves.
    pub package: Option<Vec<u8>>,
    /// The member in another vault who proposed it, if nobody here was asked: then it needs that member's grant.
    pub proposed_by: Option<u16>,
}

/// A Bitcoin transaction that a group signs, or this vault's part of it. It is judged once, as a whole.
#[derive(Debug)]
pub struct GroupSpend {
    /// The transaction, inspected as the owner of the group's wallet.
    pub spend: Box<dyn InspectedSpend>,
    /// One session for each signature that it needs, in their order.
    pub parts: Vec<SpendPart>,
    /// As in [`GroupSign::proposed_by`].
    pub proposed_by: Option<u16>,
}

/// One of the signatures of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendPart {
    /// The session whose nonces are used up.
    pub session: [u8; 32],
    /// The ids of the nonces, as in [`GroupSign::nonces`].
    pub nonces: Vec<[u8; 32]>,
    /// As in [`GroupSign::package`]; all parts have one, or none has.
    pub package: Option<Vec<u8>>,
}

/// A use of the shares of a group. The request's key is the group, for [`Split`](Self::Split) the key that is split.
#[derive(Debug)]
pub enum GroupUse {
    /// Sign.
    Sign(GroupSign),
    /// Sign a Bitcoin transaction.
    Spend(GroupSpend),
    /// Hand a share out.
    ExportShare {
        /// Whose.
        index: u16,
    },
    /// Put the whole secret key together and hand it out.
    Recover,
    /// Renew the shares that are here, all at once.
    Refresh {
        /// The members that keep a share.
        keep: Vec<u16>,
        /// Renewals among vaults that are under way here are given up.
        abandon: bool,
    },
    /// A step of a renewal among vaults.
    RefreshStep {
        /// The members that keep a share, when this step begins the renewal.
        keep: Option<Vec<u16>>,
        /// What came from the others.
        messages: Vec<Vec<u8>>,
        /// Renewals among vaults that are under way here are given up, but for this one.
        abandon: bool,
    },
    /// Make the share of a member again from those that are here.
    Repair {
        /// Whose.
        index: u16,
        /// Renewals among vaults are given up that could not be gone on with beside its new device key.
        abandon: bool,
    },
    /// Help another vault to make its share again.
    RepairStep {
        /// Whose.
        index: u16,
        /// What came from the others; the plan is the first.
        messages: Vec<Vec<u8>>,
        /// As in [`Repair`](Self::Repair).
        abandon: bool,
    },
    /// Make a group out of a key.
    Split {
        /// The group's name.
        name: Name,
        /// How many members must sign together.
        threshold: u16,
        /// How many members there are.
        members: u16,
    },
}

/// What a person is told of renewals that are given up for another device key.
const HINDERED_GIVEN_UP: &str =
    "; every renewal under way here that its new device key does not fit is given up";

/// What a person is told of renewals that are given up.
const GIVEN_UP: &str = "; every other renewal that is under way here is given up";

impl GroupUse {
    /// Who proposed a signature that nobody here was asked about.
    pub const fn proposed_by(&self) -> Option<u16> {
        match self {
            Self::Sign(sign) => sign.proposed_by,
            Self::Spend(spend) => spend.proposed_by,
            Self::ExportShare { .. }
            | Self::Recover
            | Self::Refresh { .. }
            | Self::RefreshStep { .. }
            | Self::Repair { .. }
            | Self::RepairStep { .. }
            | Self::Split { .. } => None,
        }
    }

    /// What is done, for the person who is asked whether it may be. Empty where an event or a transaction says it better.
    pub fn describe(&self) -> String {
        match self {
            Self::Sign(sign) => match &sign.message {
                GroupMessage::Event(_) => String::new(),
                GroupMessage::FileDigest(digest) => {
                    format!("a file with BLAKE2b-512 {}", hex::encode(**digest))
                }
                GroupMessage::TrustedComment { comment, .. } => format!("the trusted comment: {comment}"),
                GroupMessage::Raw(bytes) => {
                    format!(
                        "{}, whose meaning is not known: {}",
                        counted(bytes.len(), "raw byte"),
                        hex::encode(bytes)
                    )
                }
            },
            Self::Spend(_) => String::new(),
            Self::ExportShare { index } => format!("the share of member {index} is handed out"),
            Self::Recover => "the whole secret key is handed out".to_owned(),
            Self::Refresh { keep, abandon } => {
                let others = if *abandon { GIVEN_UP } else { "" };
                format!("all shares are renewed, for {}{others}", counted(keep.len(), "member"))
            }
            Self::RefreshStep { abandon, .. } => {
                let others = if *abandon { GIVEN_UP } else { "" };
                format!("a step of a renewal of the shares among vaults{others}")
            }
            Self::Repair { index, abandon } => {
                let renewals = if *abandon { HINDERED_GIVEN_UP } else { "" };
                format!("the share of member {index} is made again{renewals}")
            }
            Self::RepairStep { index, abandon, .. } => {
                let renewals = if *abandon { HINDERED_GIVEN_UP } else { "" };
                format!("help another vault to make the share of member {index} again{renewals}")
            }
            Self::Split { name, threshold, members } => {
                format!("the key becomes the group {name}, {threshold} of {members}")
            }
        }
    }
}

/// What a step of a ceremony among vaults gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CeremonyStep {
    /// What is to be given to the others. Secrets in it are sealed to their receiver.
    pub messages: Vec<Vec<u8>>,
    /// Whose messages are missing.
    pub waiting_for: Vec<u16>,
    /// Whether it is over, and its result is in the vault.
    pub done: bool,
    /// Why it cannot go on as it stands. The messages are to be given to the others all the same.
    pub stopped: Option<Fault>,
    /// Members that have said different things in one step, where that stops nothing.
    pub two_faced: Vec<u16>,
    /// What was left out of the messages that came, because it is no part of this.
    pub skipped: Vec<SkippedMessage>,
}

/// A message that a step of a ceremony has left out. Nothing was made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedMessage {
    /// Its place among the messages that came, from 0.
    pub at: usize,
    /// Why.
    pub fault: Fault,
}
