//! Bytes as hexadecimal digits in JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<const N: usize, S: Serializer>(bytes: &[u8; N], to: S) -> Result<S::Ok, S::Error> {
    hex::encode(bytes).serialize(to)
}

pub(crate) fn deserialize<'d, const N: usize, D: Deserializer<'d>>(from: D) -> Result<[u8; N], D::Error> {
    let text = <std::borrow::Cow<'d, str>>::deserialize(from)?;
    let mut bytes = [0; N];
    hex::decode_to_slice(text.as_bytes(), &mut bytes)
        .map_err(|_| serde::de::Error::custom(format_args!("expected {} hex digits", 2 * N)))?;
    Ok(bytes)
}

/// The same for what may be absent.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<const N: usize, S: Serializer>(
        bytes: &Option<[u8; N]>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.map(hex::encode).serialize(to)
    }

    pub(crate) fn deserialize<'d, const N: usize, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Option<[u8; N]>, D::Error> {
        #[derive(Deserialize)]
        struct Present<const N: usize>(#[serde(with = "super")] [u8; N]);
        Ok(Option::<Present<N>>::deserialize(from)?.map(|present| present.0))
    }
}
