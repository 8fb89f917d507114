//! What both URIs share: scheme, public key, query.

use std::fmt::{self, Write};

use keep_types::{DisplayText, PublicKey};
use url::form_urlencoded;

use super::{MAX_RELAYS, MAX_URI, UriError};
use crate::RelayUrl;

/// A URI taken apart: the key, and the query's parameters in their order, decoded.
pub(super) struct Parts<'a> {
    pub key: PublicKey,
    query: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes `text` apart. Spaces around it, the case of scheme and hex digits, and a `/` after the key are forgiven.
    pub(super) fn split(text: &'a str, scheme: &'static str) -> Result<Self, UriError> {
        let text = text.trim();
        if text.len() > MAX_URI {
            return Err(UriError::TooLong(text.len()));
        }
        let rest = match text.get(..scheme.len()) {
            Some(start) if start.eq_ignore_ascii_case(scheme) => &text[scheme.len()..],
            Some(_) | None => {
                // At most the scheme is shown: what follows may be a secret.
                let found = text.split_inclusive("://").next().unwrap_or(text);
                return Err(UriError::Scheme { expected: scheme, found: DisplayText::truncated(found, 20) });
            }
        };
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let key = PublicKey::from_hex(authority.trim_end_matches('/')).ok();
        let key = key.filter(|key| key.xonly().is_ok()).ok_or(UriError::PublicKey(scheme))?;
        Ok(Self { key, query: without_fragment(query) })
    }

    fn pairs(&self) -> form_urlencoded::Parse<'a> {
        form_urlencoded::parse(self.query.as_bytes())
    }

    /// The first value of `name` that is not empty.
    pub(super) fn first(&self, name: &str) -> Option<String> {
        let found = self.pairs().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.into_owned())
    }

    /// Every `relay`, without repetitions; there must be one.
    pub(super) fn relays(&self) -> Result<Vec<RelayUrl>, UriError> {
        let mut relays = Vec::new();
        for (_, value) in self.pairs().filter(|(key, value)| key == "relay" && !value.is_empty()) {
            let relay = RelayUrl::parse(&value)?;
            if !relays.contains(&relay) {
                relays.push(relay);
            }
            if relays.len() > MAX_RELAYS {
                return Err(UriError::TooManyRelays);
            }
        }
        if relays.is_empty() { Err(UriError::NoRelay) } else { Ok(relays) }
    }
}

/// A query up to its fragment. rust-nostr writes its metadata as plain JSON, in which a `#` begins none.
fn without_fragment(query: &str) -> &str {
    let json_ends = if query.contains("metadata={") { query.rfind('}').unwrap_or(0) } else { 0 };
    let begins = query[json_ends..].find('#').map_or(query.len(), |at| json_ends + at);
    &query[..begins]
}

/// Writes a query, one parameter after the other.
pub(super) struct QueryWriter<'a, 'f> {
    to: &'a mut fmt::Formatter<'f>,
    separator: char,
}

impl<'a, 'f> QueryWriter<'a, 'f> {
    pub(super) const fn new(to: &'a mut fmt::Formatter<'f>) -> Self {
        Self { to, separator: '?' }
    }

    /// Writes one parameter. All but letters, digits, `-`, `.` and `_` is percent-encoded: that is what every client
    /// reads, and nostr-tools accepts nothing more in a `bunker://` URI.
    pub(super) fn param(&mut self, name: &str, value: &str) -> fmt::Result {
        write!(self.to, "{}{name}=", self.separator)?;
        self.separator = '&';
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
                self.to.write_char(char::from(byte))?;
            } else {
                write!(self.to, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}
