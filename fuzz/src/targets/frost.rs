//! Threshold keys: shares as text, round messages, what other software writes, minisign files.

use keep_frost::import::{FrostrGroup, FrostrShare, ZfKeyPackage, ZfPublicKeyPackage};
use keep_frost::minisign::{PublicKeyFile, SignatureFile};
use keep_frost::wire::{Envelope, KdfCost, ShareExport};

/// `kshare1…` or its JSON. What is accepted is written again in both forms, and is never too dear to open.
pub fn kshare(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for export in [ShareExport::parse(&text), ShareExport::from_bytes(input)].into_iter().flatten() {
        let cost = export.label().cost;
        assert!(KdfCost::new(cost.memory_kib(), cost.passes(), cost.lanes()).is_ok());
        assert!(ShareExport::from_bytes(&export.to_bytes()).as_ref() == Ok(&export));
        if let Ok(json) = export.to_json() {
            assert!(ShareExport::from_json(&json).as_ref() == Ok(&export));
        }
        if let Ok(text) = export.to_bech32() {
            assert!(ShareExport::from_bech32(&text).as_ref() == Ok(&export));
        }
    }
}

/// A round message, in any of its three forms. What is accepted is written again in all of them.
pub fn frost_envelope(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for envelope in [Envelope::parse(&text), Envelope::from_bytes(input)].into_iter().flatten() {
        for again in [
            envelope.to_text().and_then(|text| Envelope::parse(&text)),
            envelope.to_json().and_then(|text| Envelope::parse(&text)),
            envelope.to_bytes().and_then(|bytes| Envelope::from_bytes(&bytes)),
        ] {
            assert!(again.as_ref() == Ok(&envelope));
        }
    }
}

/// Key packages and FROSTR shares of other software.
pub fn frost_import(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    ZfKeyPackage::parse(&text).ok();
    ZfKeyPackage::from_bytes(input).ok();
    ZfPublicKeyPackage::parse(&text).ok();
    ZfPublicKeyPackage::from_bytes(input).ok();
    FrostrGroup::parse(&text).ok();
    FrostrShare::parse(&text).ok();
}

/// minisign's files. A signature that is accepted is written again and read again as the same.
pub fn minisign(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    text.parse::<PublicKeyFile>().ok();
    if let Ok(signature) = text.parse::<SignatureFile>() {
        assert!(signature.to_text().parse::<SignatureFile>().as_ref() == Ok(&signature));
    }
}
