//! Facts about our dependencies on which Keep relies: BIP-340 in libsecp256k1 and NIP-19 in the `nostr` crate.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{cases, json, string, text};
use nostr::PublicKey;
use nostr::nips::nip19::{FromBech32, Nip19Profile, ToBech32};
use secp256k1::schnorr::Signature;
use secp256k1::{Keypair, Message, SECP256K1, XOnlyPublicKey};

/// One line of the official `test-vectors.csv` of BIP-340.
struct Bip340 {
    index: String,
    secret: Vec<u8>,
    public: Vec<u8>,
    aux: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
    valid: bool,
}

fn bip340() -> Vec<Bip340> {
    let csv = text("bip340/test-vectors.csv");
    let rows = csv.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.splitn(8, ',').collect();
        let bytes = |at: usize| hex::decode(fields[at]).unwrap();
        Bip340 {
            index: fields[0].to_owned(),
            secret: bytes(1),
            public: bytes(2),
            aux: bytes(3),
            message: bytes(4),
            signature: bytes(5),
            valid: match fields[6] {
                "TRUE" => true,
                "FALSE" => false,
                other => panic!("{other}"),
            },
        }
    });
    rows.collect()
}

#[test]
fn bip340_signing_and_verification() {
    let (mut ran, mut not_offered) = (0, vec![]);
    for case in bip340() {
        // secp256k1 0.29 signs and verifies messages of 32 bytes only; the vectors of 2022-12 have other lengths.
        let Ok(digest) = <[u8; 32]>::try_from(case.message.as_slice()) else {
            not_offered.push(case.index);
            continue;
        };
        ran += 1;
        let message = Message::from_digest(digest);
        let signature = Signature::from_slice(&case.signature).unwrap();
        let verified = XOnlyPublicKey::from_slice(&case.public)
            .is_ok_and(|key| SECP256K1.verify_schnorr(&signature, &message, &key).is_ok());
        assert_eq!(verified, case.valid, "vector {}", case.index);
        if !case.secret.is_empty() {
            let keypair = Keypair::from_seckey_slice(SECP256K1, &case.secret).unwrap();
            let aux: [u8; 32] = case.aux.clone().try_into().unwrap();
            let made = SECP256K1.sign_schnorr_with_aux_rand(&message, &keypair, &aux);
            assert_eq!(made.serialize().as_slice(), case.signature, "vector {}", case.index);
            assert_eq!(keypair.x_only_public_key().0.serialize().as_slice(), case.public);
        }
    }
    println!("not offered by secp256k1 0.29 (message not of 32 bytes): vectors {}", not_offered.join(", "));
    assert_eq!((ran, not_offered), (15, ["15", "16", "17", "18"].map(str::to_owned).to_vec()));
}

/// Events with keys that are no points do not verify, whatever the signature.
#[test]
fn nostr_refuses_keys_off_the_curve() {
    for case in bip340().iter().filter(|case| ["5", "14"].contains(&case.index.as_str())) {
        let key = PublicKey::from_slice(&case.public).unwrap();
        assert!(key.xonly().is_err());
    }
}

#[test]
fn nip19_vectors() {
    for case in cases(&json("nip19/nip19-vectors.json")) {
        let bech32 = string(&case["bech32"]);
        match string(&case["hrp"]) {
            "npub" => {
                let key = PublicKey::from_bech32(bech32).unwrap();
                assert_eq!(key.to_hex(), string(&case["hex"]));
                assert_eq!(key.to_bech32().unwrap(), bech32);
            }
            "nsec" => {
                let key = nostr::SecretKey::from_bech32(bech32).unwrap();
                assert_eq!(key.to_secret_hex(), string(&case["hex"]));
                assert_eq!(key.to_bech32().unwrap(), bech32);
            }
            "nprofile" => {
                let profile = Nip19Profile::from_bech32(bech32).unwrap();
                assert_eq!(profile.public_key.to_hex(), string(&case["pubkey"]));
                let relays: Vec<String> = profile.relays.iter().map(ToString::to_string).collect();
                let expected: Vec<&str> = cases(&case["relays"]).iter().map(string).collect();
                assert_eq!(relays, expected);
                assert_eq!(profile.to_bech32().unwrap(), bech32);
            }
            other => panic!("no test for {other}"),
        }
    }
}

#[test]
fn nip19_refuses_what_is_not_it() {
    let npub = "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6";
    let mixed = npub.replacen('c', "C", 1);
    let typo = npub.replacen("cvv", "cvw", 1);
    for text in [&mixed, &typo, "npub1", "", "nsec1"] {
        assert!(PublicKey::from_bech32(text).is_err(), "{text}");
    }
    assert!(nostr::SecretKey::from_bech32(npub).is_err());

    // NIP-19 is bech32, not bech32m; the crate reads both. Whoever must know compares with the form that it writes.
    let other_checksum = "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkws3w8ktc";
    let key = PublicKey::from_bech32(other_checksum).unwrap();
    assert_eq!(key.to_bech32().unwrap(), npub);
}
