//! What an envelope costs beside the raw primitives: the best of many short batches, in microseconds.
//!
//! `cargo run --release -p keep-nip46 --example cpu`
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use keep_cipher::{ConversationKey, nip44};
use keep_nip46::envelope::{self, Seal};
use keep_nip46::message::{Call, Reply};
use keep_nip46::server::{Effect, Limits, Server, Standing};
use keep_nip46::{TransportKey, envelope::Received};
use keep_types::{EndpointId, Event, EventId, PublicKey, Scheme, SecretKey32, SecretText, Timestamp};
use nostr::JsonUtil;
use secp256k1::{Keypair, Message, SECP256K1, SecretKey};

const NOW: Timestamp = Timestamp::from_secs(1_795_166_574);

const BATCHES: usize = 1_200;
const BATCH: usize = 10;

/// The best mean of [`BATCHES`] batches: what it takes when nothing else runs.
fn best(mut run: impl FnMut()) -> f64 {
    let mut time = |_| {
        let start = Instant::now();
        (0..BATCH).for_each(|_| run());
        start.elapsed()
    };
    let shortest = (0..BATCHES).map(&mut time).min().unwrap_or(Duration::ZERO);
    shortest.as_secs_f64() * 1e6 / BATCH as f64
}

fn show(name: &str, micros: f64) -> f64 {
    println!("{name:<58} {micros:8.2} µs");
    micros
}

fn key(byte: u8) -> TransportKey {
    TransportKey::new(&SecretKey32::take(&mut [byte; 32])).unwrap()
}

fn seal_to(to: PublicKey) -> Seal {
    Seal { to, scheme: Scheme::Nip44, created_at: NOW, nonce: [3; 32], aux_rand: [4; 32] }
}

/// Signing, verifying and agreeing on keys in libsecp256k1; signing plus verifying. Each round has another event, as
/// in life: with always the same one, the tables of libsecp256k1 would stay in the nearest cache.
fn primitives(requests: &[Event]) -> f64 {
    let mut events = requests.iter().cycle();
    let mut next = || events.next().map(|event| (event, Message::from_digest(event.id.to_bytes()))).unwrap();
    let keypair = Keypair::from_seckey_slice(SECP256K1, &[1; 32]).unwrap();
    let author = requests[0].pubkey.xonly().unwrap();
    let sign = show(
        "BIP-340 sign, key pair kept",
        best(|| {
            black_box(SECP256K1.sign_schnorr_with_aux_rand(&next().1, &keypair, &[4; 32]));
        }),
    );
    let verify = show(
        "BIP-340 verify",
        best(|| {
            let (event, digest) = next();
            black_box(SECP256K1.verify_schnorr(&event.sig, &digest, &author)).unwrap();
        }),
    );
    show(
        "event verify (id, key, signature) in the nostr crate",
        best(|| {
            black_box(envelope::verify(next().0)).unwrap();
        }),
    );
    show(
        "event id in the nostr crate",
        best(|| {
            let event = next().0;
            black_box(EventId::new(
                &event.pubkey,
                &event.created_at,
                &event.kind,
                &event.tags,
                &event.content,
            ));
        }),
    );
    let secret = SecretKey::from_slice(&[1; 32]).unwrap();
    show(
        "conversation key (ECDH, HKDF)",
        best(|| {
            black_box(ConversationKey::derive(&secret, &requests[0].pubkey)).unwrap();
        }),
    );
    sign + verify
}

fn ciphers() {
    let conversation = ConversationKey::take(&mut [7; 32]);
    let text = "a".repeat(1_024);
    let payload = nip44::encrypt(&conversation, &text, &[3; 32]).unwrap();
    show(
        "NIP-44 encrypt, 1 KB, key kept",
        best(|| {
            black_box(nip44::encrypt(&conversation, black_box(&text), &[3; 32])).unwrap();
        }),
    );
    show(
        "NIP-44 decrypt, 1 KB, key kept",
        best(|| {
            black_box(nip44::decrypt(&conversation, black_box(&payload))).unwrap();
        }),
    );
}

/// One whole request through the machine and back: open, verify, receive, parse, answer, seal.
fn whole(requests: &[Event], ours: &TransportKey, answer: &str) -> f64 {
    let endpoint = EndpointId::from_bytes([1; 16]);
    let limits = Limits {
        client: keep_nip46::server::Rate { per_second: 1 << 20, burst: 1 << 30 },
        ..Limits::default()
    };
    let mut server = Server::new(limits);
    let mut requests = requests.iter();
    best(|| {
        let Some(request) = requests.next() else { panic!("too few requests") };
        let admission = server.admit(request, endpoint, Standing::Known, NOW).unwrap();
        let message: Received = envelope::open(request, ours).unwrap().verify().unwrap();
        let Effect::Handle(job) = server.receive(admission, message, NOW) else { panic!("not handled") };
        let reply = Reply::success(job.ticket.call_id.clone(), SecretText::new(answer.to_owned()));
        let event = envelope::seal(ours, reply.to_json().expose(), &seal_to(job.ticket.client)).unwrap();
        let id = event.id;
        black_box(server.answer(job.ticket, event, NOW));
        black_box(server.acknowledged(&id, true));
    })
}

fn main() {
    let (client, ours) = (key(1), key(2));
    let template =
        r#"{\"kind\":1,\"content\":\"CONTENT\",\"tags\":[[\"t\",\"keep\"]],\"created_at\":1700000000}"#;
    let template = template.replace("CONTENT", &"x".repeat(300));
    let text = |id: usize| format!(r#"{{"id":"{id}","method":"sign_event","params":["{template}"]}}"#);
    let seal = |id: usize| envelope::seal(&client, &text(id), &seal_to(*ours.public_key())).unwrap();
    let requests: Vec<Event> = (0..BATCHES * BATCH).map(seal).collect();
    let answer = requests[0].as_json();

    let raw = primitives(&requests);
    ciphers();
    show(
        "open (MAC, decrypt), key kept",
        best(|| {
            black_box(envelope::open(&requests[0], &ours)).unwrap();
        }),
    );
    show(
        "parse a sign_event request",
        best(|| {
            black_box(Call::parse(&text(0))).unwrap();
        }),
    );
    show(
        "seal an answer (NIP-44, id, sign)",
        best(|| {
            black_box(envelope::seal(&ours, &answer, &seal_to(*client.public_key()))).unwrap();
        }),
    );
    let whole =
        show("whole request: admit, open, verify, receive, seal, answer", whole(&requests, &ours, &answer));
    println!("raw verify + sign {raw:.1} µs; the whole request is {:.2} times that", whole / raw);
}
