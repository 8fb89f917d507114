//! The official vectors of NIP-44 version 2, and those of the extended lengths of 2026-06-28.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{bytes32, cases, full_set, json, string};
use keep_cipher::{CipherError, ConversationKey, nip44};
use nostr::PublicKey;
use secp256k1::{SECP256K1, SecretKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn public(secret: &SecretKey) -> PublicKey {
    PublicKey::from(secret.x_only_public_key(SECP256K1).0)
}

fn conversation(case: &Value) -> ConversationKey {
    ConversationKey::take(&mut bytes32(&case["conversation_key"]))
}

/// The payload; the older layouts call it `ciphertext`.
fn payload_of(case: &Value) -> &str {
    string(case.get("payload").unwrap_or(&case["ciphertext"]))
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn conversation_keys(valid: &Value) {
    for case in cases(&valid["get_conversation_key"]) {
        let secret = SecretKey::from_slice(&bytes32(&case["sec1"])).unwrap();
        let peer = PublicKey::from_byte_array(bytes32(&case["pub2"]));
        let key = ConversationKey::derive(&secret, &peer).unwrap();
        assert_eq!(key.expose(), &bytes32(&case["conversation_key"]), "{case}");
    }
}

fn encryption(valid: &Value) {
    for case in cases(&valid["encrypt_decrypt"]) {
        let secret_1 = SecretKey::from_slice(&bytes32(&case["sec1"])).unwrap();
        let secret_2 = SecretKey::from_slice(&bytes32(&case["sec2"])).unwrap();
        let there = ConversationKey::derive(&secret_1, &public(&secret_2)).unwrap();
        let back = ConversationKey::derive(&secret_2, &public(&secret_1)).unwrap();
        assert_eq!(there.expose(), &bytes32(&case["conversation_key"]));
        assert_eq!(there.expose(), back.expose());
        let payload = nip44::encrypt(&there, string(&case["plaintext"]), &bytes32(&case["nonce"])).unwrap();
        assert_eq!(payload, payload_of(case));
        assert_eq!(nip44::decrypt(&back, &payload).unwrap().expose(), string(&case["plaintext"]));
    }
}

fn invalid_payloads(invalid: &Value) {
    for case in cases(&invalid["decrypt"]) {
        let error = nip44::decrypt(&conversation(case), payload_of(case)).unwrap_err();
        let expected: &[CipherError] = match string(&case["note"]) {
            note if note.starts_with("unknown encryption version") => &[CipherError::UnknownVersion],
            note if note.starts_with("invalid base64") => &[CipherError::Base64],
            note if note.starts_with("invalid MAC") => &[CipherError::Mac],
            note if note.starts_with("invalid padding") => &[CipherError::Padding],
            note if note.starts_with("invalid payload length") => &[],
            note => panic!("a note that this test does not know: {note}"),
        };
        let fits = if expected.is_empty() {
            matches!(error, CipherError::PayloadLength(_))
        } else {
            expected.contains(&error)
        };
        assert!(fits, "{case}: {error:?}");
    }
}

fn invalid_keys(invalid: &Value) {
    for case in cases(&invalid["get_conversation_key"]) {
        let Ok(secret) = SecretKey::from_slice(&bytes32(&case["sec1"])) else {
            assert!(string(&case["note"]).starts_with("sec1"), "{case}");
            continue;
        };
        let peer = PublicKey::from_byte_array(bytes32(&case["pub2"]));
        assert_eq!(ConversationKey::derive(&secret, &peer).unwrap_err(), CipherError::PeerKey, "{case}");
    }
}

#[test]
fn the_official_vectors() {
    let vectors = &json("nip44/nip44.vectors.json")["v2"];
    conversation_keys(&vectors["valid"]);
    encryption(&vectors["valid"]);
    invalid_keys(&vectors["invalid"]);
    invalid_payloads(&vectors["invalid"]);
}

#[test]
fn long_messages() {
    for case in cases(&json("nip44/nip44.vectors.json")["v2"]["valid"]["encrypt_decrypt_long_msg"]) {
        let repeat = usize::try_from(case["repeat"].as_u64().unwrap()).unwrap();
        let plaintext = string(&case["pattern"]).repeat(repeat);
        assert_eq!(sha256(&plaintext), string(&case["plaintext_sha256"]));
        let key = conversation(case);
        let payload = nip44::encrypt(&key, &plaintext, &bytes32(&case["nonce"])).unwrap();
        assert_eq!(sha256(&payload), string(&case["payload_sha256"]));
        assert_eq!(nip44::decrypt(&key, &payload).unwrap().expose(), plaintext);
    }
}

/// The vectors file is older than the extended lengths: of its four lengths that could not be encrypted, three now can.
#[test]
fn obsolete_length_cases_are_valid_now() {
    let key = ConversationKey::take(&mut [7; 32]);
    for case in cases(&json("nip44/nip44.vectors.json")["v2"]["invalid"]["encrypt_msg_lengths"]) {
        let plaintext = "a".repeat(usize::try_from(case.as_u64().unwrap()).unwrap());
        if plaintext.is_empty() {
            assert_eq!(nip44::encrypt(&key, "", &[1; 32]), Err(CipherError::EmptyPlaintext));
        } else {
            let payload = nip44::encrypt(&key, &plaintext, &[1; 32]).unwrap();
            assert_eq!(nip44::decrypt(&key, &payload).unwrap().expose(), plaintext);
        }
    }
}

#[test]
fn extended_lengths() {
    let vectors = json("nip44/nip44-extended-length.json");
    let key = conversation(&vectors);
    for case in cases(&vectors["vectors"]) {
        let len = usize::try_from(case["plaintext_len"].as_u64().unwrap()).unwrap();
        let plaintext = "a".repeat(len);
        assert_eq!(sha256(&plaintext), string(&case["plaintext_sha256"]));
        let payload = nip44::encrypt(&key, &plaintext, &bytes32(&vectors["nonce"])).unwrap();
        assert_eq!(sha256(&payload), string(&case["payload_sha256"]), "{len}");
        assert_eq!(nip44::decrypt(&key, &payload).unwrap().expose(), plaintext);
    }
}

#[test]
fn older_layouts_of_the_vectors() {
    for path in ["nip44/nostr-tools.nip44.vectors.json", "nip44/rust-nostr.nip44.vectors.json"] {
        let Some(vectors) = full_set(path) else { continue };
        let valid = &vectors["v2"]["valid"];
        conversation_keys(valid);
        encryption(valid);
        if let Some(lengths) = vectors["v2"]["invalid"]["decrypt_msg_lengths"].as_array() {
            let key = ConversationKey::take(&mut [7; 32]);
            for len in lengths {
                // These are counts of raw bytes, none of which makes a whole payload.
                let payload = "A".repeat(usize::try_from(len.as_u64().unwrap()).unwrap());
                assert!(nip44::decrypt(&key, &payload).is_err(), "{len}");
            }
        }
    }
}
