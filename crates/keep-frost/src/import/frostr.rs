//! FROSTR `bfgroup1…` and `bfshare1…`, for migration only.
//!
//! Early FROSTR shares carry a fixed nonce pair, which is tweaked for each signature; a few partial signatures made
//! that way reveal the share. The nonces are never read here, and the group must be re-shared before it signs. If the
//! old software signed often, take the key itself for known and move to a new one.

use zeroize::Zeroizing;

use super::{Imported, assemble};
use crate::group::Status;
use crate::wire::bech32m_decode;
use crate::{FrostError, Index, Point, SecretShare, Suite};

const WHAT_GROUP: &str = "FROSTR group";
const WHAT_SHARE: &str = "FROSTR share";

/// The public part: group key, threshold, members.
#[derive(Debug, Clone)]
pub struct FrostrGroup {
    key: [u8; 33],
    threshold: u16,
    members: Vec<(Index, [u8; 33])>,
}

impl FrostrGroup {
    /// Reads `bfgroup1…`: key (33 bytes), threshold (4), then per member index (4) and public share (33), in the older
    /// form followed by two public nonces (33 each), which are skipped.
    ///
    /// # Errors
    /// [`FrostError::Malformed`], [`FrostError::BadIndex`].
    pub fn parse(text: &str) -> Result<Self, FrostError> {
        let bytes = bech32m_decode(WHAT_GROUP, "bfgroup", text)?;
        let bad = || FrostError::malformed(WHAT_GROUP, "its length fits no known form");
        let (key, rest) = bytes.split_first_chunk::<33>().ok_or_else(bad)?;
        let (threshold, rest) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
        let threshold = u16::try_from(u32::from_be_bytes(*threshold)).map_err(|_| bad())?;
        let size = [103, 37].into_iter().find(|n| !rest.is_empty() && rest.len() % n == 0).ok_or_else(bad)?;
        let mut members = Vec::with_capacity(rest.len() / size);
        for member in rest.chunks_exact(size) {
            let (index, member) = member.split_first_chunk::<4>().ok_or_else(bad)?;
            let (share, _) = member.split_first_chunk::<33>().ok_or_else(bad)?;
            members.push((Index::new(u32::from_be_bytes(*index).into())?, *share));
        }
        Ok(Self { key: *key, threshold, members })
    }
}

/// One member's secret, without its nonces.
#[derive(Debug)]
pub struct FrostrShare {
    index: Index,
    secret: keep_types::SecretKey32,
}

impl FrostrShare {
    /// Reads `bfshare1…`: index (4 bytes), secret (32), in the older form followed by two secret nonces, which are
    /// wiped unread.
    ///
    /// # Errors
    /// [`FrostError::Malformed`], [`FrostError::BadIndex`].
    pub fn parse(text: &str) -> Result<Self, FrostError> {
        let bytes = Zeroizing::new(bech32m_decode(WHAT_SHARE, "bfshare", text)?);
        let bad = || FrostError::malformed(WHAT_SHARE, "its length fits no known form");
        if ![36, 100].contains(&bytes.len()) {
            return Err(bad());
        }
        let (index, rest) = bytes.split_first_chunk::<4>().ok_or_else(bad)?;
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(&rest[..32]);
        let index = Index::new(u32::from_be_bytes(*index).into())?;
        Ok(Self { index, secret: keep_types::SecretKey32::take(&mut secret) })
    }
}

/// Imports a FROSTR group and some of its shares. The result refuses to sign until it was re-shared.
///
/// # Errors
/// Those of [`crate::Group::check`] and [`SecretShare::check`].
pub fn import_frostr(group: &FrostrGroup, shares: Vec<FrostrShare>) -> Result<Imported, FrostError> {
    let members = group.members.iter().map(|(i, p)| (*i, Point::from_vec(p.to_vec()))).collect();
    let key = Point::from_vec(group.key.to_vec());
    let group = assemble(Suite::Secp256k1Tr, key, group.threshold, members, Status::MustReshare)?;
    let mut out = Vec::with_capacity(shares.len());
    for share in shares {
        let mut secret = Zeroizing::new(*share.secret.expose());
        out.push(SecretShare::new(&group, share.index, &mut secret)?);
    }
    Ok(Imported { group, shares: out })
}
