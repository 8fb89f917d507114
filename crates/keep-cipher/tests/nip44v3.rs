//! The vectors of NIP-44 version 3.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{bytes32, cases, json, string};
use keep_cipher::nip44v3::{Context, decrypt, encrypt};
use keep_cipher::{CipherError, SharedX};
use nostr::PublicKey;
use secp256k1::{SECP256K1, SecretKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

const FILE: &str = "nip44v3/nip44v3-vectors.json";

fn shared(case: &Value) -> (SharedX, SharedX) {
    let secret = |name: &str| SecretKey::from_slice(&bytes32(&case[name])).unwrap();
    let (one, two) = (secret("secret1"), secret("secret2"));
    let public = |secret: &SecretKey| PublicKey::from(secret.x_only_public_key(SECP256K1).0);
    (SharedX::derive(&one, &public(&two)).unwrap(), SharedX::derive(&two, &public(&one)).unwrap())
}

fn scope(case: &Value) -> Vec<u8> {
    hex::decode(string(&case["scope_hex"])).unwrap()
}

fn kind(case: &Value) -> u32 {
    case["kind"].as_u64().unwrap().try_into().unwrap()
}

#[test]
fn encryption_and_decryption() {
    for case in cases(&json(FILE)["encrypt_decrypt"]) {
        let (there, back) = shared(case);
        let scope = String::from_utf8(scope(case)).unwrap();
        let context = Context { kind: kind(case), scope: &scope };
        let plain = hex::decode(string(&case["plaintext_hex"])).unwrap();
        let payload = encrypt(&there, context, &plain, &bytes32(&case["nonce"])).unwrap();
        assert_eq!(payload, string(&case["ciphertext"]));
        assert_eq!(decrypt(&back, context, &payload).unwrap().expose(), plain);
        let other = Context { kind: context.kind + 1, ..context };
        assert_eq!(decrypt(&back, other, &payload).unwrap_err(), CipherError::Context);
    }
}

#[test]
fn other_padding_is_read() {
    for case in cases(&json(FILE)["decrypt_only"]) {
        let scope = String::from_utf8(scope(case)).unwrap();
        let context = Context { kind: kind(case), scope: &scope };
        let plain = decrypt(&shared(case).0, context, string(&case["ciphertext"])).unwrap();
        assert_eq!(hex::encode(plain.expose()), string(&case["plaintext_hex"]));
    }
}

#[test]
fn long_texts() {
    for case in cases(&json(FILE)["long_encrypt_decrypt"]) {
        let pattern = hex::decode(string(&case["pattern_hex"])).unwrap();
        let plain = pattern.repeat(case["repeat"].as_u64().unwrap().try_into().unwrap());
        if plain.len() > keep_cipher::nip44::MAX_PLAINTEXT {
            continue;
        }
        let (there, back) = shared(case);
        let scope = String::from_utf8(scope(case)).unwrap();
        let context = Context { kind: kind(case), scope: &scope };
        let payload = encrypt(&there, context, &plain, &bytes32(&case["nonce"])).unwrap();
        assert_eq!(hex::encode(Sha256::digest(&payload)), string(&case["ciphertext_sha256"]));
        assert_eq!(decrypt(&back, context, &payload).unwrap().expose(), plain);
    }
}

#[test]
fn what_is_wrong_is_refused() {
    for case in cases(&json(FILE)["invalid_decryption"]) {
        let secret = SecretKey::from_slice(&bytes32(&case["secret"])).unwrap();
        let shared = SharedX::derive(&secret, &PublicKey::from_byte_array(bytes32(&case["public"]))).unwrap();
        let scope = scope(case);
        let scope = String::from_utf8_lossy(&scope);
        let context = Context { kind: kind(case), scope: &scope };
        let error = decrypt(&shared, context, string(&case["ciphertext"])).unwrap_err();
        let expected: &[CipherError] = match string(&case["why"]) {
            "invalid MAC" => &[CipherError::Mac],
            "invalid padding" => &[CipherError::Padding],
            why if why.starts_with("unsupported") => &[CipherError::UnknownVersion],
            why if why.starts_with("invalid base64") => &[CipherError::Base64],
            why if why.starts_with("context mismatch") => &[CipherError::Context],
            _ => {
                assert!(matches!(error, CipherError::PayloadLength(_)), "{case}: {error}");
                continue;
            }
        };
        assert!(expected.contains(&error), "{case}: {error}");
    }
}
