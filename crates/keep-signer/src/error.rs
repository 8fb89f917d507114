//! Why a request got no answer.

use keep_types::{ErrorCode, Fault};
use keep_vault::VaultError;

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Policy or a person refused it. The refusal is recorded.
    #[error("{0}")]
    Refused(Fault),
    /// An earlier copy of the same request is being decided and will be answered.
    #[error("this request is already being decided")]
    InProgress,
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<SignerError> for Fault {
    fn from(error: SignerError) -> Self {
        match error {
            SignerError::Refused(fault) => fault,
            SignerError::InProgress => Self::new(ErrorCode::RateLimited, error.to_string()),
            SignerError::Vault(error) => error.into(),
        }
    }
}
