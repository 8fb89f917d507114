//! Targets of the vault: its header, and the records inside.

use std::fmt::Debug;

use keep_policy::{Grant, Usage};
use keep_signer::{Endpoint, RequestRow};
use keep_types::Record;
use keep_vault::{KdfParams, KeyRecord, WeakKdf};
use sha2::{Digest, Sha256};

/// A header whose check bytes are right, since damage is not what an attacker leaves. A cost that is accepted can be
/// paid.
pub fn vault_header(input: &[u8]) {
    keep_vault::inspect_header(input).ok();
    let mut bytes = input.to_vec();
    bytes.extend_from_slice(&Sha256::digest(input)[..8]);
    let Ok(kdf) = keep_vault::inspect_header(&bytes) else { return };
    if kdf.check(WeakKdf::Allow).is_ok() {
        let KdfParams { memory_kib, iterations, lanes, .. } = kdf;
        assert!(memory_kib <= 4 << 20 && iterations <= 64 && lanes <= 16, "nobody can pay {memory_kib} KiB");
    }
}

/// A record of any collection; the first byte says which. What is accepted means the same when it is written again.
pub fn vault_record(input: &[u8]) {
    let Some((collection, cbor)) = input.split_first() else { return };
    match collection {
        b'k' => round_trip::<KeyRecord>(cbor),
        b'a' => round_trip::<keep_audit::Batch>(cbor),
        b'g' => round_trip::<Grant>(cbor),
        b'u' => round_trip::<Usage>(cbor),
        b'r' => round_trip::<RequestRow>(cbor),
        b'e' => round_trip::<Endpoint>(cbor),
        _ => {}
    }
}

fn round_trip<R: Record + Debug + PartialEq>(cbor: &[u8]) {
    if let Ok(record) = R::from_cbor(cbor) {
        let again = record.to_cbor().and_then(|bytes| R::from_cbor(&bytes));
        assert_eq!(again.as_ref(), Ok(&record));
    }
}
