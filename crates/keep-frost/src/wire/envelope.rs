//! Round messages for files, paste and relays: signed by the sender's device, bound to the session, and sealed to one
//! member where they hold secrets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::{Decode, Encode};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::bytes::Transcript;
use crate::{DeviceKey, DevicePublic, FrostError, Index, SessionId};

const WHAT: &str = "round message";
const VERSION: u8 = 1;
const PREFIX: &str = "keepfrost1:";
/// The longest message in bytes, so that a forged one cannot exhaust memory.
const MAX_BODY: usize = 4 << 20;

/// What a round message is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A proposal to sign.
    #[n(1)]
    Proposal,
    /// A signer's nonce commitment.
    #[n(2)]
    Commitment,
    /// Signers and commitments.
    #[n(3)]
    Package,
    /// A signature share.
    #[n(4)]
    Partial,
    /// Key generation: the hash of the sender's first contribution.
    #[n(5)]
    DkgCommit,
    /// Key generation and refresh: the public contribution.
    #[n(6)]
    Contribution,
    /// Key generation and refresh: the secret contribution to one member. Sealed.
    #[n(7)]
    Subshare,
    /// Key generation and refresh: the sender's signature over what it saw.
    #[n(8)]
    Certificate,
    /// Repair: one helper's blinded part for another helper. Sealed.
    #[n(9)]
    Delta,
    /// Repair: one helper's sum for the member that lost its share. Sealed.
    #[n(10)]
    Sigma,
    /// Refresh: who renews which shares.
    #[n(11)]
    Plan,
    /// Repair: whose share is lost, and who helps.
    #[n(12)]
    RepairPlan,
    /// A member's new device key, signed with its old one.
    #[n(13)]
    Device,
    /// Repair: what a helper shows of its pieces.
    #[n(14)]
    RepairCommit,
    /// Key generation, refresh and repair: the sender stops, because of what these members sent.
    #[n(15)]
    Complaint,
}

impl Kind {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Commitment => "commitment",
            Self::Package => "package",
            Self::Partial => "partial",
            Self::DkgCommit => "dkg_commit",
            Self::Contribution => "contribution",
            Self::Subshare => "subshare",
            Self::Certificate => "certificate",
            Self::Delta => "delta",
            Self::Sigma => "sigma",
            Self::Plan => "plan",
            Self::RepairPlan => "repair_plan",
            Self::Device => "device",
            Self::RepairCommit => "repair_commit",
            Self::Complaint => "complaint",
        }
    }
}

impl Kind {
    /// Whether it holds a secret, and so is sealed to one member.
    pub const fn is_sealed(self) -> bool {
        match self {
            Self::Subshare | Self::Delta | Self::Sigma => true,
            Self::Proposal
            | Self::Commitment
            | Self::Package
            | Self::Partial
            | Self::DkgCommit
            | Self::Contribution
            | Self::Certificate
            | Self::Plan
            | Self::RepairPlan
            | Self::Device
            | Self::RepairCommit
            | Self::Complaint => false,
        }
    }
}

/// One round message. Its signature covers every field.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Envelope {
    #[n(0)]
    version: u8,
    #[n(1)]
    kind: Kind,
    #[n(2)]
    session: SessionId,
    #[n(3)]
    from: Index,
    #[n(4)]
    to: Option<Index>,
    #[cbor(n(5), with = "minicbor::bytes")]
    body: Vec<u8>,
    #[cbor(n(6), with = "minicbor::bytes")]
    signature: [u8; 64],
}

impl Envelope {
    /// Signs a message to everybody.
    ///
    /// # Errors
    /// [`FrostError::Internal`] if encoding fails.
    pub fn sign<T: Encode<()>>(
        kind: Kind,
        session: SessionId,
        from: Index,
        device: &DeviceKey,
        value: &T,
    ) -> Result<Self, FrostError> {
        let body = minicbor::to_vec(value).map_err(|_| FrostError::Internal(WHAT))?;
        Self::finish(kind, session, from, None, device, body)
    }

    /// Signs a message that only member `to` can read.
    pub(crate) fn seal(
        kind: Kind,
        session: SessionId,
        from: Index,
        device: &DeviceKey,
        (to, key): (Index, DevicePublic),
        secret: &[u8],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        let body = key.seal(&context(kind, session, from, to), secret, rng)?;
        Self::finish(kind, session, from, Some(to), device, body)
    }

    fn finish(
        kind: Kind,
        session: SessionId,
        from: Index,
        to: Option<Index>,
        device: &DeviceKey,
        body: Vec<u8>,
    ) -> Result<Self, FrostError> {
        let mut envelope = Self { version: VERSION, kind, session, from, to, body, signature: [0; 64] };
        envelope.signature = device.sign(&envelope.digest())?;
        Ok(envelope)
    }

    fn digest(&self) -> [u8; 32] {
        Transcript::new("keep/frost/envelope")
            .with(&[self.version])
            .with(self.kind.as_str().as_bytes())
            .with(self.session.as_bytes())
            .with(&self.from.get().to_be_bytes())
            .with(&self.to.map_or(0, Index::get).to_be_bytes())
            .with(&self.body)
            .finish()
    }

    /// What it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Of which session.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Who says to have sent it. Known to be true after [`Envelope::authenticate`].
    pub const fn from(&self) -> Index {
        self.from
    }

    /// For whom it is, if not for everybody.
    pub const fn to(&self) -> Option<Index> {
        self.to
    }

    /// Whether the member's device signed this.
    ///
    /// # Errors
    /// [`FrostError::NotAuthentic`].
    pub fn authenticate(&self, device: &DevicePublic) -> Result<(), FrostError> {
        if device.verifies(&self.digest(), &self.signature) {
            Ok(())
        } else {
            Err(FrostError::NotAuthentic(self.from))
        }
    }

    /// Reads an open message of this kind and session, after checking who signed it.
    ///
    /// # Errors
    /// [`FrostError::WrongKind`], [`FrostError::WrongSession`], [`FrostError::NotAuthentic`];
    /// [`FrostError::BadContribution`] where its content has another form: its sender has signed it.
    pub fn read<T: for<'b> Decode<'b, ()>>(
        &self,
        kind: Kind,
        session: SessionId,
        device: &DevicePublic,
    ) -> Result<T, FrostError> {
        self.expect(kind, session)?;
        self.authenticate(device)?;
        minicbor::decode(&self.body).map_err(|_| FrostError::BadContribution(vec![self.from]))
    }

    /// Reads a proposal, whose session is not known before: the session must be the hash of what it proposes.
    ///
    /// # Errors
    /// As [`Envelope::read`].
    pub fn read_proposal(&self, device: &DevicePublic) -> Result<crate::sign::Proposal, FrostError> {
        let proposal: crate::sign::Proposal = self.read(Kind::Proposal, self.session, device)?;
        if proposal.session()? != self.session {
            return Err(FrostError::WrongSession);
        }
        Ok(proposal)
    }

    /// Opens a sealed message; the caller has authenticated it.
    pub(crate) fn open(&self, me: Index, device: &DeviceKey) -> Result<Zeroizing<Vec<u8>>, FrostError> {
        if self.to != Some(me) {
            return Err(FrostError::NotForMe);
        }
        device
            .open(&context(self.kind, self.session, self.from, me), &self.body)
            .ok_or(FrostError::Unreadable(self.from))
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn expect(&self, kind: Kind, session: SessionId) -> Result<(), FrostError> {
        if self.kind != kind {
            return Err(FrostError::WrongKind { expected: kind.as_str(), found: self.kind.as_str() });
        }
        if self.session != session {
            return Err(FrostError::WrongSession);
        }
        Ok(())
    }

    /// The binary form.
    ///
    /// # Errors
    /// [`FrostError::Internal`] if encoding fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FrostError> {
        minicbor::to_vec(self).map_err(|_| FrostError::Internal(WHAT))
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`FrostError::Malformed`], [`FrostError::NewerVersion`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrostError> {
        if bytes.len() > MAX_BODY {
            return Err(FrostError::malformed(WHAT, "it is longer than 4 MiB"));
        }
        let envelope: Self =
            minicbor::decode(bytes).map_err(|_| FrostError::malformed(WHAT, "it is damaged or cut off"))?;
        if envelope.version != VERSION {
            return Err(FrostError::NewerVersion { what: WHAT, version: envelope.version.into() });
        }
        Ok(envelope)
    }

    /// One line to paste: `keepfrost1:` and base64url.
    ///
    /// # Errors
    /// [`FrostError::Internal`] if encoding fails.
    pub fn to_text(&self) -> Result<String, FrostError> {
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.to_bytes()?)))
    }

    /// JSON for files.
    ///
    /// # Errors
    /// [`FrostError::Internal`] if encoding fails.
    pub fn to_json(&self) -> Result<String, FrostError> {
        let json = JsonEnvelope {
            keepfrost: self.version,
            kind: self.kind,
            session: self.session.to_string(),
            from: self.from,
            to: self.to,
            body: URL_SAFE_NO_PAD.encode(&self.body),
            signature: hex::encode(self.signature),
        };
        serde_json::to_string_pretty(&json).map_err(|_| FrostError::Internal(WHAT))
    }

    /// Reads text or JSON; line breaks that pasting adds are skipped.
    ///
    /// # Errors
    /// [`FrostError::Malformed`], [`FrostError::NewerVersion`].
    pub fn parse(text: &str) -> Result<Self, FrostError> {
        let bad = |reason: &str| FrostError::malformed(WHAT, reason);
        if text.len() > 2 * MAX_BODY {
            return Err(bad("it is longer than 8 MiB"));
        }
        let text = text.trim_ascii();
        if text.starts_with('{') {
            let json: JsonEnvelope = serde_json::from_str(text).map_err(|error| bad(&of_json(&error)))?;
            if json.keepfrost != VERSION {
                return Err(FrostError::NewerVersion { what: WHAT, version: json.keepfrost.into() });
            }
            let mut signature = [0; 64];
            hex::decode_to_slice(&json.signature, &mut signature)
                .map_err(|_| bad("its signature is not hex"))?;
            let body = URL_SAFE_NO_PAD.decode(&json.body).map_err(|_| bad("its body is not base64url"))?;
            let (version, kind, session) = (json.keepfrost, json.kind, json.session.parse()?);
            return Ok(Self { version, kind, session, from: json.from, to: json.to, body, signature });
        }
        let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let encoded = text.strip_prefix(PREFIX).ok_or_else(|| bad("expected keepfrost1:… or JSON"))?;
        Self::from_bytes(&URL_SAFE_NO_PAD.decode(encoded).map_err(|_| bad("it is not base64url"))?)
    }
}

/// Where JSON is wrong. What is there is not quoted: it is for whoever shows it to know where it came from.
fn of_json(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it is cut off",
        serde_json::error::Category::Data => "its JSON has another form",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

fn context(kind: Kind, session: SessionId, from: Index, to: Index) -> Vec<u8> {
    let numbers = [from.get().to_be_bytes(), to.get().to_be_bytes()].concat();
    [kind.as_str().as_bytes(), b"\0", session.as_bytes().as_slice(), &numbers].concat()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEnvelope {
    keepfrost: u8,
    kind: Kind,
    session: String,
    from: Index,
    to: Option<Index>,
    body: String,
    signature: String,
}
