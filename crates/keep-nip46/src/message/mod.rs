//! What travels inside the envelopes: requests ([`Call`]) and answers ([`Reply`]).
//!
//! Parsing is as lenient as real clients need, and what cannot be understood still yields its id where there is one,
//! so that it can be answered. Writing is as strict as the strictest client needs.

mod call;
mod id;
mod loose;
mod method;
mod reply;

pub use call::{BadCall, Call, write_call};
pub use id::CallId;
pub use method::{Connect, Method};
pub use reply::{Outcome, Reply, error_text};

use keep_types::{ErrorCode, Fault, IntentError};

/// Why a message is none, or none that can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not a JSON object, or one with a field twice.
    #[error("the message is not a JSON object of NIP-46")]
    Json,
    /// No id, or one that is neither text nor number, or too long: nothing could match an answer to it.
    #[error("the message has no usable id")]
    NoId,
    /// An answer where a request was expected: another signer uses the same key on this relay.
    #[error("the message is an answer, not a request")]
    NotACall,
    /// A request without a method, or an answer without a result.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// `params` is not a list.
    #[error("params is not a list")]
    Params,
    /// A parameter that the method needs is missing.
    #[error("{method} needs parameter {number}: {what}")]
    MissingParam {
        /// The method.
        method: &'static str,
        /// Which parameter, from 1.
        number: u8,
        /// What it should be.
        what: &'static str,
    },
    /// A parameter has another form.
    #[error("a parameter of {method} is not {what}")]
    BadParam {
        /// The method.
        method: &'static str,
        /// What it has to be.
        what: &'static str,
    },
    /// A parameter that should be a public key is none.
    #[error("parameter 1 of {0} is not a public key of 64 hex digits")]
    Peer(&'static str),
    /// The event of `sign_event` is none.
    #[error("{0}")]
    Event(#[from] IntentError),
}

impl From<MessageError> for Fault {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Event(error) => error.into(),
            MessageError::Json
            | MessageError::NoId
            | MessageError::NotACall
            | MessageError::Missing(_)
            | MessageError::Params
            | MessageError::MissingParam { .. }
            | MessageError::BadParam { .. }
            | MessageError::Peer(_) => Self::new(ErrorCode::InvalidInput, error.to_string()),
        }
    }
}
