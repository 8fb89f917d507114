//! What rules judge by.

use std::borrow::Cow;

use keep_types::{Intent, Operation, PublicKey, Timestamp, UnsignedEvent};

use crate::PlaintextClass;

/// The facts of a request, and of the place where it is judged. Computed from the very bytes that would be used.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What is asked for.
    pub operation: Operation,
    /// The kind of the event, or the one that a message is for (NIP-44 version 3).
    pub kind: Option<u16>,
    /// The event to be signed; `None` where only its kind is known, as in the audit log.
    pub event: Option<&'a UnsignedEvent>,
    /// The other side of an encryption or decryption.
    pub peer: Option<&'a PublicKey>,
    /// The text to be encrypted.
    pub plaintext: Option<&'a str>,
    /// What a decryption gave, where that is known.
    pub class: Option<PlaintextClass>,
    /// The identity that is asked for.
    pub identity: Option<&'a PublicKey>,
    /// The relays that the bunker uses for this client.
    pub relays: &'a [String],
    /// The present time.
    pub now: Timestamp,
}

impl<'a> Facts<'a> {
    /// The facts of `intent` for `identity`, if that is known.
    pub fn of(
        intent: &'a Intent,
        identity: impl Into<Option<&'a PublicKey>>,
        relays: &'a [String],
        now: Timestamp,
    ) -> Self {
        Self {
            operation: intent.operation(),
            kind: intent
                .kind()
                .map(|kind| kind.as_u16())
                .or_else(|| intent.message_kind().and_then(|kind| u16::try_from(kind).ok())),
            event: intent.event(),
            peer: intent.peer(),
            plaintext: intent.plaintext(),
            class: None,
            identity: identity.into(),
            relays,
            now,
        }
    }

    /// What is known of an operation from its record: no tags, no content, no relays.
    pub const fn recorded(
        operation: Operation,
        kind: Option<u16>,
        peer: Option<&'a PublicKey>,
        now: Timestamp,
    ) -> Self {
        let (event, plaintext, class, identity) = (None, None, None, None);
        Self { operation, kind, event, peer, plaintext, class, identity, relays: &[], now }
    }

    /// The same, of a plaintext of `class`.
    pub(crate) const fn with_class(mut self, class: PlaintextClass) -> Self {
        self.class = Some(class);
        self
    }
}

/// Whether a rule is about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It is.
    Yes,
    /// It is not, for this reason.
    No(Cow<'static, str>),
    /// It depends on something that is not known here.
    Unknown(&'static str),
}
