//! NIP-44 beyond its vectors: limits, tampering, arbitrary input.
#![allow(clippy::unwrap_used, clippy::panic)]

use base64::{Engine, engine::general_purpose::STANDARD};
use keep_cipher::nip44::{self, MAX_PAYLOAD, MAX_PLAINTEXT, MIN_PAYLOAD};
use keep_cipher::{CipherError, ConversationKey};
use keep_types::{ErrorCode, Fault};
use proptest::prelude::*;

fn key(byte: u8) -> ConversationKey {
    ConversationKey::take(&mut [byte; 32])
}

#[test]
fn sizes_are_bounded_before_decoding() {
    let longest = "a".repeat(MAX_PLAINTEXT);
    let payload = nip44::encrypt(&key(1), &longest, &[2; 32]).unwrap();
    assert_eq!(payload.len(), MAX_PAYLOAD);
    assert_eq!(nip44::decrypt(&key(1), &payload).unwrap().expose().len(), MAX_PLAINTEXT);

    let too_long = nip44::encrypt(&key(1), &(longest + "a"), &[2; 32]).unwrap_err();
    assert_eq!(too_long, CipherError::PlaintextTooLong { len: MAX_PLAINTEXT + 1, max: MAX_PLAINTEXT });
    assert_eq!(Fault::from(too_long).code(), ErrorCode::InvalidInput);

    // Not base64 at all, but refused for its length.
    let huge = "*".repeat(MAX_PAYLOAD + 4);
    assert_eq!(nip44::decrypt(&key(1), &huge).unwrap_err(), CipherError::PayloadLength(huge.len()));
    let small = "*".repeat(200);
    assert_eq!(nip44::decrypt_up_to(&key(1), &small, 199).unwrap_err(), CipherError::PayloadLength(200));
    assert_eq!(nip44::decrypt_up_to(&key(1), &small, 200).unwrap_err(), CipherError::Base64);
    let short = "A".repeat(MIN_PAYLOAD - 1);
    assert_eq!(nip44::decrypt(&key(1), &short).unwrap_err(), CipherError::PayloadLength(MIN_PAYLOAD - 1));
}

#[test]
fn every_changed_byte_is_noticed() {
    let payload = nip44::encrypt(&key(1), "pay 10 sats to bob", &[2; 32]).unwrap();
    let bytes = STANDARD.decode(&payload).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        let expected = if at == 0 { CipherError::UnknownVersion } else { CipherError::Mac };
        assert_eq!(nip44::decrypt(&key(1), &STANDARD.encode(changed)).unwrap_err(), expected, "byte {at}");
    }
    assert_eq!(nip44::decrypt(&key(2), &payload).unwrap_err(), CipherError::Mac);
}

#[test]
fn base64_is_strict() {
    let payload = nip44::encrypt(&key(1), &"x".repeat(33), &[2; 32]).unwrap();
    assert!(payload.ends_with('='), "this length needs padding characters: {payload}");
    let bare = payload.trim_end_matches('=');
    let spaced = format!("{} {}", &payload[..64], &payload[64..]);
    for changed in
        [bare, &format!("{payload}="), &spaced, &payload.replace('+', "-"), &format!("{payload}\n")]
    {
        if changed != payload {
            let error = nip44::decrypt(&key(1), changed).unwrap_err();
            assert_eq!(error, CipherError::Base64, "{changed}");
        }
    }
}

#[test]
fn random_nonces_differ() {
    let first = nip44::encrypt_randomly(&key(1), "hi").unwrap();
    assert_ne!(first, nip44::encrypt_randomly(&key(1), "hi").unwrap());
    assert_eq!(nip44::decrypt(&key(1), &first).unwrap().expose(), "hi");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(text in "\\PC{1,400}", nonce: [u8; 32], secret in 1_u8..255) {
        let payload = nip44::encrypt(&key(secret), &text, &nonce).unwrap();
        let opened = nip44::decrypt(&key(secret), &payload).unwrap();
        prop_assert_eq!(opened.expose(), &text);
    }

    #[test]
    fn arbitrary_payloads_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,300}") {
        let mut versioned = bytes.clone();
        versioned.insert(0, 2);
        prop_assert!(nip44::decrypt(&key(1), &STANDARD.encode(versioned)).is_err());
        prop_assert!(nip44::decrypt(&key(1), &text).is_err());
    }
}
