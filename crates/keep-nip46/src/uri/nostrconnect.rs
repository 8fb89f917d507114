//! `nostrconnect://`: a client asks for a signer.

use std::fmt;
use std::str::FromStr;

use keep_types::{PublicKey, SecretText};

use super::query::{Parts, QueryWriter};
use super::{MAX_RELAYS, UriError};
use crate::{ClientMetadata, ConnectSecret, Permissions, RelayUrl};

const SCHEME: &str = "nostrconnect://";

/// `nostrconnect://<client-pubkey>?relay=…&secret=…&perms=…&name=…&url=…&image=…` (NIP-46, "Direct connection
/// initiated by the client"); the older `metadata={json}` is read too.
///
/// Everything in it is the client's word: the relays may be local addresses ([`RelayUrl::is_local`]), the permissions
/// are a wish, the name is a claim. `Display` writes the whole URI, with its secret; `Debug` hides the secret.
pub struct NostrConnectUri {
    client: PublicKey,
    relays: Vec<RelayUrl>,
    secret: Option<SecretText>,
    permissions: Permissions,
    metadata: ClientMetadata,
}

impl NostrConnectUri {
    /// The URI of a client of ours.
    ///
    /// # Errors
    /// Without a relay, or with more than [`MAX_RELAYS`].
    pub fn new(
        client: PublicKey,
        relays: Vec<RelayUrl>,
        secret: &ConnectSecret,
        permissions: Permissions,
        metadata: ClientMetadata,
    ) -> Result<Self, UriError> {
        match relays.len() {
            0 => Err(UriError::NoRelay),
            1..=MAX_RELAYS => {
                let secret = Some(SecretText::new(secret.expose().to_owned()));
                Ok(Self { client, relays, secret, permissions, metadata })
            }
            _ => Err(UriError::TooManyRelays),
        }
    }

    /// Reads a URI. Permissions and metadata that cannot be read are left out.
    ///
    /// # Errors
    /// [`UriError`] names what does not fit; relay and secret are required.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let uri = Self::parse_secretless(text)?;
        if uri.secret.is_some() { Ok(uri) } else { Err(UriError::NoSecret) }
    }

    /// As [`parse`](Self::parse), and the secret may be missing, as in the URIs of rust-nostr before 0.45: such a client takes
    /// whoever answers `ack` first for its signer.
    ///
    /// # Errors
    /// [`UriError`] names what does not fit; a relay is required.
    pub fn parse_secretless(text: &str) -> Result<Self, UriError> {
        let parts = Parts::split(text, SCHEME)?;
        let relays = parts.relays()?;
        let secret = parts.first("secret").map(SecretText::new);
        let permissions = parts.first("perms").map(|list| Permissions::from_wish(&list)).unwrap_or_default();
        let (name, url, image) = (parts.first("name"), parts.first("url"), parts.first("image"));
        let plain = ClientMetadata::new(name.as_deref(), url.as_deref(), image.as_deref());
        let metadata = match parts.first("metadata") {
            Some(json) if plain.is_empty() => ClientMetadata::from_json(&json),
            Some(_) | None => plain,
        };
        Ok(Self { client: parts.key, relays, secret, permissions, metadata })
    }

    /// The client's public key.
    pub const fn client(&self) -> &PublicKey {
        &self.client
    }

    /// The relays on which the client listens; at least one. Attacker-chosen if the URI comes from elsewhere.
    pub fn relays(&self) -> &[RelayUrl] {
        &self.relays
    }

    /// The secret that the signer sends back to show that it read this URI. None only after
    /// [`parse_secretless`](Self::parse_secretless).
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_ref().map(SecretText::expose)
    }

    /// What the client wishes to be allowed.
    pub const fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// What the client says about itself.
    pub const fn metadata(&self) -> &ClientMetadata {
        &self.metadata
    }
}

impl fmt::Display for NostrConnectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.client.to_hex())?;
        let mut query = QueryWriter::new(f);
        self.relays.iter().try_for_each(|relay| query.param("relay", relay.as_str()))?;
        self.secret().map_or(Ok(()), |secret| query.param("secret", secret))?;
        if !self.permissions.is_empty() {
            query.param("perms", &self.permissions.to_string())?;
        }
        let metadata = &self.metadata;
        for (name, value) in [("name", &metadata.name), ("url", &metadata.url), ("image", &metadata.image)] {
            if let Some(text) = value {
                query.param(name, text.as_str())?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for NostrConnectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NostrConnectUri")
            .field("client", &self.client)
            .field("relays", &self.relays)
            .field("secret", &self.secret)
            .field("permissions", &self.permissions)
            .field("metadata", &self.metadata)
            .finish()
    }
}

impl FromStr for NostrConnectUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}
