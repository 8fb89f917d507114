//! What can go wrong between here and a relay.

use keep_types::{DisplayText, ErrorCode, Fault};

use crate::{EventError, RelayUrl, RelayUrlError};

/// A failure of the network, in words for people. Nothing here holds message contents or keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// A relay's address is not one.
    #[error(transparent)]
    Url(#[from] RelayUrlError),
    /// Bytes that are not a valid event.
    #[error(transparent)]
    Event(#[from] EventError),
    /// No relay was given.
    #[error("no relay is configured")]
    NoRelay,
    /// None of the relays works now. One `relay: reason` each.
    #[error("no relay can be reached ({reasons})")]
    Unreachable {
        /// What each relay said, or why it is silent.
        reasons: DisplayText,
    },
    /// Every relay that was reached said no.
    #[error("{relay} refused the event: {reason}")]
    Refused {
        /// The relay that refused.
        relay: RelayUrl,
        /// Its words, neutralised.
        reason: DisplayText,
    },
    /// Nobody answered in time.
    #[error("no relay answered in time")]
    TimedOut,
    /// The transport was shut down.
    #[error("the connection to the relays has been shut down")]
    Closed,
    /// The embedded relay cannot listen.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// The address that was asked for.
        address: std::net::SocketAddr,
        /// The operating system's reason.
        reason: String,
    },
    /// TLS cannot be set up on this machine.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// Called outside a tokio runtime.
    #[error("relays need a running tokio runtime")]
    NoRuntime,
}

impl From<NetError> for Fault {
    fn from(error: NetError) -> Self {
        let code = match &error {
            NetError::Url(_) => ErrorCode::InvalidUri,
            NetError::Event(_) => ErrorCode::InvalidEvent,
            NetError::NoRelay | NetError::Bind { .. } => ErrorCode::Usage,
            NetError::Unreachable { .. } | NetError::Closed => ErrorCode::RelayUnreachable,
            NetError::Refused { .. } => ErrorCode::Peer,
            NetError::TimedOut => ErrorCode::TimedOut,
            NetError::Tls(_) | NetError::NoRuntime => ErrorCode::Bug,
        };
        let fault = Self::new(code, error.to_string());
        match &error {
            NetError::Url(url) => fault.with_hint(url.hint()),
            NetError::NoRelay => fault.with_hint("name one with --relay wss://…"),
            NetError::Bind { .. } => fault.with_hint("choose another address or port"),
            _ => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_code() {
        let unknown_scheme = "http://relay.example".parse::<RelayUrl>().unwrap_err();
        assert_eq!(Fault::from(NetError::from(unknown_scheme)).code(), ErrorCode::InvalidUri);
        let down = NetError::Unreachable { reasons: "ws://127.0.0.1:9: connection refused".into() };
        assert_eq!(Fault::from(down).code(), ErrorCode::RelayUnreachable);
        assert_eq!(Fault::from(NetError::TimedOut).code(), ErrorCode::TimedOut);
        assert_eq!(Fault::from(NetError::NoRelay).hint(), "name one with --relay wss://…");
    }
}
