//! The address of a relay.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use keep_types::DisplayText;
use serde::{Deserialize, Serialize};

/// Longest address that is read, in bytes.
const MAX_LEN: usize = 512;

/// Why an address is not a relay's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Something other than `ws` or `wss`.
    #[error("a relay's address begins with wss:// or ws://, not {scheme}://")]
    UnknownScheme {
        /// What it begins with.
        scheme: DisplayText,
    },
    /// No scheme at all.
    #[error("a relay's address begins with wss:// or ws://: {text}")]
    NoScheme {
        /// What was given.
        text: DisplayText,
    },
    /// No host.
    #[error("the relay's address names no host")]
    NoHost,
    /// A user name or password before the host.
    #[error("a relay's address cannot hold a user name or password")]
    Credentials,
    /// Longer than any real address.
    #[error("the relay's address is longer than {MAX_LEN} characters")]
    TooLong,
    /// Not a URL.
    #[error("not a relay's address: {reason}")]
    Malformed {
        /// What does not fit.
        reason: String,
    },
}

impl UrlError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::NoScheme { text } => format!("try wss://{text}"),
            Self::UnknownScheme { .. }
            | Self::NoHost
            | Self::Credentials
            | Self::TooLong
            | Self::Malformed { .. } => "write it as wss://relay.example or ws://127.0.0.1:7777".to_owned(),
        }
    }
}

/// A relay's address: `ws://` or `wss://`, a host, perhaps a port and path; lower-case host, no trailing `/` after
/// a bare host, default ports left out. Two addresses of the same relay compare equal as far as NIP-01 can tell.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelayUrl(Arc<str>);

/// The parts of an address that a connection needs.
pub(crate) struct Target {
    pub secure: bool,
    pub host: url::Host<String>,
    pub port: u16,
}

impl RelayUrl {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the connection is encrypted (`wss`).
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("wss:")
    }

    /// Whether both name the same relay for NIP-42, which compares hosts because relays differ in how they write
    /// their own path.
    pub(crate) fn same_host(&self, other: &Self) -> bool {
        match (self.target(), other.target()) {
            (Ok(a), Ok(b)) => a.host == b.host && a.port == b.port,
            _ => false,
        }
    }

    pub(crate) fn target(&self) -> Result<Target, UrlError> {
        let url = parse(&self.0)?;
        let secure = url.scheme() == "wss";
        let host = url.host().ok_or(UrlError::NoHost)?.to_owned();
        let port = url.port().unwrap_or(if secure { 443 } else { 80 });
        Ok(Target { secure, host, port })
    }
}

fn parse(text: &str) -> Result<url::Url, UrlError> {
    url::Url::parse(text).map_err(|e| match e {
        url::ParseError::EmptyHost => UrlError::NoHost,
        other => UrlError::Malformed { reason: other.to_string() },
    })
}

impl FromStr for RelayUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(UrlError::TooLong);
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return Err(UrlError::NoScheme { text: DisplayText::truncated(text, 80) });
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "ws" && scheme != "wss" {
            return Err(UrlError::UnknownScheme { scheme: DisplayText::truncated(&scheme, 20) });
        }
        let mut url = parse(text)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(UrlError::NoHost);
        }
        url.set_fragment(None);
        let full = url.as_str();
        let bare_host = url.path() == "/" && url.query().is_none();
        Ok(Self(if bare_host { full.trim_end_matches('/') } else { full }.into()))
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayUrl({})", self.0)
    }
}

impl TryFrom<String> for RelayUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl From<RelayUrl> for String {
    fn from(url: RelayUrl) -> Self {
        url.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised() {
        for (given, kept) in [
            ("wss://Relay.Example", "wss://relay.example"),
            ("wss://relay.example/", "wss://relay.example"),
            ("wss://relay.example:443/", "wss://relay.example"),
            ("WS://127.0.0.1:7777", "ws://127.0.0.1:7777"),
            ("ws://[::1]:80/", "ws://[::1]"),
            ("wss://relay.example/inbox", "wss://relay.example/inbox"),
            ("wss://relay.example/?k=v#part", "wss://relay.example/?k=v"),
            ("  wss://bücher.example ", "wss://xn--bcher-kva.example"),
        ] {
            assert_eq!(given.parse::<RelayUrl>().unwrap().as_str(), kept, "{given}");
        }
    }

    #[test]
    fn what_is_no_relay_is_named() {
        let why = |text: &str| text.parse::<RelayUrl>().unwrap_err();
        assert_eq!(why("http://relay.example"), UrlError::UnknownScheme { scheme: "http".into() });
        assert!(why("http://relay.example").to_string().contains("not http://"));
        assert_eq!(why("relay.example").hint(), "try wss://relay.example");
        assert!(matches!(why("localhost:7777"), UrlError::NoScheme { .. }));
        assert_eq!(why("ws://"), UrlError::NoHost);
        assert_eq!(why("wss://user:secret@relay.example"), UrlError::Credentials);
        assert!(!why("wss://user:secret@relay.example").to_string().contains("secret"));
        assert_eq!(why(&format!("wss://{}", "a".repeat(600))), UrlError::TooLong);
        assert!(matches!(why("ws://host:99999"), UrlError::Malformed { .. }));
    }

    #[test]
    fn targets_have_default_ports() {
        let target = "wss://relay.example".parse::<RelayUrl>().unwrap().target().unwrap();
        assert!(target.secure && target.port == 443);
        let target = "ws://[::1]:7000/x".parse::<RelayUrl>().unwrap().target().unwrap();
        assert!(matches!(target.host, url::Host::Ipv6(ip) if ip.is_loopback()));
        assert_eq!(target.port, 7000);
    }
}
