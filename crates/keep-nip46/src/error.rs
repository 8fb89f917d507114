//! The one error of this crate that is not of a single module.

use keep_types::{ErrorCode, Fault};

use crate::client::ClientError;
use crate::{EnvelopeError, MessageError, PermissionError, RelayUrlError, UriError};

/// Anything that can go wrong in this crate, for callers that do not care which part it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Nip46Error {
    /// A connection URI.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// A relay's address.
    #[error(transparent)]
    Relay(#[from] RelayUrlError),
    /// A permission string.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// An envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A call of ours to another signer.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl From<UriError> for Fault {
    fn from(error: UriError) -> Self {
        let fault = Self::new(ErrorCode::InvalidUri, error.to_string());
        match error {
            UriError::NoSecret => fault.with_hint(
                "applications made with rust-nostr before 0.45 show none: --without-secret takes them",
            ),
            _ => fault,
        }
    }
}

impl From<PermissionError> for Fault {
    fn from(error: PermissionError) -> Self {
        Self::new(ErrorCode::InvalidInput, error.to_string())
    }
}

impl From<Nip46Error> for Fault {
    fn from(error: Nip46Error) -> Self {
        match error {
            Nip46Error::Uri(error) => error.into(),
            Nip46Error::Relay(error) => error.into(),
            Nip46Error::Permission(error) => error.into(),
            Nip46Error::Envelope(error) => error.into(),
            Nip46Error::Message(error) => error.into(),
            Nip46Error::Client(error) => error.into(),
        }
    }
}
