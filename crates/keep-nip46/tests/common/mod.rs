//! Keys, times and vectors for the tests.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;

use keep_nip46::TransportKey;
use keep_nip46::envelope::{self, Seal};
use keep_types::{EndpointId, Event, PublicKey, Scheme, SecretKey32, Timestamp};
use nostr::{Kind, Tag};
use secp256k1::{Keypair, Message, SECP256K1};

pub const ENDPOINT: EndpointId = EndpointId::from_bytes([9; 16]);

pub fn key(byte: u8) -> TransportKey {
    TransportKey::new(&SecretKey32::take(&mut [byte; 32])).unwrap()
}

pub fn keypair(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(SECP256K1, &[byte; 32]).unwrap()
}

pub fn public(byte: u8) -> PublicKey {
    PublicKey::from(keypair(byte).x_only_public_key().0)
}

pub const fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// A sealed text from `from` to `to`; `number` makes it unlike others.
pub fn letter(from: &TransportKey, to: &PublicKey, text: &str, created_at: u64, number: u32) -> Event {
    let mut nonce = [0; 32];
    nonce[..4].copy_from_slice(&number.to_be_bytes());
    let seal = Seal { to: *to, scheme: Scheme::Nip44, created_at: at(created_at), nonce, aux_rand: [0; 32] };
    envelope::seal(from, text, &seal).unwrap()
}

/// Any event, signed by the key with this byte.
pub fn sign(byte: u8, kind: Kind, tags: Vec<Tag>, content: &str, created_at: u64) -> Event {
    let tags = nostr::Tags::from_list(tags);
    let created_at = nostr::Timestamp::from_secs(created_at);
    let id = nostr::EventId::new(&public(byte), &created_at, &kind, &tags, content);
    let message = Message::from_digest(id.to_bytes());
    let signature = SECP256K1.sign_schnorr_with_aux_rand(&message, &keypair(byte), &[0; 32]);
    Event::new(id, public(byte), created_at, kind, tags.to_vec(), content, signature)
}

pub fn json(name: &str) -> serde_json::Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/nip46").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
