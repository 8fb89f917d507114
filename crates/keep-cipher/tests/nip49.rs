//! NIP-49: the vectors of the text and of nostr-tools, and the bounds of the cost.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{bytes32, cases, json, string};
use keep_cipher::CipherError;
use keep_cipher::nip49::{KeySecurity, MAX_LOG_N, Ncryptsec};
use keep_types::{ErrorCode, Fault, SecretKey32, SecretText};
use nostr::nips::nip19::ToBech32;
use nostr::nips::nip49::EncryptedSecretKey;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

fn passphrase(case: &Value) -> SecretText {
    SecretText::from(string(&case["password"]).to_owned())
}

/// The same payload with another LOG_N in its second byte.
fn with_cost(ncryptsec: &str, log_n: u8) -> String {
    use nostr::nips::nip19::FromBech32;
    let mut bytes = EncryptedSecretKey::from_bech32(ncryptsec).unwrap().as_vec();
    bytes[1] = log_n;
    EncryptedSecretKey::from_slice(&bytes).unwrap().to_bech32().unwrap()
}

#[test]
fn the_vectors_open() {
    let vectors = json("nip49/nip49-vectors.json");
    for case in cases(&vectors["nip_text"]).iter().chain(cases(&vectors["nostr_tools"])) {
        let sealed = Ncryptsec::parse(string(&case["ncryptsec"])).unwrap();
        assert_eq!(u64::from(sealed.log_n()), case["log_n"].as_u64().unwrap());
        if let Some(security) = case["key_security"].as_u64() {
            assert_eq!(sealed.security() as u64, security);
        }
        assert_eq!(sealed.open(&passphrase(case)).unwrap().expose(), &bytes32(&case["secret_key"]), "{case}");
        assert_eq!(sealed.to_text().unwrap(), string(&case["ncryptsec"]));
    }
}

#[test]
fn sealing_and_opening() {
    for case in cases(&json("nip49/nip49-vectors.json")["nostr_tools"]) {
        let secret = SecretKey32::take(&mut bytes32(&case["secret_key"]));
        let log_n = u8::try_from(case["log_n"].as_u64().unwrap()).unwrap();
        let sealed = Ncryptsec::seal(&secret, &passphrase(case), log_n, KeySecurity::Medium).unwrap();
        let again = Ncryptsec::parse(&format!(" {}\n", sealed.to_text().unwrap())).unwrap();
        assert_eq!(again.security(), KeySecurity::Medium);
        assert_eq!(again.open(&passphrase(case)).unwrap().expose(), secret.expose());
        let wrong = again.open(&SecretText::from("something else".to_owned())).unwrap_err();
        assert_eq!(wrong, CipherError::Passphrase);
        assert_eq!(Fault::from(wrong).code(), ErrorCode::WrongPassphrase);
    }
}

/// The passphrase is taken in Unicode NFKC, so that it opens however it was typed.
#[test]
fn passphrases_are_normalised() {
    let text = |hex_text: &Value| String::from_utf8(hex::decode(string(hex_text)).unwrap()).unwrap();
    for case in cases(&json("nip49/nip49-vectors.json")["nfkc"]) {
        let (typed, normal) = (text(&case["input_utf8"]), text(&case["output_utf8"]));
        assert_eq!(typed.nfkc().collect::<String>(), normal);
        let secret = SecretKey32::take(&mut [7; 32]);
        let sealed = Ncryptsec::seal(&secret, &SecretText::from(typed), 1, KeySecurity::Unknown).unwrap();
        assert_eq!(sealed.open(&SecretText::from(normal)).unwrap().expose(), &[7; 32]);
    }
}

#[test]
fn the_cost_is_bounded_before_it_is_paid() {
    let vectors = json("nip49/nip49-vectors.json");
    let ncryptsec = string(&vectors["nip_text"][0]["ncryptsec"]);
    for log_n in [0, MAX_LOG_N + 1, 22, 63, 64, 255] {
        let error = Ncryptsec::parse(&with_cost(ncryptsec, log_n)).unwrap_err();
        assert_eq!(error, CipherError::LogN { log_n, max: MAX_LOG_N });
        let fault = Fault::from(error);
        assert_eq!(fault.code(), ErrorCode::InvalidKey);
        assert!(fault.message().contains(&format!("LOG_N {log_n}")), "{fault}");
        let secret = SecretKey32::take(&mut [7; 32]);
        let sealed = Ncryptsec::seal(&secret, &SecretText::from(String::new()), log_n, KeySecurity::Unknown);
        assert_eq!(sealed.unwrap_err(), CipherError::LogN { log_n, max: MAX_LOG_N });
    }
    assert_eq!(Ncryptsec::parse(&with_cost(ncryptsec, MAX_LOG_N)).unwrap().log_n(), MAX_LOG_N);
}

#[test]
fn what_is_no_ncryptsec_is_refused() {
    let vectors = json("nip49/nip49-vectors.json");
    let ncryptsec = string(&vectors["nostr_tools"][0]["ncryptsec"]);
    let changed = format!("{}q{}", &ncryptsec[..40], &ncryptsec[41..]);
    let nsec = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5";
    let long = format!("ncryptsec1{}", "q".repeat(5000));
    for text in ["", "ncryptsec", "ncryptsec1", nsec, &changed, &long, &ncryptsec[..100], "ncryptsec1žluť"]
    {
        assert_eq!(Ncryptsec::parse(text).unwrap_err(), CipherError::Ncryptsec, "{text}");
    }
    let zero = SecretKey32::take(&mut [0; 32]);
    let sealed = Ncryptsec::seal(&zero, &SecretText::from(String::new()), 1, KeySecurity::Unknown);
    assert_eq!(sealed.unwrap_err(), CipherError::SecretKey);
}

#[test]
fn debug_shows_only_the_cost() {
    let vectors = json("nip49/nip49-vectors.json");
    let sealed = Ncryptsec::parse(string(&vectors["nip_text"][0]["ncryptsec"])).unwrap();
    assert_eq!(format!("{sealed:?}"), "Ncryptsec(LOG_N 16, …)");
}

/// NIP-49 is bech32; the same bytes under the checksum of bech32m are refused.
#[test]
fn the_checksum_is_that_of_bech32() {
    let vectors = json("nip49/nip49-vectors.json");
    let ncryptsec = string(&vectors["nostr_tools"][0]["ncryptsec"]);
    let other = format!("{}{}", &ncryptsec[..ncryptsec.len() - 6], BECH32M_CHECKSUM);
    assert_eq!(Ncryptsec::parse(&other).unwrap_err(), CipherError::Ncryptsec);
    assert!(Ncryptsec::parse(&ncryptsec.to_uppercase()).is_ok());
}

const BECH32M_CHECKSUM: &str = "rx3cnx";
