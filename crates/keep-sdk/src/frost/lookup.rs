//! Which group is meant.

use keep_frost::{FrostError, Index};
use keep_types::{DisplayText, ErrorCode, Fault, Name, PublicKey};
use keep_vault::GroupRecord;
use nostr::FromBech32;

use crate::call::Host;

/// The group that `selector` means: its name, its npub or its public key in hexadecimal; without one, the only group
/// there is.
pub(crate) fn group(host: &Host, selector: Option<&str>) -> Result<GroupRecord, Fault> {
    let mut groups = host.vault().groups()?;
    let Some(selector) = selector else {
        return match groups.len() {
            1 => Ok(groups.remove(0)),
            0 => Err(Fault::new(ErrorCode::NotFound, "the vault has no group yet")
                .with_hint("make one with `keep frost generate -t 2 -s 3 --name family`")),
            _ => {
                let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
                Err(Fault::new(ErrorCode::Usage, "the vault has several groups")
                    .with_hint(format!("name one with --group: {}", names.join(", "))))
            }
        };
    };
    let public = parse_public_key(selector);
    let found = groups.into_iter().find(|group| match &public {
        Some(public) => group.group.public_key() == *public,
        None => group.name.as_str() == selector,
    });
    found.ok_or_else(|| {
        let shown = DisplayText::truncated(selector, 80);
        Fault::new(ErrorCode::NotFound, format!("there is no group \"{shown}\" in the vault"))
            .with_hint("see `keep frost list`")
    })
}

/// An npub or 64 hexadecimal digits. Ed25519 keys are written so too, so the bytes need not be a point of secp256k1.
pub(super) fn parse_public_key(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex::decode_to_slice(text, &mut bytes).is_ok() {
        return Some(bytes);
    }
    PublicKey::from_bech32(text).ok().map(|key| key.to_bytes())
}

/// A name that no group of the vault has, for a group that was given none.
pub(super) fn free_name(host: &Host) -> Result<Name, Fault> {
    let taken = host.vault().groups()?;
    let names = (1_u32..).map(|n| if n == 1 { "group".to_owned() } else { format!("group-{n}") });
    let free = names.into_iter().find(|name| taken.iter().all(|group| group.name.as_str() != name));
    Name::new(&free.unwrap_or_default()).map_err(|error| Fault::new(ErrorCode::Bug, error.to_string()))
}

pub(super) fn index(number: u16) -> Result<Index, FrostError> {
    Index::new(u64::from(number))
}
