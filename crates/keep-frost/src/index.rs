//! Which member of a group.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::FrostError;

/// The index of a member, 1 to 255. It is the x coordinate of its share, so it never changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode)]
#[serde(try_from = "u64", into = "u64")]
#[cbor(transparent)]
pub struct Index(#[n(0)] u16);

impl Index {
    /// The highest index, and the most members that a group may have.
    pub const MAX: u16 = 255;

    /// Member number `number`.
    ///
    /// # Errors
    /// [`FrostError::BadIndex`] unless `number` is 1 to 255.
    pub fn new(number: u64) -> Result<Self, FrostError> {
        match u16::try_from(number) {
            Ok(n) if (1..=Self::MAX).contains(&n) => Ok(Self(n)),
            _ => Err(FrostError::BadIndex(number)),
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl TryFrom<u64> for Index {
    type Error = FrostError;

    fn try_from(number: u64) -> Result<Self, FrostError> {
        Self::new(number)
    }
}

impl From<Index> for u64 {
    fn from(index: Index) -> Self {
        Self::from(index.0)
    }
}

impl FromStr for Index {
    type Err = FrostError;

    fn from_str(text: &str) -> Result<Self, FrostError> {
        text.parse::<u64>().map_err(|_| FrostError::BadIndex(0)).and_then(Self::new)
    }
}

impl<'b, C> Decode<'b, C> for Index {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::new(d.u64()?).map_err(|e| minicbor::decode::Error::message(e.to_string()))
    }
}
