//! The one error table. It drives exit codes, NIP-46 error strings and JSON in every front end.

use std::fmt;

use serde::Serialize;

/// Who has to act so that it works next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The caller gave something wrong.
    Caller,
    /// A rule of the owner says no.
    Policy,
    /// A person said no, or nobody could be asked.
    Approval,
    /// A relay, client or other device.
    Peer,
    /// The disk or the vault's data.
    Storage,
    /// Keep itself.
    Bug,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $blame:ident, exit $exit:literal, $hint:literal;)*) => {
        /// A stable name for each way in which something can fail.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable word that scripts and other languages match on.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The code with this stable word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == word)
            }

            /// Who has to act.
            pub const fn blame(self) -> Blame {
                match self { $(Self::$variant => Blame::$blame,)* }
            }

            /// The exit code of the command line.
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$variant => $exit,)* }
            }

            /// What to do next, unless the error itself knows better.
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)* }
            }
        }
    };
}

error_codes! {
    /// A rule denies it, or no rule allows it.
    RefusedByPolicy = "refused_by_policy", Policy, exit 1, "the owner can grant it, or change the limit that refused it";
    /// A person said no.
    RefusedByPerson = "refused_by_person", Approval, exit 1, "somebody answered no; ask again if that was a mistake";
    /// It needs a person, and none could be asked.
    ApprovalUnavailable = "approval_unavailable", Approval, exit 1, "run `keep serve` in a terminal to be asked, or grant it beforehand";
    /// The client is not connected to this bunker.
    NotConnected = "not_connected", Policy, exit 1, "connect with a fresh bunker:// URL";
    /// The one-time connect secret is wrong or spent.
    InvalidSecret = "invalid_secret", Policy, exit 1, "ask the owner for a fresh bunker:// URL";
    /// Too many requests.
    RateLimited = "rate_limited", Policy, exit 1, "wait, then try again";
    /// The command line or call is not formed as documented.
    Usage = "usage", Caller, exit 2, "see `keep help`";
    /// What was named does not exist.
    NotFound = "not_found", Caller, exit 3, "see what there is with the `list` command of its kind, such as `keep list`";
    /// There is no vault at this place.
    NoVault = "no_vault", Caller, exit 3, "create one with `keep init`, or point KEEP_HOME to an existing vault";
    /// The vault is not unlocked and no passphrase was given.
    Locked = "locked", Caller, exit 4, "set KEEP_PASSWORD, pass --password-file, or run in a terminal";
    /// The passphrase opens nothing.
    WrongPassphrase = "wrong_passphrase", Caller, exit 4, "check the passphrase and try again";
    /// Input that does not have the form it must have.
    InvalidInput = "invalid_input", Caller, exit 5, "correct the input";
    /// Not a key in any form that Keep reads.
    InvalidKey = "invalid_key", Caller, exit 5, "give an nsec1…, an ncryptsec1… or 64 hex digits";
    /// Not a valid Nostr event.
    InvalidEvent = "invalid_event", Caller, exit 5, "see NIP-01 for the form of an event";
    /// Not a URI of the expected kind.
    InvalidUri = "invalid_uri", Caller, exit 5, "check the address";
    /// An encrypted payload that does not open.
    InvalidPayload = "invalid_payload", Caller, exit 5, "check that it is complete, and meant for this key or passphrase";
    /// A NIP-46 method that does not exist here.
    UnsupportedMethod = "unsupported_method", Caller, exit 5, "see the methods of NIP-46";
    /// The name or key is taken.
    AlreadyExists = "already_exists", Caller, exit 5, "choose another name, or use what is there";
    /// A relay cannot be reached.
    RelayUnreachable = "relay_unreachable", Peer, exit 6, "check the relay's address and the network";
    /// The other side did not answer in time.
    TimedOut = "timed_out", Peer, exit 6, "check that the other side runs and uses the same relay";
    /// The other side broke the protocol or answered with an error.
    Peer = "peer", Peer, exit 6, "see the other side's message";
    /// Reading or writing the disk failed.
    Storage = "storage", Storage, exit 7, "check the disk and the permissions of the vault's directory";
    /// No space left.
    StorageFull = "storage_full", Storage, exit 7, "free some space; nothing was changed";
    /// Another process holds the vault for too long.
    StorageBusy = "storage_busy", Storage, exit 7, "see which other `keep` runs, then try again";
    /// The file system cannot keep a vault safely.
    StorageUnsupported = "storage_unsupported", Storage, exit 7, "put the vault on a local file system";
    /// The vault's data was changed by something that is not Keep, or is damaged.
    Integrity = "integrity", Storage, exit 7, "restore a backup, or export the keys that still open";
    /// The vault was made by a newer version.
    FormatTooNew = "format_too_new", Storage, exit 7, "use a newer version of Keep";
    /// It is consistent with itself, and nobody said whose it should be.
    SignerUnknown = "signer_unknown", Caller, exit 8, "pass --signer with the vault's fingerprint; `keep init` and `keep vault info` show it";
    /// Something that must not happen.
    Bug = "bug", Bug, exit 70, "please report this, with the steps that led here";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure as everybody outside a crate sees it: stable code, message, what to do next.
///
/// Each crate has its own error type; all of them convert into this one. No part of it ever holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    code: ErrorCode,
    message: String,
    hint: Option<String>,
}

impl Fault {
    /// A failure with the table's hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Replaces the table's hint by one that knows the situation.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next.
    pub fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or_else(|| self.code.hint())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_golden_file() {
        let table: String = ErrorCode::ALL
            .iter()
            .map(|c| format!("{}\t{:?}\t{}\t{}\n", c.as_str(), c.blame(), c.exit_code(), c.hint()))
            .collect();
        let golden = include_str!("../tests/golden/errors.tsv");
        assert_eq!(table, golden, "the error table is a contract: change tests/golden/errors.tsv on purpose");
    }
}
