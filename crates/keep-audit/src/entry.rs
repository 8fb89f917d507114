//! What one entry of the log says.

use keep_types::{KeyId, Origin, PublicKey, Timestamp};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::Decider;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal, $word:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
        #[cbor(index_only)]
        pub enum $name {
            $($(#[$vdoc])* #[n($number)] #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The number in the format.
            pub const fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The one with this stable word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }
    };
}

words! {
    /// What was done or asked for. Numbers are part of the format and never change meaning.
    Action {
        /// A vault was made.
        VaultCreated = 1, "vault_created";
        /// The vault was opened with a passphrase by a process that then used it.
        Unlocked = 2, "unlocked";
        /// A key was generated.
        KeyGenerated = 3, "key_generated";
        /// A key was imported.
        KeyImported = 4, "key_imported";
        /// A key was deleted.
        KeyDeleted = 5, "key_deleted";
        /// The secret key left the vault.
        Export = 6, "export";
        /// The public key was told.
        GetPublicKey = 7, "get_public_key";
        /// An event was signed.
        SignEvent = 8, "sign_event";
        /// A text was encrypted with NIP-44.
        Nip44Encrypt = 9, "nip44_encrypt";
        /// A text was decrypted with NIP-44.
        Nip44Decrypt = 10, "nip44_decrypt";
        /// A text was encrypted with NIP-04.
        Nip04Encrypt = 11, "nip04_encrypt";
        /// A text was decrypted with NIP-04.
        Nip04Decrypt = 12, "nip04_decrypt";
        /// A bunker endpoint (one `bunker://` URL) was made.
        EndpointCreated = 13, "endpoint_created";
        /// A client connected and got a grant.
        ClientConnected = 14, "client_connected";
        /// A client's grant ended by its own wish or the owner's.
        ClientRemoved = 15, "client_removed";
        /// A bunker endpoint was withdrawn, with all its clients.
        EndpointRemoved = 16, "endpoint_removed";
        /// A key got another name or note.
        KeyChanged = 20, "key_changed";
        /// The words of a mnemonic left the vault.
        ExportMnemonic = 21, "export_mnemonic";
        /// A secret was put into the store, or replaced.
        SecretStored = 22, "secret_stored";
        /// A stored secret left the vault.
        RevealSecret = 23, "reveal_secret";
        /// A stored secret was removed.
        SecretRemoved = 24, "secret_removed";
        /// A way to unlock was added, removed or replaced.
        UnlockChanged = 25, "unlock_changed";
        /// The vault got a new data key.
        DataKeyRotated = 26, "data_key_rotated";
        /// Everything left the vault, for a backup.
        Backup = 27, "backup";
        /// The vault was made from a backup.
        Restored = 28, "restored";
        /// What a restored vault had suspended works again.
        TakenOver = 29, "taken_over";
        /// A group was made, or its public part came in.
        GroupCreated = 30, "group_created";
        /// A share came in.
        ShareImported = 31, "share_imported";
        /// A share left the vault.
        ShareExport = 32, "share_export";
        /// A share was deleted.
        ShareDeleted = 33, "share_deleted";
        /// Shares of a group signed something that is no event.
        FrostSign = 34, "frost_sign";
        /// A group's record was changed by the owner: device keys, or the confirmation of its epoch.
        GroupChanged = 35, "group_changed";
        /// The shares of a group were renewed.
        GroupRefresh = 36, "group_refresh";
        /// Shares of a group made another member's share again.
        ShareRepair = 37, "share_repair";
        /// The whole secret key of a group left the vault.
        GroupRecover = 38, "group_recover";
        /// A key became a group.
        KeySplit = 39, "key_split";
        /// The public side of a Bitcoin account was told.
        BitcoinAccount = 40, "bitcoin_account";
        /// A Bitcoin transaction was signed; the subject is its id.
        SignPsbt = 41, "sign_psbt";
        /// A message was signed in the name of a Bitcoin address; the subject is its hash.
        SignMessage = 42, "sign_message";
        /// The owner changed the limits on spending.
        SpendLimitsChanged = 43, "spend_limits_changed";
        /// A process unlocked the vault and holds it for others.
        SessionOpened = 60, "session_opened";
        /// That process locked it again.
        SessionEnded = 61, "session_ended";
        /// The passphrase was given once more, for managing the vault over a connection.
        ManageOpened = 62, "manage_opened";
        /// The oldest entries were removed; a signed checkpoint stands where they ended.
        LogPruned = 70, "log_pruned";
        /// The log was handed out, with a signed head.
        LogExported = 71, "log_exported";
        /// A signed checkpoint was made for keeping elsewhere.
        AnchorMade = 72, "anchor_made";
        /// The vault got the key that signs its checkpoints (older vaults; new ones are made with it).
        AuditKeyMade = 73, "audit_key_made";
        /// Passphrases that did not open the vault, by somebody who opened it afterwards.
        UnlockFailed = 74, "unlock_failed";
        /// The owner went on with a vault older than the one that was last used on this machine.
        RollbackAccepted = 75, "rollback_accepted";
        /// The owner went on with what was left of a vault that something else than Keep had changed.
        DamageAccepted = 76, "damage_accepted";
        /// A session was made for an agent.
        AgentAdmitted = 80, "agent_admitted";
        /// A session of an agent was revoked.
        AgentRevoked = 81, "agent_revoked";
        /// An agent counted something that it did elsewhere.
        AgentCounted = 82, "agent_counted";
        /// A named policy was added.
        PolicyAdded = 50, "policy_added";
        /// A named policy was changed.
        PolicyChanged = 51, "policy_changed";
        /// A named policy was removed.
        PolicyRemoved = 52, "policy_removed";
        /// The owner changed what a client may do.
        GrantChanged = 53, "grant_changed";
        /// A bunker endpoint was stopped: its clients are not answered.
        EndpointStopped = 54, "endpoint_stopped";
        /// A stopped bunker endpoint goes on.
        EndpointResumed = 55, "endpoint_resumed";
        /// A person may approve beside the owner.
        PersonAdded = 56, "person_added";
        /// A person may no longer approve.
        PersonRemoved = 57, "person_removed";
        /// Bytes were encrypted with NIP-44 version 3.
        Nip44V3Encrypt = 58, "nip44v3_encrypt";
        /// Bytes were decrypted with NIP-44 version 3.
        Nip44V3Decrypt = 59, "nip44v3_decrypt";
        /// The clients of a bunker endpoint were told to use other relays.
        EndpointMoved = 90, "endpoint_moved";
        /// A key that another bunker holds was added.
        RemoteKeyAdded = 91, "remote_key_added";
        /// A key that another bunker holds was removed.
        RemoteKeyRemoved = 92, "remote_key_removed";
        /// Another bunker was asked to use a key that it holds.
        RemoteUse = 93, "remote_use";
    }
}

words! {
    /// How it was decided, or how it ended.
    Outcome {
        /// A rule, or the owner's own doing, allowed it.
        Allowed = 1, "allowed";
        /// A person allowed it when asked.
        Approved = 2, "approved";
        /// Policy denied it.
        Refused = 3, "refused";
        /// A person denied it.
        Declined = 4, "declined";
        /// It needed a person and none could be asked.
        Unanswered = 5, "unanswered";
        /// It was allowed, and then failed.
        Failed = 6, "failed";
        /// It was allowed before a restart, and could no longer be answered after it.
        Abandoned = 7, "abandoned";
    }
}

/// An entry before it has its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
    pub(crate) origin: String,
    pub(crate) client: Option<[u8; 32]>,
    pub(crate) key: Option<KeyId>,
    pub(crate) event_kind: Option<u16>,
    pub(crate) subject: Option<[u8; 32]>,
    pub(crate) reason: Option<String>,
    pub(crate) by: Option<Vec<String>>,
}

impl Draft {
    /// `action` by `origin` with `outcome`.
    pub fn new(action: Action, outcome: Outcome, origin: &Origin) -> Self {
        let client = match origin {
            Origin::Cli | Origin::Agent { .. } => None,
            Origin::Nip46 { client, .. } => Some(client.to_bytes()),
        };
        Self {
            action,
            outcome,
            origin: origin.label().to_owned(),
            client,
            key: None,
            event_kind: None,
            subject: None,
            reason: None,
            by: None,
        }
    }

    /// Names the key that was used.
    #[must_use]
    pub fn key(mut self, key: KeyId) -> Self {
        self.key = Some(key);
        self
    }

    /// Names the kind of the signed event.
    #[must_use]
    pub fn event_kind(mut self, kind: u16) -> Self {
        self.event_kind = Some(kind);
        self
    }

    /// Names what it was about: the id of the signed event, or the peer's public key (32 bytes).
    #[must_use]
    pub fn subject(mut self, subject: [u8; 32]) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Names the client that it was about.
    #[must_use]
    pub fn client(mut self, client: &PublicKey) -> Self {
        self.client = Some(client.to_bytes());
        self
    }

    /// Names the session of an agent that asked: the origin becomes `agent:NAME`.
    #[must_use]
    pub fn session(mut self, name: &str) -> Self {
        self.origin = format!("agent:{name}");
        self
    }

    /// Says which rule decided, or why it failed. Never any secret.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Says who said yes or no, where somebody was asked.
    #[must_use]
    pub fn by(mut self, deciders: &[Decider]) -> Self {
        self.by = (!deciders.is_empty()).then(|| deciders.iter().map(ToString::to_string).collect());
        self
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Entry {
    /// Its number: 1 for the first, without gaps.
    #[n(0)]
    pub seq: u64,
    /// When it was committed (the vault's time, which never goes back).
    #[n(1)]
    pub time: Timestamp,
    /// What was done or asked for.
    #[n(2)]
    pub action: Action,
    /// How it was decided.
    #[n(3)]
    pub outcome: Outcome,
    /// Who asked: the word of the origin (`cli`, `nip46`).
    #[n(4)]
    pub origin: String,
    /// The client's public key (32 bytes), if a client asked.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub client: Option<[u8; 32]>,
    /// The key that was used.
    #[n(6)]
    pub key: Option<KeyId>,
    /// The kind of the event that was signed.
    #[n(7)]
    pub event_kind: Option<u16>,
    /// The id of the event (32 bytes), or the peer's public key.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub subject: Option<[u8; 32]>,
    /// Which rule decided, or why it failed.
    #[n(9)]
    pub reason: Option<String>,
    /// Who said yes or no, where somebody was asked: the words of [`Decider`].
    #[n(10)]
    pub by: Option<Vec<String>>,
}

impl Entry {
    pub(crate) fn from_draft(draft: Draft, seq: u64, time: Timestamp) -> Self {
        Self {
            seq,
            time,
            action: draft.action,
            outcome: draft.outcome,
            origin: draft.origin,
            client: draft.client,
            key: draft.key,
            event_kind: draft.event_kind,
            subject: draft.subject,
            reason: draft.reason,
            by: draft.by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_are_stable() {
        let first: Vec<u32> = Action::ALL.iter().map(|action| action.number()).take(16).collect();
        assert_eq!(first, (1..=16).collect::<Vec<_>>());
        for (number, word) in [
            (2, "unlocked"),
            (6, "export"),
            (8, "sign_event"),
            (60, "session_opened"),
            (61, "session_ended"),
            (62, "manage_opened"),
            (70, "log_pruned"),
            (71, "log_exported"),
            (72, "anchor_made"),
            (73, "audit_key_made"),
            (74, "unlock_failed"),
            (75, "rollback_accepted"),
            (80, "agent_admitted"),
            (81, "agent_revoked"),
            (82, "agent_counted"),
        ] {
            assert_eq!(Action::from_word(word).map(Action::number), Some(number), "{word}");
        }
        assert_eq!(Outcome::ALL.iter().map(|o| o.number()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn no_two_actions_share_a_number_or_a_word() {
        let mut numbers: Vec<u32> = Action::ALL.iter().map(|action| action.number()).collect();
        let mut words: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        words.sort_unstable();
        words.dedup();
        assert_eq!((numbers.len(), words.len()), (Action::ALL.len(), Action::ALL.len()));
    }
}
