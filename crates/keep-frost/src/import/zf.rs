//! `KeyPackage` and `PublicKeyPackage` of the Zcash Foundation's FROST crates, versions 2 and 3: their JSON, and their
//! binary form (postcard: a version byte, the CRC-32 of the suite's name, then the fields in order).

use std::collections::BTreeMap;

use keep_types::SecretKey32;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Imported, assemble};
use crate::group::Status;
use crate::suite::{Curve, element, point, with_curve};
use crate::{FrostError, Index, Point, SecretShare, Suite};

const KEY: &str = "key package";
const PUBLIC: &str = "public key package";

const SECP: &str = "FROST-secp256k1-SHA256-TR-v1";
const ED: &str = "FROST-ED25519-SHA512-v1";

/// A member's `KeyPackage`.
#[derive(Debug)]
pub struct ZfKeyPackage {
    suite: Suite,
    index: Index,
    secret: SecretKey32,
    verifying_share: Point,
    key: Point,
    threshold: u16,
}

/// A group's `PublicKeyPackage`.
#[derive(Debug, Clone)]
pub struct ZfPublicKeyPackage {
    suite: Suite,
    shares: Vec<(Index, Point)>,
    key: Point,
    threshold: Option<u16>,
}

#[derive(Deserialize)]
struct Header {
    version: u8,
    ciphersuite: String,
}

impl Header {
    fn suite(&self, what: &'static str) -> Result<Suite, FrostError> {
        if self.version != 0 {
            return Err(FrostError::NewerVersion { what, version: self.version.into() });
        }
        match self.ciphersuite.as_str() {
            SECP => Ok(Suite::Secp256k1Tr),
            ED => Ok(Suite::Ed25519),
            _ => Err(FrostError::malformed(what, "of a suite that Keep does not have")),
        }
    }
}

#[derive(Deserialize)]
struct JsonKey {
    header: Header,
    identifier: String,
    #[serde(deserialize_with = "wiped")]
    signing_share: Zeroizing<String>,
    verifying_share: String,
    verifying_key: String,
    min_signers: u16,
}

fn wiped<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

#[derive(Deserialize)]
struct JsonPublic {
    header: Header,
    verifying_shares: BTreeMap<String, String>,
    verifying_key: String,
    #[serde(default)]
    min_signers: Option<u16>,
}

impl ZfKeyPackage {
    /// Reads the JSON form, or the hex of the binary form.
    ///
    /// # Errors
    /// [`FrostError::Malformed`], [`FrostError::NewerVersion`].
    pub fn parse(text: &str) -> Result<Self, FrostError> {
        let text = text.trim_ascii();
        if !text.starts_with('{') {
            let bytes = hex::decode(text).map_err(|_| FrostError::malformed(KEY, "neither JSON nor hex"))?;
            return Self::from_bytes(&Zeroizing::new(bytes));
        }
        let json: JsonKey =
            serde_json::from_str(text).map_err(|_| FrostError::malformed(KEY, "not its JSON form"))?;
        let suite = json.header.suite(KEY)?;
        let mut secret = Zeroizing::new([0; 32]);
        hex::decode_to_slice(json.signing_share.as_bytes(), &mut *secret)
            .map_err(|_| FrostError::malformed(KEY, "its share is not 32 bytes of hex"))?;
        Ok(Self {
            suite,
            index: index(suite, &unhex(KEY, &json.identifier)?)?,
            secret: SecretKey32::take(&mut secret),
            verifying_share: Point::from_vec(unhex(KEY, &json.verifying_share)?),
            key: Point::from_vec(unhex(KEY, &json.verifying_key)?),
            threshold: json.min_signers,
        })
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`FrostError::Malformed`], [`FrostError::NewerVersion`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrostError> {
        let mut reader = Reader { what: KEY, rest: bytes };
        let suite = reader.header()?;
        let index = index(suite, reader.take(32)?)?;
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(reader.take(32)?);
        let verifying_share = reader.point(suite)?;
        let key = reader.point(suite)?;
        let threshold = reader.varint()?;
        reader.end()?;
        Ok(Self { suite, index, secret: SecretKey32::take(&mut secret), verifying_share, key, threshold })
    }
}

impl ZfPublicKeyPackage {
    /// Reads the JSON form, or the hex of the binary form.
    ///
    /// # Errors
    /// [`FrostError::Malformed`], [`FrostError::NewerVersion`].
    pub fn parse(text: &str) -> Result<Self, FrostError> {
        let text = text.trim_ascii();
        if !text.starts_with('{') {
            let bytes =
                hex::decode(text).map_err(|_| FrostError::malformed(PUBLIC, "neither JSON nor hex"))?;
            return Self::from_bytes(&bytes);
        }
        let json: JsonPublic =
            serde_json::from_str(text).map_err(|_| FrostError::malformed(PUBLIC, "not its JSON form"))?;
        let suite = json.header.suite(PUBLIC)?;
        let mut shares = Vec::with_capacity(json.verifying_shares.len());
        for (id, share) in &json.verifying_shares {
            shares.push((index(suite, &unhex(PUBLIC, id)?)?, Point::from_vec(unhex(PUBLIC, share)?)));
        }
        let key = Point::from_vec(unhex(PUBLIC, &json.verifying_key)?);
        Ok(Self { suite, shares, key, threshold: json.min_signers })
    }

    /// Reads the binary form, with or without the threshold, which only version 3 writes.
    ///
    /// # Errors
    /// [`FrostError::Malformed`], [`FrostError::NewerVersion`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrostError> {
        let mut reader = Reader { what: PUBLIC, rest: bytes };
        let suite = reader.header()?;
        let count = reader.varint()?;
        if count > Index::MAX {
            return Err(FrostError::malformed(PUBLIC, "it has too many members"));
        }
        let mut shares = Vec::with_capacity(count.into());
        for _ in 0..count {
            shares.push((index(suite, reader.take(32)?)?, reader.point(suite)?));
        }
        let key = reader.point(suite)?;
        let threshold = match reader.rest {
            [] | [0] => None,
            _ => {
                reader.take(1)?;
                let threshold = reader.varint()?;
                reader.end()?;
                Some(threshold)
            }
        };
        Ok(Self { suite, shares, key, threshold })
    }
}

/// Imports key packages. Without the public key package at least a threshold of them is needed, and the group then
/// has these members only.
///
/// # Errors
/// [`FrostError::Malformed`] when they do not name one group or are too few; [`FrostError::WrongSuite`],
/// [`FrostError::WrongGroup`]; those of [`crate::Group::check`] and [`SecretShare::check`].
pub fn import_zf(
    packages: Vec<ZfKeyPackage>,
    public: Option<&ZfPublicKeyPackage>,
) -> Result<Imported, FrostError> {
    let first = packages.first().ok_or_else(|| FrostError::malformed(KEY, "none was given"))?;
    let (suite, key, threshold) = (first.suite, first.key.clone(), first.threshold);
    for package in &packages {
        if package.suite != suite {
            return Err(FrostError::WrongSuite { expected: suite, found: package.suite });
        }
        if package.key != key || package.threshold != threshold {
            return Err(FrostError::WrongGroup);
        }
    }
    let members = match public {
        Some(public) if public.suite != suite => {
            return Err(FrostError::WrongSuite { expected: suite, found: public.suite });
        }
        Some(public) if public.key != key || public.threshold.is_some_and(|t| t != threshold) => {
            return Err(FrostError::WrongGroup);
        }
        Some(public) => public.shares.clone(),
        None if packages.len() < usize::from(threshold) => {
            return Err(FrostError::malformed(
                KEY,
                "give the public key package too, or a threshold of key packages",
            ));
        }
        None => packages.iter().map(|p| (p.index, p.verifying_share.clone())).collect(),
    };
    let group =
        assemble(suite, with_curve!(suite, C => canonical::<C>(&key))?, threshold, members, Status::Active)?;
    let mut shares = Vec::with_capacity(packages.len());
    for package in packages {
        let mut secret = Zeroizing::new(*package.secret.expose());
        shares.push(SecretShare::new(&group, package.index, &mut secret)?);
    }
    Ok(Imported { group, shares })
}

fn canonical<C: Curve>(key: &Point) -> Result<Point, FrostError> {
    point::<C>(&element::<C>(key.as_bytes())?)
}

fn unhex(what: &'static str, text: &str) -> Result<Vec<u8>, FrostError> {
    hex::decode(text).map_err(|_| FrostError::malformed(what, "not hex"))
}

/// Identifiers are scalars; only small numbers are indices.
fn index(suite: Suite, bytes: &[u8]) -> Result<Index, FrostError> {
    with_curve!(suite, C => {
        let id = frost_core::Identifier::<C>::deserialize(bytes)
            .map_err(|_| FrostError::malformed(KEY, "its identifier is no scalar"))?;
        crate::suite::index_of::<C>(&id)
    })
}

struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], FrostError> {
        let (head, tail) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| FrostError::malformed(self.what, "it is cut off"))?;
        self.rest = tail;
        Ok(head)
    }

    fn header(&mut self) -> Result<Suite, FrostError> {
        let version = self.take(1)?[0];
        if version != 0 {
            return Err(FrostError::NewerVersion { what: self.what, version: version.into() });
        }
        let id = self.take(4)?;
        [(SECP, Suite::Secp256k1Tr), (ED, Suite::Ed25519)]
            .into_iter()
            .find(|(name, _)| id == crc32(name.as_bytes()).to_be_bytes())
            .map(|(_, suite)| suite)
            .ok_or_else(|| FrostError::malformed(self.what, "of a suite that Keep does not have"))
    }

    fn point(&mut self, suite: Suite) -> Result<Point, FrostError> {
        Ok(Point::from_vec(self.take(suite.point_len())?.to_vec()))
    }

    fn varint(&mut self) -> Result<u16, FrostError> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14] {
            let byte = self.take(1)?[0];
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u16::try_from(value)
                    .map_err(|_| FrostError::malformed(self.what, "a number is too large"));
            }
        }
        Err(FrostError::malformed(self.what, "a number is too large"))
    }

    fn end(&self) -> Result<(), FrostError> {
        if self.rest.is_empty() { Ok(()) } else { Err(FrostError::malformed(self.what, "it is too long")) }
    }
}

/// CRC-32 (IEEE 802.3).
const fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    let mut at = 0;
    while at < bytes.len() {
        crc ^= bytes[at] as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        at += 1;
    }
    !crc
}
