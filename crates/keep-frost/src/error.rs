//! What can go wrong with threshold keys. No message ever holds a share, a nonce or a passphrase.

use keep_types::{ErrorCode, Fault};

use crate::{Index, Suite};

/// Why a threshold operation was refused or failed. Each misuse has a variant, and thus a message, of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrostError {
    /// Threshold and number of members do not fit.
    #[error("a group needs 2 <= threshold <= members <= {max}; this one has {threshold} of {members}")]
    Threshold {
        /// How many must sign.
        threshold: u16,
        /// How many hold a share.
        members: usize,
        /// The most members that a group may have.
        max: u16,
    },
    /// A member index outside 1..=255.
    #[error("{0} is not a member index (1 to 255)")]
    BadIndex(u64),
    /// An index appears twice.
    #[error("member {0} is named twice")]
    Duplicate(Index),
    /// An index that the group does not have.
    #[error("member {0} does not belong to the group")]
    UnknownMember(Index),
    /// A share or message of another ciphersuite.
    #[error("this is of suite {found}, the group of suite {expected}")]
    WrongSuite {
        /// The group's suite.
        expected: Suite,
        /// The suite that came.
        found: Suite,
    },
    /// A share or message of another group key.
    #[error("this belongs to another group")]
    WrongGroup,
    /// A share or message of another epoch.
    #[error("this is of epoch {found}, the group is at epoch {expected}")]
    WrongEpoch {
        /// The group's epoch.
        expected: u32,
        /// The epoch that came.
        found: u32,
    },
    /// The same key and epoch, but shared out in another way (a second split of one key).
    #[error("this belongs to another sharing of the same key: its shares do not combine with this group's")]
    WrongSharing,
    /// Shares of a later epoch, where the owner did not ask for them.
    #[error("this is of epoch {found}, the group is at epoch {expected} here: it was renewed since")]
    LaterEpoch {
        /// The group's epoch here.
        expected: u32,
        /// The epoch that came.
        found: u32,
    },
    /// Shares of a later epoch of which nothing shows that they are the group's.
    #[error(
        "nothing proves that these are the group's next shares: anybody who knows the public key could have made them up"
    )]
    Unproved,
    /// A group's word for its sharing that does not verify.
    #[error("the group's signature over its new shares is not valid")]
    NotEndorsed,
    /// Shares that came with other parameters than a renewal keeps.
    #[error("a renewal does not change {0}; this does")]
    Changed(&'static str),
    /// A roster that names device keys which are not known here.
    #[error("it brings device keys for {} that are not known here", list(.0))]
    StrangeDevices(Vec<Index>),
    /// A message of another session.
    #[error("this message belongs to another session")]
    WrongSession,
    /// A message of another kind than the step expects.
    #[error("this message is a {found}, not a {expected}")]
    WrongKind {
        /// What the step takes.
        expected: &'static str,
        /// What came.
        found: &'static str,
    },
    /// A message of a member that has no part in the ceremony.
    #[error("member {0} takes no part in this")]
    NotInvolved(Index),
    /// A message meant for another member.
    #[error("this message is for another member")]
    NotForMe,
    /// The group was imported for migration and may not sign before its shares are renewed.
    #[error("this group must be re-shared before use: its shares came from software that reuses nonces")]
    MustReshare,
    /// Fewer signers than the threshold.
    #[error("{have} signers, but the group needs {need}")]
    TooFewSigners {
        /// The threshold.
        need: u16,
        /// How many there are.
        have: usize,
    },
    /// More signers than members.
    #[error("{have} signers in a group of {members}")]
    TooManySigners {
        /// How many members the group has.
        members: usize,
        /// How many signers were named.
        have: usize,
    },
    /// The list of signers lacks this member.
    #[error("member {0} is not among the signers of this session")]
    NotASigner(Index),
    /// The list of signers holds another commitment for this member than it made.
    #[error("the commitment in the signing package is not the one that this member made")]
    CommitmentMismatch,
    /// A second commitment of the same member in one session.
    #[error("member {0} already gave another commitment in this session")]
    CommitmentTwice(Index),
    /// A nonce that the pool does not hold: used before, of another process, or never made.
    #[error("no unused nonce has this commitment: it was used before, or made by another process")]
    UnknownNonce,
    /// A nonce that is too old.
    #[error("the nonce has expired")]
    ExpiredNonce,
    /// A nonce that was handed to another peer.
    #[error("the nonce was made for another peer")]
    ForeignNonce,
    /// The peer already holds as many commitments as it may.
    #[error("this peer already holds {0} unused commitments")]
    PoolFull(usize),
    /// The burn record is of another nonce.
    #[error("the burnt nonce is not the one of this signature share")]
    NotBurnt,
    /// Our own signature share does not verify; it must not leave (hardware fault or damaged share).
    #[error("the signature share made here does not verify, so it was not handed out")]
    OwnShareInvalid,
    /// These members sent signature shares that do not verify.
    #[error("invalid signature shares from {}", list(.0))]
    Cheaters(Vec<Index>),
    /// A member's share is not where it is looked for.
    #[error("the share of member {0} is not in this vault")]
    NotHere(Index),
    /// A signer's share has not come.
    #[error("the signature share of member {0} is missing")]
    ShareMissing(Index),
    /// The step was called before its inputs were there, or after it was done.
    #[error("{0}")]
    OutOfOrder(&'static str),
    /// The signature does not verify.
    #[error("the signature is not valid")]
    BadSignature,
    /// Bytes that are no point of the curve.
    #[error("not a valid {0} point")]
    BadPoint(Suite),
    /// Bytes that are no scalar, or zero.
    #[error("not a valid {0} scalar")]
    BadScalar(Suite),
    /// The verifying shares do not lie on one polynomial with the group key.
    #[error("the group's public shares and its key do not fit together")]
    InconsistentGroup,
    /// The secret share does not belong to the group's public share of this index.
    #[error("the secret share of member {0} does not fit the group's public share")]
    ShareMismatch(Index),
    /// Input that does not have its documented form.
    #[error("not a valid {what}: {reason}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// A version that this program does not know.
    #[error("{what} of version {version} needs a newer program")]
    NewerVersion {
        /// What was read.
        what: &'static str,
        /// Its version.
        version: u32,
    },
    /// The message to be signed is not acceptable.
    #[error("cannot sign this message: {0}")]
    Message(&'static str),
    /// BIP-32 derivation that a group cannot do.
    #[error("cannot derive this child: {0}")]
    Derivation(&'static str),
    /// Key derivation cost outside the bounds.
    #[error("the passphrase cost is out of bounds: {0}")]
    KdfCost(&'static str),
    /// The passphrase does not open the share.
    #[error("the passphrase does not open this share")]
    WrongPassphrase,
    /// The passphrase is right, but the content was changed.
    #[error("this share was edited or damaged after it was exported")]
    Tampered,
    /// The group knows no device key for this member, so its messages cannot be checked.
    #[error("the group's roster has no device key for member {0}")]
    NoDeviceKey(Index),
    /// The signature on a message is not of the member that it names.
    #[error("the message is not authentic: it was not signed by member {0}")]
    NotAuthentic(Index),
    /// The sealed part of a message does not open.
    #[error("the sealed message of member {0} does not open")]
    Unreadable(Index),
    /// A member sent two different messages for one step.
    #[error("member {0} sent two different messages for the same step")]
    Equivocation(Index),
    /// What members say that they saw is not the same: somebody sent different things to different members, or says so wrongly.
    /// The messages do not prove who, so nobody is accused.
    #[error("{} and {} saw different messages: nothing was changed here, and who is to blame cannot be told from them", list(.some), list(.others))]
    Disagreement {
        /// Those who saw one thing.
        some: Vec<Index>,
        /// Those who saw another, this member among them.
        others: Vec<Index>,
    },
    /// Members have stopped, because of what others sent them. Who is right is not known here.
    #[error("{} stopped because of what came from {}: nothing was changed here, and which side is to blame cannot be told from it", list(.by), list(.about))]
    Complaint {
        /// Those who say so.
        by: Vec<Index>,
        /// Those whom they name.
        about: Vec<Index>,
    },
    /// A member made a plan of a renewal that does not fit the group.
    #[error("member {from} made a plan that cannot be followed: {reason}")]
    BadPlan {
        /// Who made it.
        from: Index,
        /// What does not fit.
        reason: String,
    },
    /// A member's contribution is wrong.
    #[error("wrong contribution from {}", list(.0))]
    BadContribution(Vec<Index>),
    /// The repaired share is not the lost one.
    #[error("the repaired share does not fit the group's public share: at least one contribution was wrong")]
    RepairFailed,
    /// A minisign file of another key.
    #[error("the signature was made with key {found}, not with {expected}")]
    KeyId {
        /// The public key's id, 16 upper-case hex digits.
        expected: String,
        /// The signature's.
        found: String,
    },
    /// A legacy minisign signature where only prehashed ones are accepted.
    #[error("this is a legacy minisign signature (not prehashed), which is not accepted here")]
    LegacySignature,
    /// The trusted comment is not covered by the signature.
    #[error("the trusted comment was changed")]
    TrustedComment,
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system")]
    Random,
    /// An error that only a fault in this program can cause.
    #[error("internal error in {0}")]
    Internal(&'static str),
}

fn list(indices: &[Index]) -> String {
    if indices.is_empty() {
        return "nobody".to_owned();
    }
    let words: Vec<String> = indices.iter().map(|i| format!("member {i}")).collect();
    words.join(", ")
}

impl FrostError {
    pub(crate) fn malformed(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed { what, reason: reason.into() }
    }

    const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownMember(_) | Self::NotHere(_) => ErrorCode::NotFound,
            Self::MustReshare | Self::Unproved | Self::StrangeDevices(_) => ErrorCode::RefusedByPolicy,
            Self::WrongPassphrase => ErrorCode::WrongPassphrase,
            Self::NewerVersion { .. } => ErrorCode::FormatTooNew,
            Self::Tampered
            | Self::InconsistentGroup
            | Self::ShareMismatch(_)
            | Self::NotEndorsed
            | Self::OwnShareInvalid => ErrorCode::Integrity,
            Self::Cheaters(_)
            | Self::ShareMissing(_)
            | Self::NotAuthentic(_)
            | Self::Unreadable(_)
            | Self::Equivocation(_)
            | Self::Disagreement { .. }
            | Self::Complaint { .. }
            | Self::BadPlan { .. }
            | Self::BadContribution(_)
            | Self::RepairFailed
            | Self::UnknownNonce
            | Self::ExpiredNonce
            | Self::ForeignNonce
            | Self::CommitmentMismatch
            | Self::CommitmentTwice(_) => ErrorCode::Peer,
            Self::PoolFull(_) => ErrorCode::RateLimited,
            Self::Internal(_) | Self::Random | Self::OutOfOrder(_) | Self::NotBurnt => ErrorCode::Bug,
            _ => ErrorCode::InvalidInput,
        }
    }

    const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::MustReshare => Some("run `keep frost refresh`, then delete every copy of the old shares"),
            Self::NotHere(_) => Some("see `keep frost show`"),
            Self::Cheaters(_) => Some("sign again without them"),
            Self::Disagreement { .. } | Self::Complaint { .. } => Some(
                "others may have finished: ask them for their messages and run this step again; begin anew only when nobody has \
                 finished, and if it happens again, without one of them at a time",
            ),
            Self::BadContribution(_) => {
                Some("ask them for the right message and run this step again; nothing was changed here")
            }
            Self::UnknownNonce | Self::ExpiredNonce => Some("start a new signing session"),
            Self::WrongEpoch { .. } => Some("use the shares of the group's present epoch"),
            Self::NoDeviceKey(_) => Some("refresh the group, or import shares that carry a roster"),
            Self::LaterEpoch { .. } => Some("with --replace the older shares here are deleted"),
            Self::Unproved => Some(
                "import shares of at least the threshold at once, or a share that was exported by the vault which ran \
                 `keep frost refresh`; with --unproved you vouch for it yourself",
            ),
            Self::StrangeDevices(_) => Some(
                "whoever made this could speak for these members; if you know that the keys are theirs, add --trust-roster",
            ),
            Self::LegacySignature => Some("sign the file again without -l, or allow legacy signatures"),
            _ => None,
        }
    }
}

impl From<FrostError> for Fault {
    fn from(error: FrostError) -> Self {
        let fault = Self::new(error.code(), error.to_string());
        match error.hint() {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        }
    }
}
