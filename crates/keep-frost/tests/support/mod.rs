//! Shared by the behaviour tests: independent verifiers and vector files.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use keep_frost::{Signature, Suite};

/// Verifies with code that the crate does not use for it: libsecp256k1 for BIP-340.
pub fn independent_verify(suite: Suite, key: &[u8; 32], message: &[u8], signature: &Signature) {
    match suite {
        Suite::Secp256k1Tr if message.len() == 32 => {
            let key = secp256k1::XOnlyPublicKey::from_slice(key).unwrap();
            let signature = secp256k1::schnorr::Signature::from_slice(signature.as_bytes()).unwrap();
            let message = secp256k1::Message::from_digest(message.try_into().unwrap());
            secp256k1::SECP256K1.verify_schnorr(&signature, &message, &key).unwrap();
        }
        Suite::Secp256k1Tr => verify_bip340_any_length(key, message, signature),
        Suite::Ed25519 => {
            let key = frost_ed25519::VerifyingKey::deserialize(key).unwrap();
            let signature = frost_ed25519::Signature::deserialize(signature.as_bytes()).unwrap();
            key.verify(message, &signature).unwrap();
        }
    }
}

/// The `secp256k1` crate's safe API takes 32-byte messages only, so other lengths are checked by the BIP's equation
/// s·G = R + e·P with libsecp256k1's point arithmetic.
fn verify_bip340_any_length(key: &[u8; 32], message: &[u8], signature: &Signature) {
    use secp256k1::{Parity, PublicKey, SECP256K1, Scalar, SecretKey, XOnlyPublicKey};
    use sha2::{Digest, Sha256};
    let (r, s) = signature.as_bytes().split_first_chunk::<32>().unwrap();
    let tag = Sha256::digest(b"BIP0340/challenge");
    let e = Sha256::new().chain_update(tag).chain_update(tag).chain_update(r).chain_update(key);
    let e = Scalar::from_be_bytes(e.chain_update(message).finalize().into()).unwrap();
    let p = PublicKey::from_x_only_public_key(XOnlyPublicKey::from_slice(key).unwrap(), Parity::Even);
    let r = PublicKey::from_x_only_public_key(XOnlyPublicKey::from_slice(r).unwrap(), Parity::Even);
    let left = PublicKey::from_secret_key(SECP256K1, &SecretKey::from_slice(s).unwrap());
    let right = r.combine(&p.mul_tweak(SECP256K1, &e).unwrap()).unwrap();
    assert_eq!(left, right);
}

/// The vectors inside the project.
pub fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// The full set of this name beside the workspace if it is there, else the copy inside the project.
pub fn full(name: &str) -> String {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors").join(name);
    let path = if beside.exists() { beside } else { vectors().join(name) };
    std::fs::read_to_string(path).unwrap()
}

/// Whether such a file is in either place.
pub fn is_there(name: &str) -> bool {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors").join(name);
    beside.exists() || vectors().join(name).exists()
}
