//! The address of a relay.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::{DisplayText, ErrorCode, Fault};

/// Why a text is not the address of a relay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelayUrlError {
    /// Another scheme than `ws` and `wss`.
    #[error("a relay's address starts with wss:// or ws://, not with {0}://")]
    Scheme(DisplayText),
    /// No scheme at all.
    #[error("a relay's address starts with wss:// or ws://; \"{0}\" does not")]
    NoScheme(DisplayText),
    /// A user name or password in the address.
    #[error("a relay's address cannot hold a user name or password")]
    Credentials,
    /// Longer than [`RelayUrl::MAX_LEN`].
    #[error("a relay's address has at most {max} characters", max = RelayUrl::MAX_LEN)]
    TooLong,
    /// No host, a port that is none, and the like.
    #[error("the relay's address {0}")]
    Malformed(String),
}

impl RelayUrlError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::NoScheme(text) => format!("try wss://{text}"),
            Self::Scheme(_) | Self::Credentials | Self::TooLong | Self::Malformed(_) => {
                "write it as wss://relay.example or ws://127.0.0.1:7777".to_owned()
            }
        }
    }
}

impl From<RelayUrlError> for Fault {
    fn from(error: RelayUrlError) -> Self {
        Self::new(ErrorCode::InvalidUri, error.to_string()).with_hint(error.hint())
    }
}

/// The address of a relay: `ws://` or `wss://`, a host, perhaps a port and path.
///
/// The host is in lower case and in its shortest form, default ports and a bare `/` are left out, so that two
/// spellings of one address compare equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelayUrl(Arc<str>);

impl RelayUrl {
    /// The longest address, in bytes.
    pub const MAX_LEN: usize = 512;

    /// Reads an address.
    ///
    /// # Errors
    /// [`RelayUrlError`] names what does not fit, the scheme above all.
    pub fn parse(text: &str) -> Result<Self, RelayUrlError> {
        let text = text.trim();
        if text.len() > Self::MAX_LEN {
            return Err(RelayUrlError::TooLong);
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return Err(RelayUrlError::NoScheme(DisplayText::truncated(text, 80)));
        };
        if !["ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(RelayUrlError::Scheme(DisplayText::truncated(scheme, 20)));
        }
        let mut url = Url::parse(text).map_err(|e| RelayUrlError::Malformed(format!("is not valid: {e}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RelayUrlError::Credentials);
        }
        if url.host().is_none() {
            return Err(RelayUrlError::Malformed("names no host".to_owned()));
        }
        url.set_fragment(None);
        let bare = url.path() == "/" && url.query().is_none();
        let mut address = String::from(url);
        if bare {
            address.pop();
        }
        Ok(Self(address.into()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port, as a connection needs them; 443 for `wss` and 80 for `ws` where the address names no port.
    ///
    /// # Errors
    /// Never for an address that was read by [`RelayUrl::parse`].
    pub fn host_and_port(&self) -> Result<(Host<String>, u16), RelayUrlError> {
        let malformed = |what: String| RelayUrlError::Malformed(what);
        let url = Url::parse(&self.0).map_err(|e| malformed(format!("is not valid: {e}")))?;
        let host = url.host().ok_or_else(|| malformed("names no host".to_owned()))?.to_owned();
        Ok((host, url.port().unwrap_or(if self.is_encrypted() { 443 } else { 80 })))
    }

    /// Whether both have the same host and port: NIP-42 compares no more, because relays differ in how they write their
    /// own path.
    pub fn same_host(&self, other: &Self) -> bool {
        matches!((self.host_and_port(), other.host_and_port()), (Ok(a), Ok(b)) if a == b)
    }

    /// Whether the connection is encrypted (`wss`).
    pub fn is_encrypted(&self) -> bool {
        self.0.starts_with("wss:")
    }

    /// Whether the host is by its own words this machine or the network around it: loopback, private and link-local
    /// addresses, `localhost`, `*.local`, `*.internal`. An address from a stranger (a `nostrconnect://` URI) that is
    /// local would make Keep knock at doors behind the firewall. A public name that resolves to a private address is
    /// seen only by whoever connects.
    pub fn is_local(&self) -> bool {
        match Url::parse(&self.0).as_ref().map(Url::host) {
            Ok(Some(Host::Ipv4(address))) => is_local_v4(address),
            Ok(Some(Host::Ipv6(address))) => is_local_v6(address),
            Ok(Some(Host::Domain(name))) => is_local_name(name),
            Ok(None) | Err(_) => true,
        }
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let last = name.rsplit('.').next().unwrap_or(name);
    ["localhost", "local", "internal", "lan", "home", "corp"].contains(&last) || !name.contains('.')
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_broadcast()
        || first == 0
        || (first == 100 && (64..128).contains(&second))
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    address.to_ipv4().is_some_and(is_local_v4)
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
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

impl FromStr for RelayUrl {
    type Err = RelayUrlError;

    fn from_str(text: &str) -> Result<Self, RelayUrlError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for RelayUrl {
    type Error = RelayUrlError;

    fn try_from(text: String) -> Result<Self, RelayUrlError> {
        Self::parse(&text)
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
    fn spellings_of_one_address_are_equal() {
        for (given, kept) in [
            ("wss://Relay.Example:443/", "wss://relay.example"),
            ("WS://127.0.0.1:7777", "ws://127.0.0.1:7777"),
            (" wss://relay.example/inbox ", "wss://relay.example/inbox"),
            ("wss://relay.example/?a=b#c", "wss://relay.example/?a=b"),
            ("ws://2130706433/", "ws://127.0.0.1"),
        ] {
            assert_eq!(RelayUrl::parse(given).unwrap().as_str(), kept);
        }
    }

    #[test]
    fn what_is_no_relay_is_named() {
        let error = |text: &str| RelayUrl::parse(text).unwrap_err().to_string();
        assert!(error("https://relay.example").contains("not with https://"));
        assert!(error("relay.example").contains("\"relay.example\" does not"));
        assert_eq!(error("wss://me:secret@relay.example"), RelayUrlError::Credentials.to_string());
        assert!(error("wss://").contains("not valid"));
        assert!(error("wss://relay.example:99999").contains("not valid"));
        assert_eq!(error(&format!("wss://{}", "a".repeat(600))), RelayUrlError::TooLong.to_string());
        assert!(error("\u{202e}wss://relay.example").contains("\\u{202e}"));
    }

    #[test]
    fn connections_have_default_ports_and_hints_help() {
        let parts = |text: &str| RelayUrl::parse(text).unwrap().host_and_port().unwrap();
        assert_eq!(parts("wss://relay.example").1, 443);
        let (host, port) = parts("ws://[::1]:7000/x");
        assert!(matches!(host, Host::Ipv6(ip) if ip.is_loopback()) && port == 7000);
        assert_eq!(parts("ws://relay.example/inbox").1, 80);
        assert_eq!(RelayUrl::parse("relay.example").unwrap_err().hint(), "try wss://relay.example");
    }

    #[test]
    fn local_addresses_are_recognised() {
        for local in [
            "ws://localhost:1",
            "ws://127.1",
            "ws://0x7f000001",
            "ws://10.0.0.1",
            "ws://169.254.169.254/latest",
            "ws://[::1]",
            "ws://[::ffff:10.0.0.1]",
            "ws://[fd00::1]",
            "ws://[fe80::1]",
            "ws://printer.local",
            "ws://metadata.google.internal",
            "ws://intranet",
            "ws://0.0.0.0",
            "ws://100.64.0.1",
        ] {
            assert!(RelayUrl::parse(local).unwrap().is_local(), "{local}");
        }
        for public in ["wss://relay.example", "wss://8.8.8.8", "wss://[2606:4700::1111]", "wss://100.128.0.1"]
        {
            assert!(!RelayUrl::parse(public).unwrap().is_local(), "{public}");
        }
    }
}
