//! What happens while a bunker serves, for whoever watches.

use keep_types::{DisplayText, PublicKey};

/// Something that happened. Nothing of it is secret; the record is the audit log, not this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activity {
    /// A client connected with a valid secret.
    Connected {
        /// The client.
        client: PublicKey,
        /// What it calls itself. Unauthenticated.
        claims: DisplayText,
    },
    /// A client logged out.
    LoggedOut {
        /// The client.
        client: PublicKey,
    },
    /// A request was answered with a result.
    Answered {
        /// The client.
        client: PublicKey,
        /// The method.
        method: DisplayText,
        /// The kind of the signed event.
        kind: Option<u16>,
    },
    /// A request was answered with an error.
    Refused {
        /// The client.
        client: PublicKey,
        /// The method.
        method: DisplayText,
        /// Why.
        reason: DisplayText,
    },
    /// A request of an earlier process was taken up again.
    Resumed {
        /// How many there were.
        requests: usize,
    },
    /// Something went wrong that is no client's doing.
    Trouble {
        /// What.
        what: DisplayText,
    },
}
