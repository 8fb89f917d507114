//! What happened, in numbers. Strangers and junk are counted here and nowhere else.

use crate::EnvelopeError;

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal;)*) => {
        /// Why a message got no answer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable word for logs and JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

drop_reasons! {
    /// Made too long ago.
    Stale = "stale";
    /// Made too far in the future.
    FromTheFuture = "from_the_future";
    /// Its own expiration has passed.
    Expired = "expired";
    /// Seen before.
    Duplicate = "duplicate";
    /// Too many events from strangers.
    TooManyStrangers = "too_many_strangers";
    /// Too many refusals to answer each.
    TooManyRefusals = "too_many_refusals";
    /// Not a message for one of our keys.
    NotForUs = "not_for_us";
    /// Does not decrypt.
    Unreadable = "unreadable";
    /// The event's id or signature is wrong.
    BadSignature = "bad_signature";
    /// Decrypts to something that is no request, or has no id to answer to.
    Malformed = "malformed";
}

impl From<&EnvelopeError> for DropReason {
    fn from(error: &EnvelopeError) -> Self {
        match error {
            EnvelopeError::Kind | EnvelopeError::NotForUs | EnvelopeError::OwnEvent => Self::NotForUs,
            EnvelopeError::TooLong(_) | EnvelopeError::Cipher(_) | EnvelopeError::TransportKey => {
                Self::Unreadable
            }
            EnvelopeError::Signature => Self::BadSignature,
        }
    }
}

/// How often what happened, since the machine started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Requests that were handed on.
    pub accepted: u64,
    /// Requests that were refused with an answer.
    pub refused: u64,
    /// Answers, refusals among them.
    pub answered: u64,
    /// Answers that were sent again.
    pub resent: u64,
    /// Answers of which no relay said that it took them.
    pub unconfirmed: u64,
    /// Times that a relay refused an answer.
    pub refused_by_relay: u64,
    /// Requests whose ticket was lost without an answer: a bug of the caller.
    pub lost: u64,
    dropped: [u64; DropReason::ALL.len()],
}

impl Counters {
    /// How many messages were dropped for `reason`.
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    pub(super) const fn drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }
}
