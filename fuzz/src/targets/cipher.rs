//! Targets of keep-cipher.

use std::sync::LazyLock;

use keep_cipher::{ConversationKey, SharedX, nip04, nip44, nip49::Ncryptsec};
use keep_types::PublicKey;
use secp256k1::{SECP256K1, SecretKey};

/// What two fixed keys share. `None` never happens: both scalars are valid.
static SHARED: LazyLock<Option<SharedX>> = LazyLock::new(|| {
    let ours = SecretKey::from_slice(&[1; 32]).ok()?;
    let theirs = SecretKey::from_slice(&[2; 32]).ok()?;
    SharedX::derive(&ours, &PublicKey::from(theirs.x_only_public_key(SECP256K1).0)).ok()
});

/// `ncryptsec1…` (NIP-49). What is accepted is written again in the same way, and is never too dear to open.
pub fn ncryptsec(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(key) = Ncryptsec::parse(&text) {
        assert_eq!(key.to_text().ok().as_deref(), Some(text.trim().to_ascii_lowercase().as_str()));
        assert!((1..=keep_cipher::nip49::MAX_LOG_N).contains(&key.log_n()));
    }
}

/// A NIP-44 payload from somebody else; and a text of any content and length goes there and back.
pub fn nip44_payload(input: &[u8]) {
    let Some(key) = SHARED.as_ref().map(ConversationKey::from_shared) else { return };
    let text = String::from_utf8_lossy(input);
    nip44::decrypt(&key, &text).ok();
    if let Ok(payload) = nip44::encrypt(&key, &text, &[3; 32]) {
        assert!(nip44::decrypt(&key, &payload).is_ok_and(|plain| plain.expose() == text));
    }
}

/// A NIP-04 payload from somebody else; and a text of any content and length goes there and back.
pub fn nip04_payload(input: &[u8]) {
    let Some(shared) = SHARED.as_ref() else { return };
    let text = String::from_utf8_lossy(input);
    nip04::decrypt(shared, &text).ok();
    if let Ok(payload) = nip04::encrypt(shared, &text, &[3; 16]) {
        assert!(nip04::looks_like(&payload));
        assert!(nip04::decrypt(shared, &payload).is_ok_and(|plain| plain.expose() == text));
    }
}
