//! Strict Ed25519 verification (RFC 8032 §5.1.7, cofactorless, as libsodium and minisign do it).

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};

use crate::{FrostError, Suite};

/// Whether `signature` over `message` is of `key`. Non-canonical encodings of key, R or S and points of small order
/// are refused, so that one signature has one encoding and no key accepts everything.
pub(crate) fn verify_strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), FrostError> {
    let public = strict_point(key).ok_or(FrostError::BadPoint(Suite::Ed25519))?;
    let (r_bytes, s_bytes) = signature.split_first_chunk::<32>().ok_or(FrostError::BadSignature)?;
    strict_point(r_bytes).ok_or(FrostError::BadSignature)?;
    let s_bytes: [u8; 32] = s_bytes.try_into().map_err(|_| FrostError::BadSignature)?;
    let s = Option::from(Scalar::from_canonical_bytes(s_bytes)).ok_or(FrostError::BadSignature)?;
    let hash = Sha512::new().chain_update(r_bytes).chain_update(key).chain_update(message).finalize();
    let k = Scalar::from_bytes_mod_order_wide(&hash.into());
    let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &-public, &s);
    if expected.compress().as_bytes() == r_bytes { Ok(()) } else { Err(FrostError::BadSignature) }
}

/// Whether these bytes have the form of a signature: R a point, S reduced. Nothing is verified.
pub(crate) fn may_be_signature(bytes: &[u8; 64]) -> bool {
    let (r, s) = bytes.split_at(32);
    let point = <[u8; 32]>::try_from(r).ok().and_then(|r| CompressedEdwardsY(r).decompress());
    let scalar =
        <[u8; 32]>::try_from(s).ok().and_then(|s| Option::<Scalar>::from(Scalar::from_canonical_bytes(s)));
    point.is_some() && scalar.is_some()
}

fn strict_point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    let point = CompressedEdwardsY(*bytes).decompress()?;
    (point.compress().as_bytes() == bytes && !point.is_small_order()).then_some(point)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn file(name: &str) -> Value {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let beside = root.join("../../../shared/vectors").join(name);
        let path = if beside.exists() { beside } else { root.join("tests/vectors").join(name) };
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn verifies(key: &str, message: &[u8], signature: &str) -> bool {
        let key: [u8; 32] = hex::decode(key).unwrap().try_into().unwrap();
        let Ok(signature) = <[u8; 64]>::try_from(hex::decode(signature).unwrap()) else { return false };
        verify_strict(&key, message, &signature).is_ok()
    }

    #[test]
    fn cctv_edge_cases() {
        // Accepted are the cases without points of small order, odd encodings, or a leftover of small order.
        let strict =
            ["low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R", "low_order_residue"];
        let mut accepted = 0;
        for case in file("cctv-ed25519/ed25519vectors.json").as_array().unwrap() {
            let flags: Vec<&str> = case["flags"]
                .as_array()
                .map(|f| f.iter().filter_map(Value::as_str).collect())
                .unwrap_or_default();
            let expected = !flags.iter().any(|f| strict.contains(f));
            let text = |name: &str| case[name].as_str().unwrap();
            let got = verifies(text("key"), text("msg").as_bytes(), text("sig"));
            assert_eq!(got, expected, "case {} {flags:?}", case["number"]);
            accepted += usize::from(got);
        }
        assert!(accepted > 1);
    }

    #[test]
    fn wycheproof() {
        for group in file("wycheproof/ed25519_test.json")["testGroups"].as_array().unwrap() {
            for case in group["tests"].as_array().unwrap() {
                let message = hex::decode(case["msg"].as_str().unwrap()).unwrap();
                let key = group["publicKey"]["pk"].as_str().unwrap();
                let got = verifies(key, &message, case["sig"].as_str().unwrap());
                assert_eq!(got, case["result"] == "valid", "case {} {}", case["tcId"], case["comment"]);
            }
        }
    }
}
