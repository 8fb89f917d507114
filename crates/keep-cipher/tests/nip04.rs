//! NIP-04: a payload from elsewhere, limits, tampering, one error for everything.
#![allow(clippy::unwrap_used, clippy::panic)]

use keep_cipher::{CipherError, SharedX, nip04};
use nostr::PublicKey;
use proptest::prelude::*;
use secp256k1::{SECP256K1, SecretKey};

fn shared(ours: u8, theirs: u8) -> SharedX {
    let secret = SecretKey::from_slice(&[ours; 32]).unwrap();
    let peer = SecretKey::from_slice(&[theirs; 32]).unwrap();
    SharedX::derive(&secret, &PublicKey::from(peer.x_only_public_key(SECP256K1).0)).unwrap()
}

/// Computed with OpenSSL: `openssl enc -aes-256-cbc -K <x> -iv <iv>`, x being that of the keys 0101…01 and 0202…02.
#[test]
fn matches_openssl() {
    let iv = *b"0123456789abcdef";
    assert_eq!(hex::encode(shared(1, 2).expose()), OPENSSL_KEY);
    let payload = nip04::encrypt(&shared(1, 2), "Saving the world, one note at a time. ✓", &iv).unwrap();
    assert_eq!(payload, OPENSSL_PAYLOAD);
    assert!(nip04::looks_like(&payload));
    let text = nip04::decrypt(&shared(2, 1), &payload).unwrap();
    assert_eq!(text.expose(), "Saving the world, one note at a time. ✓");
}

const OPENSSL_KEY: &str = "d0158a38faf6118af133af12d9bfa388eab4a08d1a2088ea6e6ec1269e03567f";
const OPENSSL_PAYLOAD: &str =
    "xx8rFNSbbr6zi0dRrif1q9uRtO8ular85Tm/8LenkoH6kKJsOPxyrKckGM5DIM5u?iv=MDEyMzQ1Njc4OWFiY2RlZg==";

#[test]
fn an_empty_text_is_possible() {
    let payload = nip04::encrypt_randomly(&shared(1, 2), "").unwrap();
    assert_eq!(nip04::decrypt(&shared(2, 1), &payload).unwrap().expose(), "");
}

#[test]
fn everything_wrong_is_the_same_error() {
    let good = nip04::encrypt(&shared(1, 2), "sixteen or more bytes of text", &[3; 16]).unwrap();
    let (body, iv) = good.split_once("?iv=").unwrap();
    for bad in [
        "",
        "?iv=",
        body,
        &format!("?iv={iv}"),
        &format!("{body}?iv="),
        &format!("{body}?iv={iv}="),
        &format!("{body}?iv={}", &iv[4..]),
        &format!("{}?iv={iv}", &body[4..]),
        &format!("A{}?iv={iv}", &body[1..]),
        &format!("{body}?iv={iv}?iv={iv}"),
    ] {
        let opened = nip04::decrypt(&shared(2, 1), bad);
        // A changed first block garbles text without breaking the padding: only that may open, as NIP-04 goes.
        if !bad.starts_with('A') {
            assert_eq!(opened.unwrap_err(), CipherError::Nip04, "{bad}");
        }
    }
    // Bytes that are no text: the error does not say so.
    let garbled = nip04::decrypt(&shared(2, 1), &format!("{body}?iv={}", "/".repeat(22) + "=="));
    assert!(garbled.is_err());
}

#[test]
fn wrong_keys_tell_nothing() {
    let payload = nip04::encrypt(&shared(1, 2), "secret", &[3; 16]).unwrap();
    for other in 3..40 {
        if let Err(error) = nip04::decrypt(&shared(2, other), &payload) {
            assert_eq!(error, CipherError::Nip04);
        }
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(text in "\\PC{0,200}", iv: [u8; 16]) {
        let payload = nip04::encrypt(&shared(1, 2), &text, &iv).unwrap();
        let opened = nip04::decrypt(&shared(2, 1), &payload).unwrap();
        prop_assert_eq!(opened.expose(), &text);
    }

    #[test]
    fn arbitrary_payloads_never_panic(text in "[A-Za-z0-9+/=?iv]{0,120}") {
        let _ = nip04::decrypt(&shared(1, 2), &text);
        let _ = nip04::decrypt(&shared(1, 2), &format!("{text}?iv={text}"));
    }
}
