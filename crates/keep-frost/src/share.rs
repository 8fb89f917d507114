//! A member's secret share.

use std::fmt;

use frost_core::keys::{KeyPackage, SigningShare, VerifyingShare};
use frost_core::{Field, Scalar, VerifyingKey};
use keep_types::{SecretBytes, SecretKey32};
use minicbor::{Decode, Decoder, Encoder};
use zeroize::{Zeroize, Zeroizing};

use crate::suite::{Curve, identifier, public_of, scalar, with_curve};
use crate::{FrostError, Group, GroupId, Index, SharingId, Suite};

/// The secret share of one member in one epoch of one sharing. Wiped on drop, not `Clone`, not serialisable except
/// through [`SecretShare::to_record`]; `Debug` shows nothing secret.
pub struct SecretShare {
    suite: Suite,
    group: GroupId,
    sharing: SharingId,
    epoch: u32,
    index: Index,
    secret: SecretKey32,
}

impl fmt::Debug for SecretShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretShare({} of {}, epoch {})", self.index, self.group, self.epoch)
    }
}

impl SecretShare {
    /// A share of `group` from its 32 secret bytes (the suite's scalar encoding), which are wiped.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`], [`FrostError::BadScalar`], and [`FrostError::ShareMismatch`] when it is not
    /// the share whose public share the group names.
    pub fn new(group: &Group, index: Index, secret: &mut [u8; 32]) -> Result<Self, FrostError> {
        let share = Self {
            suite: group.suite(),
            group: group.id(),
            sharing: group.sharing(),
            epoch: group.epoch(),
            index,
            secret: SecretKey32::take(secret),
        };
        share.check(group)?;
        Ok(share)
    }

    /// Whose share it is.
    pub const fn index(&self) -> Index {
        self.index
    }

    /// Of which suite.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Of which group.
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// Of which epoch.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Of which sharing of the key.
    pub const fn sharing(&self) -> SharingId {
        self.sharing
    }

    /// Whether this share belongs to `group` as it is now.
    ///
    /// # Errors
    /// [`FrostError::WrongSuite`], [`FrostError::WrongGroup`], [`FrostError::WrongEpoch`],
    /// [`FrostError::WrongSharing`], [`FrostError::UnknownMember`].
    pub fn belongs_to(&self, group: &Group) -> Result<(), FrostError> {
        check_binding(group, self.suite, self.group, self.epoch, self.sharing)?;
        group.member(self.index).map(|_| ())
    }

    /// [`SecretShare::belongs_to`], and that the secret fits the group's public share.
    ///
    /// # Errors
    /// Also [`FrostError::ShareMismatch`].
    pub fn check(&self, group: &Group) -> Result<(), FrostError> {
        self.belongs_to(group)?;
        with_curve!(self.suite, C => {
            let public = public_of::<C>(&self.scalar::<C>()?);
            let expected = group.verifying_share::<C>(self.index)?;
            if public == expected.to_element() { Ok(()) } else { Err(FrostError::ShareMismatch(self.index)) }
        })
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        self.secret.expose()
    }

    pub(crate) fn scalar<C: Curve>(&self) -> Result<Scalar<C>, FrostError> {
        scalar::<C>(self.secret.expose())
    }

    pub(crate) fn signing_share<C: Curve>(&self) -> Result<SigningShare<C>, FrostError> {
        Ok(SigningShare::new(self.scalar::<C>()?))
    }

    /// The form that the FROST crates take. The caller has checked that the share belongs to the group.
    pub(crate) fn key_package<C: Curve>(&self, group: &Group) -> Result<KeyPackage<C>, FrostError> {
        let verifying: VerifyingShare<C> = group.verifying_share::<C>(self.index)?;
        let key = VerifyingKey::new(group.key_element::<C>()?);
        let id = identifier::<C>(self.index)?;
        Ok(KeyPackage::new(id, self.signing_share::<C>()?, verifying, key, group.threshold()))
    }

    pub(crate) fn from_scalar<C: Curve>(
        group: &Group,
        index: Index,
        secret: &Scalar<C>,
    ) -> Result<Self, FrostError> {
        let mut bytes = scalar_bytes::<C>(secret);
        Self::new(group, index, &mut bytes)
    }

    /// The share as a record for the vault's secret collection: CBOR, an array of six.
    ///
    /// # Errors
    /// [`FrostError::Internal`] if encoding fails.
    pub fn to_record(&self) -> Result<SecretBytes, FrostError> {
        let mut out = Vec::with_capacity(160);
        self.encode_record(&mut Encoder::new(&mut out)).map_err(|_| FrostError::Internal("share record"))?;
        Ok(SecretBytes::new(out))
    }

    fn encode_record(
        &self,
        e: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        e.array(6)?.encode(self.suite)?.encode(self.group)?.encode(self.sharing)?;
        e.u32(self.epoch)?.encode(self.index)?.bytes(self.secret.expose())?;
        Ok(())
    }

    /// Reads [`SecretShare::to_record`].
    ///
    /// # Errors
    /// [`FrostError::Malformed`] when it has another form.
    pub fn from_record(record: &[u8]) -> Result<Self, FrostError> {
        let bad = |_| FrostError::malformed("share record", "not of the documented form");
        Self::decode_record(&mut Decoder::new(record)).map_err(bad)
    }

    fn decode_record(d: &mut Decoder<'_>) -> Result<Self, minicbor::decode::Error> {
        if d.array()? != Some(6) {
            return Err(minicbor::decode::Error::message("fields"));
        }
        let (suite, group, sharing) = (d.decode()?, d.decode()?, d.decode()?);
        let (epoch, index) = (d.u32()?, Index::decode(d, &mut ())?);
        let mut secret = Zeroizing::new([0; 32]);
        let bytes = d.bytes()?;
        if bytes.len() != 32 || d.position() != d.input().len() {
            return Err(minicbor::decode::Error::message("secret"));
        }
        secret.copy_from_slice(bytes);
        Ok(Self { suite, group, sharing, epoch, index, secret: SecretKey32::take(&mut secret) })
    }
}

/// Whether something that names suite, group, epoch and sharing is of this group; each difference has its own error.
pub(crate) fn check_binding(
    group: &Group,
    suite: Suite,
    id: GroupId,
    epoch: u32,
    sharing: SharingId,
) -> Result<(), FrostError> {
    if suite != group.suite() {
        return Err(FrostError::WrongSuite { expected: group.suite(), found: suite });
    }
    if id != group.id() {
        return Err(FrostError::WrongGroup);
    }
    if epoch != group.epoch() {
        return Err(FrostError::WrongEpoch { expected: group.epoch(), found: epoch });
    }
    if sharing != group.sharing() {
        return Err(FrostError::WrongSharing);
    }
    Ok(())
}

pub(crate) fn scalar_bytes<C: Curve>(secret: &Scalar<C>) -> [u8; 32] {
    let mut encoded = <<C::Group as frost_core::Group>::Field as Field>::serialize(secret);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(encoded.as_ref());
    encoded.as_mut().zeroize();
    bytes
}
