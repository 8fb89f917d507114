//! What a vault holds in secret about one member of a group.

use keep_frost::{DeviceKey, FrostError, SecretShare};
use keep_types::SecretBytes;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use zeroize::Zeroizing;

use crate::VaultError;

/// A member's share, and the device key that authenticates its messages. Wiped on drop.
#[derive(Debug)]
pub struct Holding {
    /// The share.
    pub share: SecretShare,
    /// The device key, if the group has a roster.
    pub device: Option<DeviceKey>,
}

impl Holding {
    /// As a secret: CBOR, an array of the share's record and the 32 bytes of the device key, or null.
    ///
    /// # Errors
    /// [`FrostError::Internal`] if encoding fails.
    pub fn to_record(&self) -> Result<SecretBytes, VaultError> {
        let share = self.share.to_record()?;
        // Has its final size from the start, so that growing leaves no copies behind.
        let mut out = Vec::with_capacity(share.expose().len() + 64);
        let mut write = || -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
            let mut e = Encoder::new(&mut out);
            e.array(2)?.bytes(share.expose())?;
            match &self.device {
                Some(device) => e.bytes(device.expose())?,
                None => e.null()?,
            };
            Ok(())
        };
        write().map_err(|_| FrostError::Internal("share record"))?;
        Ok(SecretBytes::new(out))
    }

    /// Reads [`Holding::to_record`].
    ///
    /// # Errors
    /// [`VaultError::Record`] when it has another form.
    pub fn from_record(bytes: &[u8]) -> Result<Self, VaultError> {
        let (share, device) = parts(bytes)?;
        let share = SecretShare::from_record(share).map_err(|_| bad())?;
        let device = match device {
            Some(bytes) => {
                let mut bytes = Zeroizing::new(<[u8; 32]>::try_from(bytes).map_err(|_| bad())?);
                Some(DeviceKey::from_bytes(&mut bytes)?)
            }
            None => None,
        };
        Ok(Self { share, device })
    }

    /// The share alone, for signing: a device key takes a point multiplication to read.
    pub(super) fn share_of(bytes: &[u8]) -> Result<SecretShare, VaultError> {
        SecretShare::from_record(parts(bytes)?.0).map_err(|_| bad())
    }
}

/// The share's record, and the bytes of the device key.
fn parts(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), VaultError> {
    let mut d = Decoder::new(bytes);
    let mut read = || -> Result<_, minicbor::decode::Error> {
        d.array()?;
        let share = d.bytes()?;
        let device = if d.datatype()? == Type::Null { None } else { Some(d.bytes()?) };
        Ok((share, device))
    };
    read().map_err(|_| bad())
}

fn bad() -> VaultError {
    VaultError::Record { collection: "secrets", reason: "it is no share".into() }
}
