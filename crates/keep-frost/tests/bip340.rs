//! BIP-340's own vectors against the verification that groups are judged by: valid and invalid signatures, and messages of
//! every length.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

use keep_frost::sign::verify_with_key;
use keep_frost::{Signature, Suite};
use support::*;

#[test]
fn every_vector_of_bip340() {
    let (mut valid, mut invalid) = (0, 0);
    for line in full("bip340/test-vectors.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let bytes = |at: usize| hex::decode(fields[at]).unwrap();
        let key: [u8; 32] = bytes(2).try_into().unwrap();
        let signature = Signature::from_bytes(bytes(5).try_into().unwrap());
        let verified = verify_with_key(Suite::Secp256k1Tr, &key, &bytes(4), &signature);
        assert_eq!(verified.is_ok(), fields[6] == "TRUE", "vector {}: {}", fields[0], fields[7]);
        if verified.is_ok() { valid += 1 } else { invalid += 1 }
    }
    assert!(valid >= 9 && invalid >= 10, "{valid} {invalid}");
}
