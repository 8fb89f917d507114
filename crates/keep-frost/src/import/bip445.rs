//! BIP-445 key material. Its shares are those of our suite; its identifiers count from 0, ours from 1. (Its signing
//! messages are not ours: BIP-445 signers and Keep sign under the same key, but not in one session.)

use zeroize::Zeroizing;

use super::{Imported, assemble};
use crate::group::Status;
use crate::{FrostError, Index, Point, SecretShare, Suite};

/// The public key material of BIP-445.
#[derive(Debug, Clone)]
pub struct Bip445Group {
    /// How many must sign together.
    pub threshold: u16,
    /// The threshold public key, 33 bytes.
    pub threshold_key: [u8; 33],
    /// The public shares by identifier, which is the position.
    pub public_shares: Vec<[u8; 33]>,
}

/// Imports public key material and some secret shares with their BIP-445 identifiers (0 to n−1).
///
/// # Errors
/// [`FrostError::BadIndex`]; those of [`crate::Group::check`] and [`SecretShare::check`].
pub fn import_bip445(
    group: &Bip445Group,
    shares: Vec<(u32, Zeroizing<[u8; 32]>)>,
) -> Result<Imported, FrostError> {
    let key = Point::from_vec(group.threshold_key.to_vec());
    let mut members = Vec::with_capacity(group.public_shares.len());
    for (id, share) in group.public_shares.iter().enumerate() {
        members.push((Index::new(id as u64 + 1)?, Point::from_vec(share.to_vec())));
    }
    let group = assemble(Suite::Secp256k1Tr, key, group.threshold, members, Status::Active)?;
    let mut out = Vec::with_capacity(shares.len());
    for (id, mut secret) in shares {
        out.push(SecretShare::new(&group, Index::new(u64::from(id) + 1)?, &mut secret)?);
    }
    Ok(Imported { group, shares: out })
}
