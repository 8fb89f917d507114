//! What a client asks, and what counts as an answer.

use keep_types::{Event, EventId, PublicKey, Scheme, SecretText, UnsignedEvent};
use nostr::JsonUtil;

use super::ClientError;
use crate::secret::same_secret;
use crate::{ClientMetadata, Permissions, RelayUrl};

/// A call to a remote signer.
pub enum Ask {
    /// `connect`, with the secret of the URI.
    Connect {
        /// What the client wishes to be allowed.
        permissions: Permissions,
        /// What it says about itself.
        metadata: ClientMetadata,
    },
    /// `get_public_key`: the user's key, which need not be the signer's.
    GetPublicKey,
    /// `sign_event`
    SignEvent(Box<UnsignedEvent>),
    /// `ping`
    Ping,
    /// `nip44_encrypt` or `nip04_encrypt`
    Encrypt {
        /// Which encryption.
        scheme: Scheme,
        /// To whom.
        peer: PublicKey,
        /// What.
        plaintext: SecretText,
    },
    /// `nip44_decrypt` or `nip04_decrypt`
    Decrypt {
        /// Which encryption.
        scheme: Scheme,
        /// From whom.
        peer: PublicKey,
        /// The encrypted payload.
        ciphertext: String,
    },
    /// `nip44v3_encrypt`
    EncryptV3 {
        /// To whom, and for what.
        context: V3Context,
        /// The bytes, in base64.
        plaintext: SecretText,
    },
    /// `nip44v3_decrypt`
    DecryptV3 {
        /// From whom, and for what.
        context: V3Context,
        /// The encrypted payload.
        ciphertext: String,
    },
    /// `switch_relays`: ask it right after connecting.
    SwitchRelays,
    /// `logout`
    Logout,
}

/// What a message of NIP-44 version 3 is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V3Context {
    /// The other side.
    pub peer: PublicKey,
    /// The kind that it is for.
    pub kind: u32,
    /// What within that kind.
    pub scope: String,
}

impl V3Context {
    fn params(self, last: SecretText) -> Vec<SecretText> {
        let Self { peer, kind, scope } = self;
        vec![SecretText::new(peer.to_hex()), SecretText::new(kind.to_string()), SecretText::new(scope), last]
    }
}

/// A valid answer.
#[derive(Debug)]
pub enum Answered {
    /// To `connect`.
    Connected,
    /// To `get_public_key`.
    PublicKey(PublicKey),
    /// To `sign_event`: exactly the event that was asked for, with a signature that was verified.
    Signed(Box<Event>),
    /// To `ping`.
    Pong,
    /// To an encryption: the payload.
    Ciphertext(String),
    /// To a decryption: the text; of version 3, the bytes in base64.
    Plaintext(SecretText),
    /// To `switch_relays`: the relays to use from now on, or nothing if they stay.
    Relays(Option<Vec<RelayUrl>>),
    /// To `logout`.
    LoggedOut,
}

/// What an open call waits for.
pub(super) enum Expected {
    Ack { secret: Option<SecretText> },
    PublicKey,
    Event { id: EventId },
    Pong,
    Ciphertext(Scheme),
    Plaintext(Scheme),
    CiphertextV3,
    PlaintextV3,
    Relays,
    Logout,
}

impl Ask {
    /// The parameters of the call, and what its answer must be.
    pub(super) fn into_params(
        self,
        remote: &PublicKey,
        secret: Option<&SecretText>,
    ) -> (Vec<SecretText>, Expected) {
        let text = |text: String| SecretText::new(text);
        match self {
            Self::Connect { permissions, metadata } => {
                let copy = || SecretText::new(secret.map(|s| s.expose().to_owned()).unwrap_or_default());
                let mut params = vec![text(remote.to_hex()), copy()];
                if !permissions.is_empty() || !metadata.is_empty() {
                    params.push(text(permissions.to_string()));
                }
                if !metadata.is_empty() {
                    params.push(text(metadata.to_json()));
                }
                (params, Expected::Ack { secret: secret.map(|_| copy()) })
            }
            Self::GetPublicKey => (vec![], Expected::PublicKey),
            Self::SignEvent(event) => {
                let mut event = *event;
                let id = event.id();
                (vec![text(event.as_json())], Expected::Event { id })
            }
            Self::Ping => (vec![], Expected::Pong),
            Self::Encrypt { scheme, peer, plaintext } => {
                (vec![text(peer.to_hex()), plaintext], Expected::Ciphertext(scheme))
            }
            Self::Decrypt { scheme, peer, ciphertext } => {
                (vec![text(peer.to_hex()), text(ciphertext)], Expected::Plaintext(scheme))
            }
            Self::EncryptV3 { context, plaintext } => (context.params(plaintext), Expected::CiphertextV3),
            Self::DecryptV3 { context, ciphertext } => {
                (context.params(text(ciphertext)), Expected::PlaintextV3)
            }
            Self::SwitchRelays => (vec![], Expected::Relays),
            Self::Logout => (vec![], Expected::Logout),
        }
    }
}

impl Expected {
    pub(super) const fn method(&self) -> &'static str {
        match self {
            Self::Ack { .. } => "connect",
            Self::PublicKey => "get_public_key",
            Self::Event { .. } => "sign_event",
            Self::Pong => "ping",
            Self::Ciphertext(Scheme::Nip44) => "nip44_encrypt",
            Self::Ciphertext(Scheme::Nip04) => "nip04_encrypt",
            Self::Plaintext(Scheme::Nip44) => "nip44_decrypt",
            Self::Plaintext(Scheme::Nip04) => "nip04_decrypt",
            Self::CiphertextV3 => "nip44v3_encrypt",
            Self::PlaintextV3 => "nip44v3_decrypt",
            Self::Relays => "switch_relays",
            Self::Logout => "logout",
        }
    }

    pub(super) const fn bad(&self, reason: &'static str) -> ClientError {
        ClientError::BadAnswer { method: self.method(), reason }
    }

    /// The answer in `result`, if it is one that this call can have.
    pub(super) fn read(self, result: SecretText) -> Result<Answered, ClientError> {
        let text = result.expose();
        match &self {
            Self::Ack { secret } => {
                let is_ack = text == "ack" || secret.as_ref().is_some_and(|s| same_secret(s.expose(), text));
                if is_ack { Ok(Answered::Connected) } else { Err(self.bad("neither ack nor the secret")) }
            }
            Self::PublicKey => match PublicKey::from_hex(text) {
                Ok(key) if key.xonly().is_ok() => Ok(Answered::PublicKey(key)),
                Ok(_) | Err(_) => Err(self.bad("not a public key")),
            },
            Self::Event { id } => {
                let event = Event::from_json(text).map_err(|_| self.bad("not an event"))?;
                if event.id != *id {
                    return Err(self.bad("not the event that was to be signed"));
                }
                // The id is the hash of every field but the signature.
                event.verify().map_err(|_| self.bad("its id or signature is wrong"))?;
                Ok(Answered::Signed(Box::new(event)))
            }
            Self::Pong if text == "pong" => Ok(Answered::Pong),
            Self::Pong => Err(self.bad("not pong")),
            Self::Ciphertext(_) | Self::CiphertextV3 => Ok(Answered::Ciphertext(text.to_owned())),
            Self::Plaintext(_) => Ok(Answered::Plaintext(result)),
            Self::PlaintextV3 => match keep_cipher::nip44v3::from_base64(text) {
                Ok(_) => Ok(Answered::Plaintext(result)),
                Err(_) => Err(self.bad("not base64")),
            },
            Self::Relays => read_relays(text).map(Answered::Relays).ok_or(self.bad("not a list of relays")),
            // Whatever the words: the signer answered, and the session is over for us.
            Self::Logout => Ok(Answered::LoggedOut),
        }
    }
}

/// The relays of `switch_relays`; `null` means that they stay.
fn read_relays(text: &str) -> Option<Option<Vec<RelayUrl>>> {
    let list: Option<Vec<String>> = serde_json::from_str(text).ok()?;
    let Some(list) = list else { return Some(None) };
    let relays: Vec<RelayUrl> =
        list.iter().map(|relay| RelayUrl::parse(relay)).collect::<Result<_, _>>().ok()?;
    (!relays.is_empty() && relays.len() <= crate::uri::MAX_RELAYS).then_some(Some(relays))
}
