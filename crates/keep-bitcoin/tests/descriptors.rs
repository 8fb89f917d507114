//! BIP-380 to BIP-386: the descriptor language that our descriptors are written in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::vectors;
use keep_bitcoin::bitcoin::secp256k1::SECP256K1;
use miniscript::Descriptor;
use miniscript::descriptor::{DescriptorPublicKey, checksum};
use serde_json::Value;

fn cases(bip: u16, kind: &str) -> Vec<Value> {
    let files = vectors(&format!("descriptors/bip{bip}.json"));
    files.iter().flat_map(|file| file[kind].as_array().unwrap().clone()).collect()
}

fn expression(case: &Value) -> &str {
    case["expr"].as_str().unwrap()
}

fn parse(text: &str) -> Result<Descriptor<DescriptorPublicKey>, miniscript::Error> {
    Descriptor::parse_descriptor(SECP256K1, text).map(|(descriptor, _)| descriptor)
}

#[test]
fn checksums() {
    for case in cases(380, "valid") {
        let text = expression(&case);
        let sound = match case["note"].as_str().unwrap_or_default() {
            "Valid checksum" | "No checksum" => true,
            note if note.contains("checksum") || note.contains("payload") => false,
            _ => continue,
        };
        assert_eq!(checksum::verify_checksum(text).is_ok(), sound, "{text}");
    }
}

#[test]
fn key_expressions() {
    for case in cases(380, "valid") {
        let (text, note) = (expression(&case), case["note"].as_str().unwrap_or_default());
        // Hardened steps below an xpub exist in the language, but no key can be derived.
        let impossible = text.contains("xpub") && text.rsplit(']').next().unwrap().contains('h');
        if !text.starts_with("raw") && !note.contains("Uncompressed") && !text.starts_with('5') && !impossible
        {
            assert!(parse(&format!("tr({text})")).is_ok(), "{text}");
        }
    }
    for case in cases(380, "invalid") {
        let text = expression(&case);
        assert!(parse(&format!("tr({text})")).is_err(), "{text}");
    }
}

/// The output scripts of every descriptor that miniscript writes: keys, hashes, multisig, taproot.
#[test]
fn scripts() {
    let mut compared = 0;
    for case in [381, 382, 383, 386].into_iter().flat_map(|bip| cases(bip, "valid")) {
        let text = expression(&case);
        // Hardened wildcards need the secret at every index; bare sorted multisig and twenty keys are nothing that
        // Keep ever writes.
        let Ok(descriptor) = parse(text) else {
            let known = text.contains("*h") || text.contains("multi(20") || text.starts_with("sortedmulti(");
            assert!(known, "{text}");
            continue;
        };
        for (index, expected) in case["out"].as_array().into_iter().flatten().enumerate() {
            let Ok(derived) = descriptor.derived_descriptor(SECP256K1, index as u32) else { continue };
            assert_eq!(derived.script_pubkey().to_hex_string(), expected.as_str().unwrap(), "{text}");
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn invalid_descriptors() {
    for case in [381, 382, 383, 384, 385, 386].into_iter().flat_map(|bip| cases(bip, "invalid")) {
        assert!(parse(expression(&case)).is_err(), "{case}");
    }
}

/// A wallet here is `tr(xpub/<0;1>/*)` and nothing else: whatever the language can say besides, valid or not, is refused, and
/// nothing panics.
#[test]
fn other_descriptors_are_no_wallets() {
    let mut refused = 0;
    for (bip, kind) in (380..=386).flat_map(|bip| [(bip, "valid"), (bip, "invalid")]) {
        for case in cases(bip, kind) {
            let text = expression(&case);
            for text in [text.to_owned(), format!("tr({text})"), format!("tr({text}/<0;1>/*)")] {
                for network in keep_bitcoin::Network::ALL {
                    let Ok(account) = keep_bitcoin::Account::from_descriptor(&text, network) else {
                        refused += 1;
                        continue;
                    };
                    // Keys of the vectors with our branches below make our form, and are written as it again.
                    let written = account.descriptor();
                    assert!(text.ends_with("/<0;1>/*)") && kind == "valid", "{text}");
                    let again = keep_bitcoin::Account::from_descriptor(&written, network).unwrap();
                    assert_eq!(again.descriptor(), written);
                }
            }
        }
    }
    assert!(refused > 1_500, "{refused}");
}
