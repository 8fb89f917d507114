//! Shares that other software made.
//!
//! Every import ends in the same checks: points on the curve, public shares and key on one polynomial, and each secret
//! share fitting its public share. Imported groups have no device keys; a roster comes with the first refresh or is
//! added with [`Group::with_devices`].

mod bip445;
mod frostr;
mod zf;

pub use bip445::{Bip445Group, import_bip445};
pub use frostr::{FrostrGroup, FrostrShare, import_frostr};
pub use zf::{ZfKeyPackage, ZfPublicKeyPackage, import_zf};

use crate::group::{GroupParts, Member, Provenance, Status};
use crate::{FrostError, Group, Index, Point, SecretShare, Suite};

/// An imported group and the shares that came with it.
#[derive(Debug)]
pub struct Imported {
    /// The group.
    pub group: Group,
    /// The shares.
    pub shares: Vec<SecretShare>,
}

fn assemble(
    suite: Suite,
    key: Point,
    threshold: u16,
    members: Vec<(Index, Point)>,
    status: Status,
) -> Result<Group, FrostError> {
    let members = members
        .into_iter()
        .map(|(index, verifying_share)| Member { index, verifying_share, device: None })
        .collect();
    let (epoch, chain_code, provenance) = (0, None, Provenance::Imported);
    let group = Group::try_from(GroupParts {
        suite,
        key,
        threshold,
        epoch,
        members,
        chain_code,
        status,
        provenance,
    })?;
    group.check()?;
    Ok(group)
}
