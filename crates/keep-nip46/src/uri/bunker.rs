//! `bunker://`: a signer invites clients.

use std::fmt;
use std::str::FromStr;

use keep_types::{PublicKey, SecretText};

use super::query::{Parts, QueryWriter};
use super::{MAX_RELAYS, UriError};
use crate::{ConnectSecret, RelayUrl};

const SCHEME: &str = "bunker://";

/// `bunker://<remote-signer-pubkey>?relay=…&secret=…` (NIP-46, "Direct connection initiated by remote-signer").
///
/// `Display` writes the whole URI, with its secret, for the person who invites a client; `Debug` hides the secret.
///
/// ```
/// use keep_nip46::{BunkerUri, ConnectSecret, RelayUrl};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let text = "bunker://fa984bd7dbb282f07e16e7ae87b26a2a7b9b90b7246a44771f0cf5ae58018f52?relay=wss%3A%2F%2Fr.example";
/// let uri: BunkerUri = text.parse()?;
/// assert_eq!(uri.relays(), [RelayUrl::parse("wss://r.example")?]);
/// assert_eq!(uri.to_string(), text);
///
/// let secret = ConnectSecret::from_random(&[7; 24]);
/// let ours = BunkerUri::new(*uri.remote(), uri.relays().to_vec(), Some(&secret))?;
/// assert_eq!(ours.secret(), Some(secret.expose()));
/// # Ok(())
/// # }
/// ```
pub struct BunkerUri {
    remote: PublicKey,
    relays: Vec<RelayUrl>,
    secret: Option<SecretText>,
}

impl BunkerUri {
    /// The URI of a bunker of ours.
    ///
    /// # Errors
    /// Without a relay, with more than [`MAX_RELAYS`], or with one whose address holds a character over which clients
    /// stumble: some decode the whole query before they take it apart, so that `&`, `%` or `+` inside an address break it.
    pub fn new(
        remote: PublicKey,
        relays: Vec<RelayUrl>,
        secret: Option<&ConnectSecret>,
    ) -> Result<Self, UriError> {
        if relays.is_empty() {
            return Err(UriError::NoRelay);
        }
        if relays.len() > MAX_RELAYS {
            return Err(UriError::TooManyRelays);
        }
        if let Some(relay) = relays.iter().find(|relay| !is_readable_by_all(relay)) {
            return Err(UriError::UnsafeRelay(relay.clone()));
        }
        let secret = secret.map(|secret| SecretText::new(secret.expose().to_owned()));
        Ok(Self { remote, relays, secret })
    }

    /// Reads a URI.
    ///
    /// # Errors
    /// [`UriError`] names what does not fit.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let parts = Parts::split(text, SCHEME)?;
        let (relays, secret) = (parts.relays()?, parts.first("secret").map(SecretText::new));
        Ok(Self { remote: parts.key, relays, secret })
    }

    /// The public key of the remote signer: to whom requests go. Not necessarily the user's key.
    pub const fn remote(&self) -> &PublicKey {
        &self.remote
    }

    /// The relays on which it listens; at least one.
    pub fn relays(&self) -> &[RelayUrl] {
        &self.relays
    }

    /// The one-time secret, if there is one.
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_ref().map(SecretText::expose)
    }
}

/// Whether a relay's address survives every client's way of reading URIs.
fn is_readable_by_all(relay: &RelayUrl) -> bool {
    relay.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:/?=[]".contains(&byte))
}

impl fmt::Display for BunkerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.remote.to_hex())?;
        let mut query = QueryWriter::new(f);
        self.relays.iter().try_for_each(|relay| query.param("relay", relay.as_str()))?;
        self.secret().map_or(Ok(()), |secret| query.param("secret", secret))
    }
}

impl fmt::Debug for BunkerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BunkerUri")
            .field("remote", &self.remote)
            .field("relays", &self.relays)
            .field("secret", &self.secret)
            .finish()
    }
}

impl FromStr for BunkerUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}
