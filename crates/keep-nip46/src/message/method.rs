//! The methods of NIP-46, with typed parameters.

use std::fmt;

use keep_types::{DisplayText, EventTemplate, PublicKey, Scheme, SecretText, V3Use};

use super::MessageError;
use super::loose::Loose;
use crate::{ClientMetadata, Permissions};

/// The parameters of `connect`. Only the secret means anything: the rest is the client's word.
#[derive(Debug)]
pub struct Connect {
    /// What the client takes for the remote signer. Some send the user's key or nothing: never check it, route by the
    /// `p` tag and the secret.
    pub remote: Option<PublicKey>,
    /// The secret of the `bunker://` URI.
    pub secret: Option<SecretText>,
    /// What the client wishes to be allowed. Never a grant.
    pub permissions: Permissions,
    /// What the client says about itself.
    pub metadata: ClientMetadata,
}

/// What a client asks for. `Debug` shows the name only, never a parameter.
pub enum Method {
    /// `connect`
    Connect(Connect),
    /// `get_public_key`
    GetPublicKey,
    /// `sign_event`
    SignEvent(EventTemplate),
    /// `ping`
    Ping,
    /// `nip44_encrypt` and `nip04_encrypt`
    Encrypt {
        /// Which encryption.
        scheme: Scheme,
        /// To whom.
        peer: PublicKey,
        /// What.
        plaintext: SecretText,
    },
    /// `nip44_decrypt` and `nip04_decrypt`
    Decrypt {
        /// Which encryption.
        scheme: Scheme,
        /// From whom.
        peer: PublicKey,
        /// The encrypted payload.
        ciphertext: String,
    },
    /// `nip44v3_encrypt` and `nip44v3_decrypt` (draft): peer, kind, scope, then base64 of the bytes, or the payload
    Nip44V3(Box<V3Use>),
    /// `switch_relays`
    SwitchRelays,
    /// `logout`
    Logout,
    /// Any other method. It must be answered with an error.
    Unknown(DisplayText),
}

impl Method {
    /// The name in NIP-46.
    pub fn name(&self) -> &str {
        match self {
            Self::Connect(_) => "connect",
            Self::GetPublicKey => "get_public_key",
            Self::SignEvent(_) => "sign_event",
            Self::Ping => "ping",
            Self::Encrypt { scheme: Scheme::Nip44, .. } => "nip44_encrypt",
            Self::Encrypt { scheme: Scheme::Nip04, .. } => "nip04_encrypt",
            Self::Decrypt { scheme: Scheme::Nip44, .. } => "nip44_decrypt",
            Self::Decrypt { scheme: Scheme::Nip04, .. } => "nip04_decrypt",
            Self::Nip44V3(usage) => match **usage {
                V3Use::Encrypt { .. } => "nip44v3_encrypt",
                V3Use::Decrypt { .. } => "nip44v3_decrypt",
            },
            Self::SwitchRelays => "switch_relays",
            Self::Logout => "logout",
            Self::Unknown(name) => name.as_str(),
        }
    }

    pub(super) fn read(name: &str, params: Vec<Loose>) -> Result<Self, MessageError> {
        let mut params = params.into_iter().map(Loose::into_text);
        let mut next = || params.next().flatten();
        Ok(match name {
            "connect" => Self::Connect(Connect {
                remote: next().and_then(|text| PublicKey::from_hex(text.expose()).ok()),
                secret: next().filter(|text| !text.expose().is_empty()),
                permissions: next().map(|list| Permissions::from_wish(list.expose())).unwrap_or_default(),
                metadata: next().map(|json| ClientMetadata::from_json(json.expose())).unwrap_or_default(),
            }),
            "get_public_key" => Self::GetPublicKey,
            "sign_event" => {
                let json = needed(next(), "sign_event", 1, "the event")?;
                Self::SignEvent(EventTemplate::from_json(json.expose())?)
            }
            "ping" => Self::Ping,
            "nip44_encrypt" => encrypt("nip44_encrypt", Scheme::Nip44, next(), next())?,
            "nip04_encrypt" => encrypt("nip04_encrypt", Scheme::Nip04, next(), next())?,
            "nip44_decrypt" => decrypt("nip44_decrypt", Scheme::Nip44, next(), next())?,
            "nip04_decrypt" => decrypt("nip04_decrypt", Scheme::Nip04, next(), next())?,
            "nip44v3_encrypt" => {
                let (peer, kind, scope) = context("nip44v3_encrypt", next(), next(), next())?;
                let text = needed(next(), "nip44v3_encrypt", 4, "the base64 of what to encrypt")?;
                let plaintext = keep_cipher::nip44v3::from_base64(text.expose())
                    .map_err(|_| MessageError::BadParam { method: "nip44v3_encrypt", what: "base64" })?;
                Self::Nip44V3(Box::new(V3Use::Encrypt { peer, kind, scope, plaintext }))
            }
            "nip44v3_decrypt" => {
                let (peer, kind, scope) = context("nip44v3_decrypt", next(), next(), next())?;
                let payload =
                    needed(next(), "nip44v3_decrypt", 4, "the encrypted payload")?.expose().to_owned();
                Self::Nip44V3(Box::new(V3Use::Decrypt { peer, kind, scope, payload }))
            }
            "switch_relays" => Self::SwitchRelays,
            "logout" => Self::Logout,
            other => Self::Unknown(DisplayText::truncated(other, 64)),
        })
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Method({})", self.name())
    }
}

fn needed(
    param: Option<SecretText>,
    method: &'static str,
    number: u8,
    what: &'static str,
) -> Result<SecretText, MessageError> {
    param.ok_or(MessageError::MissingParam { method, number, what })
}

fn peer_of(method: &'static str, param: Option<SecretText>) -> Result<PublicKey, MessageError> {
    let hex = needed(param, method, 1, "the other side's public key")?;
    PublicKey::from_hex(hex.expose()).map_err(|_| MessageError::Peer(method))
}

/// What a message of version 3 is for: peer, kind and scope.
fn context(
    method: &'static str,
    peer: Option<SecretText>,
    kind: Option<SecretText>,
    scope: Option<SecretText>,
) -> Result<(PublicKey, u32, String), MessageError> {
    let peer = peer_of(method, peer)?;
    let kind = needed(kind, method, 2, "the kind")?;
    let kind = kind.expose().parse().map_err(|_| MessageError::BadParam { method, what: "a kind" })?;
    Ok((peer, kind, scope.map(|scope| scope.expose().to_owned()).unwrap_or_default()))
}

fn encrypt(
    name: &'static str,
    scheme: Scheme,
    peer: Option<SecretText>,
    text: Option<SecretText>,
) -> Result<Method, MessageError> {
    let peer = peer_of(name, peer)?;
    Ok(Method::Encrypt { scheme, peer, plaintext: needed(text, name, 2, "the text")? })
}

fn decrypt(
    name: &'static str,
    scheme: Scheme,
    peer: Option<SecretText>,
    text: Option<SecretText>,
) -> Result<Method, MessageError> {
    let peer = peer_of(name, peer)?;
    let ciphertext = needed(text, name, 2, "the encrypted payload")?.expose().to_owned();
    Ok(Method::Decrypt { scheme, peer, ciphertext })
}
