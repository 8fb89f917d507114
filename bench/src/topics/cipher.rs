//! NIP-44 with a cached conversation key against the ciphers that it is made of, and the envelopes of NIP-46.

use std::hint::black_box;

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use hmac::Mac as _;
use keep_cipher::{ConversationKey, nip44};
use keep_nip46::TransportKey;
use keep_nip46::envelope::{self, Seal};
use keep_types::{Scheme, SecretKey32, Timestamp};
use secp256k1::{Keypair, Message, SECP256K1};
use sha2::Sha256;

use crate::measure::Measure;
use crate::table::Row;

/// Bytes of plaintext.
const LENGTH: usize = 1024;
/// What NIP-44 pads that length to, with the length itself before it.
const PADDED: usize = 2 + 1024;

pub fn rows() -> Result<Vec<Row>> {
    let key = ConversationKey::take(&mut [7; 32]);
    let text = "x".repeat(LENGTH);
    let payload = nip44::encrypt(&key, &text, &[9; 32])?;
    let raw_payload = raw(&[7; 32], &text, &[9; 32]).ok_or_else(|| anyhow!("the ciphers refuse"))?;
    anyhow::ensure!(payload == raw_payload, "the reference computes another payload");

    let reference = "HKDF, ChaCha20, HMAC, base64";
    let (encrypt, sealed) = Measure::CPU.both(
        || drop(black_box(nip44::encrypt(&key, black_box(&text), &[9; 32]))),
        || drop(black_box(raw(&[7; 32], black_box(&text), &[9; 32]))),
    );
    let decrypt = Measure::CPU.of(|| drop(black_box(nip44::decrypt(&key, black_box(&payload)))));
    let mut rows = vec![
        Row::new("NIP-44 encrypt 1 KB, key cached", encrypt, reference, sealed),
        Row::new("NIP-44 decrypt 1 KB, key cached", decrypt, "encrypting with the same", sealed),
    ];
    rows.extend(envelopes(&text)?);
    Ok(rows)
}

/// Sealing an answer and opening a request of NIP-46 around that text, against the signature or its verification alone.
fn envelopes(text: &str) -> Result<Vec<Row>> {
    let key = |byte| TransportKey::new(&SecretKey32::take(&mut [byte; 32]));
    let (client, ours) = (key(1)?, key(2)?);
    let seal = |to: &TransportKey| Seal {
        to: *to.public_key(),
        scheme: Scheme::Nip44,
        created_at: Timestamp::from_secs(1_700_000_000),
        nonce: [3; 32],
        aux_rand: [4; 32],
    };
    let (request, answer) = (envelope::seal(&client, text, &seal(&ours))?, seal(&client));
    let pair = Keypair::from_seckey_slice(SECP256K1, &[2; 32])?;
    let (author, message) = (request.pubkey.xonly()?, Message::from_digest(request.id.to_bytes()));
    let (sealing, signing) = Measure::CPU.both(
        || drop(black_box(envelope::seal(&ours, black_box(text), &answer))),
        || {
            black_box(SECP256K1.sign_schnorr_with_aux_rand(black_box(&message), &pair, &[4; 32]));
        },
    );
    let (opening, verifying) = Measure::CPU.both(
        || drop(black_box(envelope::open(black_box(&request), &ours).and_then(|opened| opened.verify()))),
        || {
            black_box(SECP256K1.verify_schnorr(black_box(&request.sig), &message, &author)).ok();
        },
    );
    let junk = Measure::CPU.of(|| drop(black_box(envelope::open(black_box(&request), &ours))));
    Ok(vec![
        Row::new("NIP-46 seal 1 KB", sealing, "one signature", signing),
        Row::new("NIP-46 open and verify 1 KB", opening, "one verification", verifying),
        Row::new("  the check that comes first (MAC)", junk, "one verification", verifying),
    ])
}

/// The payload of NIP-44 version 2, without any care: one allocation, nothing wiped, nothing checked.
fn raw(key: &[u8; 32], text: &str, nonce: &[u8; 32]) -> Option<String> {
    let mut keys = [0; 76];
    Hkdf::<Sha256>::from_prk(key).ok()?.expand(nonce, &mut keys).ok()?;
    let mut bytes = Vec::with_capacity(1 + 32 + PADDED + 32);
    bytes.push(2);
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(&u16::try_from(text.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    chacha20::ChaCha20::new(keys[..32].into(), keys[32..44].into()).apply_keystream(&mut bytes[33..]);
    let mut mac = <hmac::Hmac<Sha256> as hmac::Mac>::new_from_slice(&keys[44..]).ok()?;
    mac.update(&bytes[1..]);
    let tag = mac.finalize().into_bytes();
    bytes.extend_from_slice(&tag);
    Some(BASE64.encode(bytes))
}
