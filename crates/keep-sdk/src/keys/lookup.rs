//! Which key is meant.

use keep_types::{ErrorCode, Fault, PublicKey};
use keep_vault::KeyRecord;
use nostr::FromBech32;

use crate::call::Host;

/// The key that `selector` means: its name, its npub or its public key in hexadecimal; without one, the only key there is.
pub(crate) fn record(host: &Host, selector: Option<&str>) -> Result<KeyRecord, Fault> {
    let vault = host.vault();
    let Some(selector) = selector else { return only(host) };
    // What reads as a public key means that key, even if another one has such a name.
    let public = parse_public_key(selector).map(|key| key.to_bytes());
    let found = match public {
        // The index of a damaged vault may not lead to a key that is there and can be saved.
        _ if !vault.integrity().is_intact() => vault
            .keys()?
            .into_iter()
            .find(|key| public.map_or(key.name.as_str() == selector, |public| key.public_key == public)),
        Some(public) => vault.key_by_public(&public)?,
        None => vault.key_by_name(selector)?,
    };
    found.ok_or_else(|| {
        let shown = keep_types::DisplayText::truncated(selector, 80);
        if let Ok(Some(_)) = crate::remote::find(host, selector) {
            let message =
                format!("another bunker holds the key \"{shown}\", so this cannot be done with it here");
            return Fault::new(ErrorCode::NotFound, message)
                .with_hint("sign with `keep sign-event --key`, and encrypt with `keep nip46 call`");
        }
        Fault::new(ErrorCode::NotFound, format!("there is no key \"{shown}\" in the vault"))
            .with_hint("see `keep list`")
    })
}

/// The only key of the vault.
fn only(host: &Host) -> Result<KeyRecord, Fault> {
    let mut keys = host.vault().keys()?;
    match keys.len() {
        1 => Ok(keys.remove(0)),
        0 => Err(Fault::new(ErrorCode::NotFound, "the vault has no key yet")
            .with_hint("make one with `keep generate --name main`")),
        _ => {
            let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
            Err(Fault::new(ErrorCode::Usage, "the vault has several keys")
                .with_hint(format!("name one with --key: {}", names.join(", "))))
        }
    }
}

/// An npub or 64 hexadecimal digits.
fn parse_public_key(text: &str) -> Option<PublicKey> {
    PublicKey::from_bech32(text).or_else(|_| PublicKey::from_hex(text)).ok()
}
