//! The vectors of BIP-174, BIP-370 and BIP-371, and the encodings of a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::vectors;
use keep_bitcoin::{
    BitcoinError, Encoding, InspectOptions, Inspection, MAX_PSBT_BYTES, Network, PsbtFile, Wallet,
};
use proptest::prelude::*;
use serde_json::Value;

fn cases(bip: &str) -> Vec<Value> {
    vectors(&format!("{bip}/psbt-vectors.json"))
        .into_iter()
        .flat_map(|file| file.as_array().unwrap().clone())
        .collect()
}

fn bytes(case: &Value) -> Vec<u8> {
    hex::decode(case["hex"].as_str().unwrap()).unwrap()
}

#[test]
fn valid_files_are_read_and_written_again() {
    let mut read = 0;
    for case in ["bip174", "bip370", "bip371"].into_iter().flat_map(cases) {
        let section = case["section"].as_str().unwrap();
        let transaction = section.contains("must create this Bitcoin transaction");
        if section.contains("invalid") || section.contains("cannot") || transaction {
            continue;
        }
        let (raw, name) = (bytes(&case), case["case"].as_str().unwrap());
        let file = PsbtFile::read(&raw).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = file.write();
        assert_eq!(written.len(), raw.len(), "{name}");
        let again = PsbtFile::read(&written).unwrap();
        assert_eq!(again.psbt(), file.psbt(), "{name}");
        assert_eq!(again.version(), file.version());
        assert_eq!(again.write(), written);
        read += 1;
    }
    assert!(read > 50, "{read}");
}

#[test]
fn invalid_files_are_refused() {
    let mut refused = 0;
    for case in ["bip174", "bip370", "bip371"].into_iter().flat_map(cases) {
        let section = case["section"].as_str().unwrap();
        if section.contains("invalid") || section.contains("cannot") {
            let result = PsbtFile::read(&bytes(&case));
            assert!(matches!(result, Err(BitcoinError::Psbt(_))), "{}: {result:?}", case["case"]);
            refused += 1;
        }
    }
    assert!(refused > 50, "{refused}");
}

/// BIP-370 says in words which lock time each vector has.
#[test]
fn lock_times_of_version_2() {
    let expected = [0, 0, 10_000, 10_000, 10_000, 10_000, 1_657_048_460, 1_657_048_460, 1_657_048_460];
    let found: Vec<u32> = cases("bip370")
        .iter()
        .filter(|case| case["section"].as_str().unwrap().contains("timelock for the following PSBTs should"))
        .map(|case| PsbtFile::read(&bytes(case)).unwrap().unsigned_tx().lock_time.to_consensus_u32())
        .collect();
    for found in found.chunks(9) {
        assert_eq!(found, expected);
    }
}

/// None of the vectors is for a key of ours: nothing panics, nothing is signed, every input has its reason.
#[test]
fn foreign_files_are_never_signed() {
    for case in ["bip174", "bip370", "bip371"].into_iter().flat_map(cases) {
        let Ok(file) = PsbtFile::read(&bytes(&case)) else { continue };
        let inputs = file.psbt().inputs.len();
        let inspection = Inspection::new(file, &common::wallet(), &InspectOptions::default());
        assert_eq!(inspection.skipped().len(), inputs);
        let error = inspection.sign(&common::signer()).unwrap_err();
        assert!(matches!(error, BitcoinError::Refused(_) | BitcoinError::NothingSigned(_)), "{error}");
    }
}

#[test]
fn every_encoding_is_read_and_kept() {
    let file = PsbtFile::new(common::simple()).unwrap();
    for encoding in [Encoding::Binary, Encoding::Base64, Encoding::Hex] {
        let written = file.write_as(encoding);
        let read = PsbtFile::read(&written).unwrap();
        assert_eq!(read.encoding(), encoding);
        assert_eq!(read.write(), written);
        assert_eq!(read.psbt(), file.psbt());
        if encoding != Encoding::Binary {
            let lines: Vec<u8> = written.chunks(64).flat_map(|line| [line, b"\r\n"].concat()).collect();
            assert_eq!(PsbtFile::read(&lines).unwrap().psbt(), file.psbt());
        }
    }
    for bad in [&b""[..], b"psbt", b"cHNidP8", b"70736274ff0", b"hello", b"\xff\xfe"] {
        assert!(PsbtFile::read(bad).is_err(), "{bad:?}");
    }
    let huge = vec![b'A'; MAX_PSBT_BYTES * 3 + 1];
    assert!(matches!(PsbtFile::read(&huge), Err(BitcoinError::PsbtTooLarge { .. })));
}

#[test]
fn lengths_are_bounded_before_allocating() {
    // A value that claims to have 2^60 bytes.
    let mut raw = b"psbt\xff\x01\x00\xff".to_vec();
    raw.extend_from_slice(&(1_u64 << 60).to_le_bytes());
    assert!(PsbtFile::read(&raw).is_err());
    // Version 2 that claims 2^32 inputs.
    let raw = hex::decode("70736274ff01020402000000010409ff00000000010000000105010001fb0402000000").unwrap();
    assert!(PsbtFile::read(&raw).is_err());
}

/// A field of version 2 that occurs twice would say two things.
#[test]
fn fields_of_version_2_occur_once() {
    let case = cases("bip370")
        .into_iter()
        .find(|case| case["case"].as_str().unwrap().contains("required fields only"));
    let raw = bytes(&case.unwrap());
    let at = raw.windows(3).position(|pair| pair == [0x01, 0x0e, 0x20]).unwrap();
    let doubled = [&raw[..at], &raw[at..at + 35], &raw[at..]].concat();
    assert!(PsbtFile::read(&raw).is_ok());
    let error = PsbtFile::read(&doubled).unwrap_err();
    assert_eq!(error.to_string(), "not a valid PSBT: a key occurs twice in one map");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(content in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = PsbtFile::read(&content);
        let _ = PsbtFile::read(&[&b"psbt\xff"[..], &content].concat());
    }

    /// Real files with bytes changed, cut out and doubled: whatever still reads can be inspected and written.
    #[test]
    fn damaged_files_never_panic(which in 0_usize..1000, at in 0_usize..4000, value: u8, what in 0_u8..3) {
        let all = cases(["bip174", "bip370", "bip371"][which % 3]);
        let mut raw = bytes(&all[which % all.len()]);
        let at = at % raw.len();
        match what {
            0 => raw[at] = value,
            1 => drop(raw.remove(at)),
            _ => raw.insert(at, value),
        }
        if let Ok(file) = PsbtFile::read(&raw) {
            let again = PsbtFile::read(&file.write()).unwrap();
            prop_assert_eq!(again.psbt(), file.psbt());
            let mut inspection = Inspection::new(file, &Wallet::new(Network::Mainnet), &InspectOptions::default());
            prop_assert!(inspection.jobs().is_err());
            serde_json::to_string(inspection.view()).unwrap();
            inspection = Inspection::new(inspection.into_file(), &common::wallet(), &InspectOptions::default());
            let mut file = inspection.into_file();
            let _ = file.finalize();
            let _ = file.extract();
        }
    }
}

/// The finalizer and the extractor of BIP-174: what several signers made becomes the transaction of the vector.
#[test]
fn the_signed_file_of_bip174_becomes_its_transaction() {
    let mut checked = 0;
    for file in vectors("bip174/psbt-vectors.json") {
        let file = file.as_array().unwrap();
        let of = |words: &str| {
            let found = file.iter().find(|case| case["section"].as_str().unwrap().contains(words));
            bytes(found.unwrap())
        };
        let mut combined = PsbtFile::read(&of("a combiner must create this PSBT")).unwrap();
        assert!(combined.extract().is_err(), "it is not final yet");
        combined.finalize().unwrap();
        let expected = PsbtFile::read(&of("an input finalizer must create this PSBT")).unwrap();
        for (ours, theirs) in combined.psbt().inputs.iter().zip(&expected.psbt().inputs) {
            assert_eq!(ours.final_script_sig, theirs.final_script_sig);
            assert_eq!(ours.final_script_witness, theirs.final_script_witness);
        }
        for file in [&combined, &expected] {
            let tx = keep_bitcoin::bitcoin::consensus::encode::serialize(&file.extract().unwrap());
            assert_eq!(tx, of("a transaction extractor must create this Bitcoin transaction"));
        }
        checked += 1;
    }
    assert!(checked >= 1);
}
