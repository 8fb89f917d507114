//! Bech32m (BIP-350) for strings longer than an address. The checksum then finds typing errors only with high
//! probability; the content has an authenticator of its own.

use bech32::primitives::checksum::Checksum;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};

use crate::FrostError;

/// Bech32m without its length limit.
enum LongBech32m {}

impl Checksum for LongBech32m {
    type MidstateRepr = u32;
    const CODE_LENGTH: usize = 16_384;
    const CHECKSUM_LENGTH: usize = Bech32m::CHECKSUM_LENGTH;
    const GENERATOR_SH: [u32; 5] = Bech32m::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = Bech32m::TARGET_RESIDUE;
}

pub(crate) fn encode(prefix: &'static str, bytes: &[u8]) -> Result<String, FrostError> {
    let hrp = Hrp::parse(prefix).map_err(|_| FrostError::Internal("bech32m"))?;
    bech32::encode::<LongBech32m>(hrp, bytes)
        .map_err(|_| FrostError::malformed("share", "the group is too large for this form; use JSON"))
}

/// Reads one string of one case; spaces and line breaks are skipped, as from a wrapped print-out.
pub(crate) fn decode(what: &'static str, prefix: &str, text: &str) -> Result<Vec<u8>, FrostError> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bad =
        || FrostError::malformed(what, format!("expected {prefix}1…, complete and without typing errors"));
    let parsed = CheckedHrpstring::new::<LongBech32m>(&text).map_err(|_| bad())?;
    if parsed.hrp().to_lowercase() != prefix {
        return Err(bad());
    }
    Ok(parsed.byte_iter().collect())
}
