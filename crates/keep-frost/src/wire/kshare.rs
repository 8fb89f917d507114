//! A share as text: `kshare1…` (bech32m over a compact binary form) or JSON, sealed by a passphrase.
//!
//! Binary form, version 1, integers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | suite: 1 secp256k1-tr, 2 ed25519 |
//! | 2, 2, 2 | threshold, members, index of this share |
//! | 4 | epoch |
//! | 4, 1, 1 | Argon2id memory in KiB, passes, lanes |
//! | 16 | salt |
//! | 8 | passphrase check |
//! | 24 | nonce |
//! | 33 or 32 | group key |
//! | rest | XChaCha20-Poly1305 of the body; everything before it is associated data |
//!
//! The body is CBOR. It holds the public shares of the first `threshold` members only; the others lie on the same
//! polynomial and are computed from them.

use std::collections::BTreeSet;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use frost_core::{Group as _, Identifier};
use keep_types::SecretText;
use minicbor::{Decoder, Encoder};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::kdf::KdfCost;
use super::{bech32m_decode, bech32m_encode};
use crate::group::{GroupParts, Member, Provenance, Status};
use crate::suite::{Curve, element, identifier, point, with_curve};
use crate::{DeviceKey, DevicePublic, Endorsement, FrostError, Group, Index, Point, SecretShare, Suite};

const WHAT: &str = "share export";
const VERSION: u8 = 1;
const PREFIX: &str = "kshare";
/// The most characters that one QR code (version 40, level L, alphanumeric) holds.
const ONE_QR: usize = 4296;

/// What can be read without the passphrase. It is authenticated, so after opening it is known to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareLabel {
    /// The ciphersuite.
    pub suite: Suite,
    /// The group key.
    pub key: Point,
    /// How many members must sign together.
    pub threshold: u16,
    /// How many members there are.
    pub members: u16,
    /// Whose share this is.
    pub index: Index,
    /// The epoch.
    pub epoch: u32,
    /// The cost of opening it.
    pub cost: KdfCost,
}

/// A sealed share, as it is written to paper, a file or a QR code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareExport {
    label: ShareLabel,
    salt: [u8; 16],
    check: [u8; 8],
    nonce: [u8; 24],
    sealed: Vec<u8>,
}

/// What an opened export holds.
#[derive(Debug)]
pub struct Enrolment {
    /// The group.
    pub group: Group,
    /// The share.
    pub share: SecretShare,
    /// The device key that the group's roster names for this index, if it has a roster. Whoever made the export knew
    /// it; replace it at first contact.
    pub device: Option<DeviceKey>,
    /// The group's own word for this sharing, if it was renewed where the export was made. It was checked.
    pub endorsement: Option<Endorsement>,
}

impl ShareExport {
    /// Seals a share under a passphrase, with the group's own word for its sharing if there is one.
    ///
    /// # Errors
    /// [`FrostError::NotEndorsed`]; those of [`SecretShare::check`]; [`FrostError::NotAuthentic`] when `device` is not the roster's key for this
    /// index; [`FrostError::Random`].
    pub fn seal(
        group: &Group,
        share: &SecretShare,
        device: Option<&DeviceKey>,
        endorsement: Option<&Endorsement>,
        passphrase: &SecretText,
        cost: KdfCost,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        share.check(group)?;
        endorsement.map_or(Ok(()), |word| word.check(group))?;
        if device.is_some_and(|d| group.device(share.index()) != Ok(d.public())) {
            return Err(FrostError::NotAuthentic(share.index()));
        }
        let label = ShareLabel {
            suite: group.suite(),
            key: group.key().clone(),
            threshold: group.threshold(),
            members: u16::try_from(group.members().len()).map_err(|_| FrostError::Internal(WHAT))?,
            index: share.index(),
            epoch: group.epoch(),
            cost,
        };
        let (mut salt, mut nonce) = ([0; 16], [0; 24]);
        rng.try_fill_bytes(&mut salt).map_err(|_| FrostError::Random)?;
        rng.try_fill_bytes(&mut nonce).map_err(|_| FrostError::Random)?;
        let stretched = cost.derive(passphrase, &salt)?;
        let mut export = Self { label, salt, check: stretched.check, nonce, sealed: Vec::new() };
        let body = encode_body(group, share, device, endorsement)?;
        let aad = export.header();
        export.sealed = cipher(&stretched.key)?
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: &body, aad: &aad })
            .map_err(|_| FrostError::Internal(WHAT))?;
        Ok(export)
    }

    /// What it says about itself.
    pub const fn label(&self) -> &ShareLabel {
        &self.label
    }

    /// Opens it, and checks that share, public shares and group key fit together.
    ///
    /// # Errors
    /// [`FrostError::WrongPassphrase`]; [`FrostError::Tampered`] when anything was changed; those of
    /// [`Group::check`] and [`SecretShare::check`].
    pub fn open(&self, passphrase: &SecretText) -> Result<Enrolment, FrostError> {
        let stretched = self.label.cost.derive(passphrase, &self.salt)?;
        if !bool::from(stretched.check.ct_eq(&self.check)) {
            return Err(FrostError::WrongPassphrase);
        }
        let payload = Payload { msg: &self.sealed, aad: &self.header() };
        let body = cipher(&stretched.key)?
            .decrypt(XNonce::from_slice(&self.nonce), payload)
            .map_err(|_| FrostError::Tampered)?;
        let body = Zeroizing::new(body);
        let body = Body::decode(&mut Decoder::new(&body)).map_err(|_| FrostError::Tampered)?;
        self.enrol(body)
    }

    fn enrol(&self, mut body: Body) -> Result<Enrolment, FrostError> {
        let label = &self.label;
        let count = usize::from(label.members);
        if body.indices.len() != count || body.shares.len() != usize::from(label.threshold) {
            return Err(FrostError::Tampered);
        }
        if body.device.is_none() {
            // A key for this member that came without its secret could be anybody's.
            let own = body.indices.iter().position(|index| *index == label.index);
            if let Some(device) = own.and_then(|at| body.devices.get_mut(at)) {
                *device = None;
            }
        }
        let group = with_curve!(label.suite, C => rebuild::<C>(label, &body))?;
        group.check()?;
        let share = SecretShare::new(&group, label.index, &mut body.secret)?;
        let device = match &mut body.device {
            Some(bytes) => Some(DeviceKey::from_bytes(bytes)?),
            None => None,
        };
        if device.as_ref().is_some_and(|d| group.device(label.index) != Ok(d.public())) {
            return Err(FrostError::NotAuthentic(label.index));
        }
        let endorsement = body.endorsement;
        endorsement.as_ref().map_or(Ok(()), |word| word.check(&group))?;
        Ok(Enrolment { group, share, device, endorsement })
    }

    fn header(&self) -> Vec<u8> {
        let label = &self.label;
        let mut out = vec![VERSION, label.suite.number()];
        for number in [label.threshold, label.members, label.index.get()] {
            out.extend(number.to_be_bytes());
        }
        out.extend(label.epoch.to_be_bytes());
        out.extend(label.cost.memory_kib().to_be_bytes());
        out.extend([label.cost.passes(), label.cost.lanes()]);
        out.extend(self.salt);
        out.extend(self.check);
        out.extend(self.nonce);
        out.extend(label.key.as_bytes());
        out
    }

    /// The binary form.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.header(), self.sealed.clone()].concat()
    }

    /// Reads the binary form. Its cost is bounded here, before anything is allocated for it.
    ///
    /// # Errors
    /// [`FrostError::Malformed`], [`FrostError::NewerVersion`], [`FrostError::KdfCost`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrostError> {
        let short = || FrostError::malformed(WHAT, "it is cut off");
        let mut rest = bytes;
        let mut take = |len: usize| -> Result<&[u8], FrostError> {
            let (head, tail) = rest.split_at_checked(len).ok_or_else(short)?;
            rest = tail;
            Ok(head)
        };
        let version = take(1)?[0];
        if version != VERSION {
            return Err(FrostError::NewerVersion { what: WHAT, version: version.into() });
        }
        let suite =
            Suite::from_number(take(1)?[0]).ok_or_else(|| FrostError::malformed(WHAT, "unknown suite"))?;
        let (threshold, members, index) = (be16(take(2)?), be16(take(2)?), be16(take(2)?));
        let (epoch, memory) = (be32(take(4)?), be32(take(4)?));
        let (passes, lanes) = (take(1)?[0], take(1)?[0]);
        let (salt, check, nonce) = (array(take(16)?)?, array(take(8)?)?, array(take(24)?)?);
        let key = Point::from_vec(take(suite.point_len())?.to_vec());
        let index = Index::new(index.into())?;
        if threshold == 0 || threshold > members || members > Index::MAX {
            return Err(FrostError::Threshold { threshold, members: members.into(), max: Index::MAX });
        }
        let cost = KdfCost::new(memory, passes, lanes)?;
        let label = ShareLabel { suite, key, threshold, members, index, epoch, cost };
        if rest.len() < 16 {
            return Err(short());
        }
        Ok(Self { label, salt, check, nonce, sealed: rest.to_vec() })
    }

    /// `kshare1…`. In upper case it is a QR code's alphanumeric text.
    ///
    /// # Errors
    /// [`FrostError::Malformed`] for groups so large that only the JSON form holds them.
    pub fn to_bech32(&self) -> Result<String, FrostError> {
        bech32m_encode(PREFIX, &self.to_bytes())
    }

    /// The text for one QR code, or nothing if it does not fit.
    pub fn to_qr_text(&self) -> Option<String> {
        let text = self.to_bech32().ok()?.to_uppercase();
        (text.len() <= ONE_QR).then_some(text)
    }

    /// Reads `kshare1…`, in one case, with any line breaks.
    ///
    /// # Errors
    /// As [`ShareExport::from_bytes`].
    pub fn from_bech32(text: &str) -> Result<Self, FrostError> {
        Self::from_bytes(&bech32m_decode(WHAT, PREFIX, text)?)
    }

    /// The JSON form: the label in clear, the rest in base64. The label is authenticated here too.
    ///
    /// # Errors
    /// [`FrostError::Internal`] if encoding fails.
    pub fn to_json(&self) -> Result<String, FrostError> {
        let label = &self.label;
        let json = JsonShare {
            kshare: VERSION,
            suite: label.suite,
            key: label.key.to_string(),
            threshold: label.threshold,
            members: label.members,
            index: label.index,
            epoch: label.epoch,
            argon2id: JsonCost {
                memory_kib: label.cost.memory_kib(),
                passes: label.cost.passes(),
                lanes: label.cost.lanes(),
                salt: hex::encode(self.salt),
                check: hex::encode(self.check),
            },
            nonce: hex::encode(self.nonce),
            sealed: hex::encode(&self.sealed),
        };
        serde_json::to_string_pretty(&json).map_err(|_| FrostError::Internal(WHAT))
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// As [`ShareExport::from_bytes`].
    pub fn from_json(text: &str) -> Result<Self, FrostError> {
        let json: JsonShare =
            serde_json::from_str(text).map_err(|e| FrostError::malformed(WHAT, e.to_string()))?;
        let unhex = |text: &str| hex::decode(text).map_err(|_| FrostError::malformed(WHAT, "not hex"));
        let mut bytes = vec![json.kshare, json.suite.number()];
        for number in [json.threshold, json.members, json.index.get()] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(json.epoch.to_be_bytes());
        bytes.extend(json.argon2id.memory_kib.to_be_bytes());
        bytes.extend([json.argon2id.passes, json.argon2id.lanes]);
        for (text, len) in [
            (&json.argon2id.salt, 16),
            (&json.argon2id.check, 8),
            (&json.nonce, 24),
            (&json.key, json.suite.point_len()),
        ] {
            let part = unhex(text)?;
            if part.len() != len {
                return Err(FrostError::malformed(WHAT, "a field of the wrong length"));
            }
            bytes.extend(part);
        }
        bytes.extend(unhex(&json.sealed)?);
        Self::from_bytes(&bytes)
    }

    /// Reads either form.
    ///
    /// # Errors
    /// As [`ShareExport::from_bytes`].
    pub fn parse(text: &str) -> Result<Self, FrostError> {
        if text.trim_start().starts_with('{') { Self::from_json(text) } else { Self::from_bech32(text) }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonShare {
    kshare: u8,
    suite: Suite,
    key: String,
    threshold: u16,
    members: u16,
    index: Index,
    epoch: u32,
    argon2id: JsonCost,
    nonce: String,
    sealed: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonCost {
    memory_kib: u32,
    passes: u8,
    lanes: u8,
    salt: String,
    check: String,
}

/// The secret part.
struct Body {
    secret: Zeroizing<[u8; 32]>,
    device: Option<Zeroizing<[u8; 32]>>,
    chain_code: Option<[u8; 32]>,
    status: Status,
    provenance: Provenance,
    indices: Vec<Index>,
    shares: Vec<Point>,
    devices: Vec<Option<DevicePublic>>,
    endorsement: Option<Endorsement>,
}

fn encode_body(
    group: &Group,
    share: &SecretShare,
    device: Option<&DeviceKey>,
    endorsement: Option<&Endorsement>,
) -> Result<Zeroizing<Vec<u8>>, FrostError> {
    let mut out = Zeroizing::new(Vec::with_capacity(336 + 145 * group.members().len()));
    let mut e = Encoder::new(&mut *out);
    let mut write = || -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        e.array(if endorsement.is_some() { 9 } else { 8 })?.bytes(share.secret())?;
        match device {
            Some(device) => e.bytes(device.expose())?,
            None => e.null()?,
        };
        match group.chain_code() {
            Some(code) => e.bytes(code)?,
            None => e.null()?,
        };
        e.encode(group.status())?.encode(group.provenance())?;
        let indices: Vec<Index> = group.indices().collect();
        let first = group.members().iter().take(usize::from(group.threshold()));
        let shares: Vec<&Point> = first.map(|m| &m.verifying_share).collect();
        let devices: Vec<Option<DevicePublic>> = group.members().iter().map(|m| m.device).collect();
        e.encode(indices)?.encode(shares)?.encode(devices)?;
        if let Some(endorsement) = endorsement {
            e.encode(endorsement)?;
        }
        Ok(())
    };
    write().map_err(|_| FrostError::Internal(WHAT))?;
    Ok(out)
}

impl Body {
    fn decode(d: &mut Decoder<'_>) -> Result<Self, minicbor::decode::Error> {
        let bad = || minicbor::decode::Error::message("body");
        let endorsed = match d.array()? {
            Some(8) => false,
            Some(9) => true,
            _ => return Err(bad()),
        };
        let secret = Zeroizing::new(d.bytes()?.try_into().map_err(|_| bad())?);
        let optional = |d: &mut Decoder<'_>| -> Result<Option<Zeroizing<[u8; 32]>>, minicbor::decode::Error> {
            if d.datatype()? == minicbor::data::Type::Null {
                d.null()?;
                return Ok(None);
            }
            Ok(Some(Zeroizing::new(d.bytes()?.try_into().map_err(|_| bad())?)))
        };
        let device = optional(d)?;
        let chain_code = optional(d)?.map(|code| *code);
        let (status, provenance) = (d.decode()?, d.decode()?);
        let (indices, shares, devices) = (d.decode()?, d.decode()?, d.decode()?);
        let endorsement = if endorsed { Some(d.decode()?) } else { None };
        Ok(Self { secret, device, chain_code, status, provenance, indices, shares, devices, endorsement })
    }
}

/// The group: what the label says, and all public shares from the first ones.
fn rebuild<C: Curve>(label: &ShareLabel, body: &Body) -> Result<Group, FrostError> {
    let known = body.indices.iter().zip(&body.shares);
    let known = known.map(|(i, p)| Ok((identifier::<C>(*i)?, element::<C>(p.as_bytes())?)));
    let known: Vec<(Identifier<C>, _)> = known.collect::<Result<_, FrostError>>()?;
    let base: BTreeSet<Identifier<C>> = known.iter().map(|(id, _)| *id).collect();
    let mut members = Vec::with_capacity(body.indices.len());
    for (at, index) in body.indices.iter().enumerate() {
        let verifying_share = match body.shares.get(at) {
            Some(share) => share.clone(),
            None => {
                let mut sum = C::Group::identity();
                for (id, value) in &known {
                    let x = Some(identifier::<C>(*index)?);
                    let lambda = frost_core::compute_lagrange_coefficient(&base, x, *id)
                        .map_err(|_| FrostError::InconsistentGroup)?;
                    sum = sum + *value * lambda;
                }
                point::<C>(&sum)?
            }
        };
        let device = body.devices.get(at).copied().flatten();
        members.push(Member { index: *index, verifying_share, device });
    }
    Group::try_from(GroupParts {
        suite: label.suite,
        key: label.key.clone(),
        threshold: label.threshold,
        epoch: label.epoch,
        members,
        chain_code: body.chain_code,
        status: body.status,
        provenance: body.provenance,
    })
}

fn cipher(key: &[u8; 32]) -> Result<XChaCha20Poly1305, FrostError> {
    XChaCha20Poly1305::new_from_slice(key).map_err(|_| FrostError::Internal(WHAT))
}

fn be16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |n, b| n << 8 | u16::from(*b))
}

fn be32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], FrostError> {
    bytes.try_into().map_err(|_| FrostError::Internal(WHAT))
}
