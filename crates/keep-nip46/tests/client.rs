//! The client's machine against a bunker of ours, and against signers that are wrong or lie.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{at, key, keypair, letter, public, sign};
use keep_nip46::client::{Answered, Ask, Client, ClientEffect, ClientError, Paired, Pairing, Random};
use keep_nip46::envelope::{self, Seal};
use keep_nip46::message::{Call, CallId, Method, Reply};
use keep_nip46::{
    BunkerUri, ClientMetadata, ConnectSecret, NostrConnectUri, Permissions, RelayUrl, TransportKey,
};
use keep_types::{ErrorCode, Event, EventTemplate, Fault, PublicKey, Scheme, SecretText, UnsignedEvent};
use nostr::{JsonUtil, Kind, Tag};
use secp256k1::{Message, SECP256K1};

const NOW: u64 = 1_000_000;
const SECRET: [u8; 24] = [7; 24];

/// Whether an answer is the expected one.
type Fits = fn(Answered) -> bool;

/// A client with key 2 of a signer with key 1, and the signer's side of the wire.
struct House {
    client: Client,
    signer: TransportKey,
    random: u8,
}

fn relay() -> RelayUrl {
    RelayUrl::parse("wss://r.example").unwrap()
}

fn secret() -> ConnectSecret {
    ConnectSecret::from_random(&SECRET)
}

impl House {
    fn new() -> Self {
        let uri = BunkerUri::new(public(1), vec![relay()], Some(&secret())).unwrap();
        Self { client: Client::new(&uri, key(2)), signer: key(1), random: 0 }
    }

    fn random(&mut self) -> Random {
        self.random += 1;
        Random { id: [self.random; 16], nonce: [self.random; 32], aux_rand: [0; 32] }
    }

    /// Sends a call; its id, and what the signer reads.
    fn ask(&mut self, ask: Ask) -> (CallId, Method) {
        let random = self.random();
        let (id, event) = self.client.call(ask, &random, at(NOW)).unwrap();
        let message = envelope::open(&event, &self.signer).unwrap().verify().unwrap();
        let call = Call::parse(message.plaintext.expose()).unwrap();
        assert_eq!(call.id, id);
        (id, call.method)
    }

    /// What the client makes of a message from `signer`.
    fn hear(&mut self, signer: u8, json: &str) -> Option<ClientEffect> {
        self.random += 1;
        let event = letter(&key(signer), &public(2), json, NOW, self.random.into());
        self.client.receive(&event, at(NOW))
    }

    fn result(&mut self, id: &CallId, result: &str) -> Result<Answered, ClientError> {
        let json = Reply::success(id.clone(), SecretText::new(result.to_owned())).to_json();
        done(self.hear(1, json.expose()))
    }
}

fn done(effect: Option<ClientEffect>) -> Result<Answered, ClientError> {
    match effect {
        Some(ClientEffect::Done(_, result)) => result,
        other => panic!("{other:?}"),
    }
}

fn bad_answer(result: Result<Answered, ClientError>) -> bool {
    matches!(result, Err(ClientError::BadAnswer { .. }))
}

fn unsigned(content: &str) -> UnsignedEvent {
    EventTemplate::new(1, content, vec![vec!["t".to_owned(), "x".to_owned()]], 5)
        .into_unsigned(public(3))
        .unwrap()
}

#[test]
fn connecting_sends_the_secret_and_takes_ack_or_the_secret() {
    for answer in ["ack", secret().expose()] {
        let mut house = House::new();
        let permissions = Permissions::parse("sign_event:1").unwrap();
        let metadata = ClientMetadata::new(Some("Keep"), None, None);
        let (id, method) =
            house.ask(Ask::Connect { permissions: permissions.clone(), metadata: metadata.clone() });
        let Method::Connect(connect) = method else { panic!() };
        assert_eq!(
            (connect.remote, connect.permissions, connect.metadata),
            (Some(public(1)), permissions, metadata)
        );
        assert_eq!(connect.secret.unwrap().expose(), secret().expose());
        assert!(matches!(house.result(&id, answer), Ok(Answered::Connected)));
    }
    let mut house = House::new();
    let (id, _) =
        house.ask(Ask::Connect { permissions: Permissions::default(), metadata: ClientMetadata::default() });
    assert!(bad_answer(house.result(&id, "welcome")));
}

#[test]
fn every_call_reaches_the_signer_and_has_its_answer() {
    let mut house = House::new();
    let text = |text: &str| SecretText::new(text.to_owned());
    let hex = public(3).to_hex();
    let relays = r#"["wss://a.example"]"#;
    let encrypt = |scheme| Ask::Encrypt { scheme, peer: public(3), plaintext: text("hush") };
    let decrypt = |scheme| Ask::Decrypt { scheme, peer: public(3), ciphertext: "payload".to_owned() };
    let calls: [(Ask, &str, &str, Fits); 9] = [
        (
            Ask::GetPublicKey,
            "get_public_key",
            &hex,
            |a| matches!(a, Answered::PublicKey(k) if k == public(3)),
        ),
        (Ask::Ping, "ping", "pong", |a| matches!(a, Answered::Pong)),
        (encrypt(Scheme::Nip44), "nip44_encrypt", "p", |a| matches!(a, Answered::Ciphertext(p) if p == "p")),
        (encrypt(Scheme::Nip04), "nip04_encrypt", "p", |a| matches!(a, Answered::Ciphertext(p) if p == "p")),
        (
            decrypt(Scheme::Nip44),
            "nip44_decrypt",
            "t",
            |a| matches!(a, Answered::Plaintext(t) if t.expose() == "t"),
        ),
        (
            decrypt(Scheme::Nip04),
            "nip04_decrypt",
            "t",
            |a| matches!(a, Answered::Plaintext(t) if t.expose() == "t"),
        ),
        (Ask::SwitchRelays, "switch_relays", "null", |a| matches!(a, Answered::Relays(None))),
        (
            Ask::SwitchRelays,
            "switch_relays",
            relays,
            |a| matches!(a, Answered::Relays(Some(r)) if r.len() == 1),
        ),
        (Ask::Logout, "logout", "ack", |a| matches!(a, Answered::LoggedOut)),
    ];
    for (ask, name, answer, fits) in calls {
        let (id, method) = house.ask(ask);
        assert_eq!(method.name(), name);
        assert!(fits(house.result(&id, answer).unwrap()), "{name}");
    }
    for (ask, answer) in [
        (Ask::GetPublicKey, "npub1"),
        (Ask::GetPublicKey, &"f".repeat(64)),
        (Ask::Ping, "ping"),
        (Ask::SwitchRelays, "[]"),
        (Ask::SwitchRelays, r#"["https://a.example"]"#),
        (Ask::SwitchRelays, "relays"),
    ] {
        let (id, _) = house.ask(ask);
        let result = house.result(&id, answer);
        assert!(bad_answer(result), "{answer}");
    }
    assert_eq!(house.client.waiting(), 0);
}

#[test]
fn a_signature_counts_only_on_the_very_event() {
    let mut house = House::new();
    let event = unsigned("hi");
    let digest = Message::from_digest(event.id.unwrap().to_bytes());
    let sign_as = |byte| SECP256K1.sign_schnorr_with_aux_rand(&digest, &keypair(byte), &[0; 32]);
    let signed = |sig| {
        let event = unsigned("hi");
        let tags = event.tags.to_vec();
        Event::new(event.id.unwrap(), event.pubkey, event.created_at, event.kind, tags, event.content, sig)
    };
    let right = signed(sign_as(3));
    let mut changed = right.clone();
    changed.content = "hi, and pay me".to_owned();
    let tags = vec![Tag::parse(["t", "x"]).unwrap(), Tag::parse(["client", "Signer"]).unwrap()];
    let tagged = sign(3, Kind::TextNote, tags, "hi", 5);
    let later = sign(3, Kind::TextNote, vec![Tag::parse(["t", "x"]).unwrap()], "hi", 6);
    let of_another = sign(4, Kind::TextNote, vec![Tag::parse(["t", "x"]).unwrap()], "hi", 5);
    for wrong in [signed(sign_as(4)), changed, tagged, later, of_another] {
        let (id, _) = house.ask(Ask::SignEvent(Box::new(event.clone())));
        assert!(bad_answer(house.result(&id, &wrong.as_json())), "{}", wrong.as_json());
    }
    let (id, method) = house.ask(Ask::SignEvent(Box::new(event.clone())));
    let Method::SignEvent(template) = method else { panic!() };
    assert_eq!(template.into_unsigned(public(3)).unwrap(), event);
    assert!(matches!(house.result(&id, &right.as_json()), Ok(Answered::Signed(e)) if *e == right));
}

#[test]
fn only_the_signer_answers_and_only_once() {
    let mut house = House::new();
    let (id, _) = house.ask(Ask::Ping);
    let pong = Reply::pong(id.clone()).to_json();
    assert!(house.hear(5, pong.expose()).is_none(), "another author");
    let mut forged = letter(&key(5), &public(2), pong.expose(), NOW, 77);
    forged.pubkey = public(1);
    assert!(house.client.receive(&forged, at(NOW)).is_none());
    let mut resigned = letter(&key(1), &public(2), pong.expose(), NOW, 78);
    resigned.sig = forged.sig;
    assert!(house.client.receive(&resigned, at(NOW)).is_none());
    // Junk from the signer ends nothing.
    assert!(house.hear(1, "junk").is_none());
    assert!(house.hear(1, r#"{"id":"other","result":"pong"}"#).is_none());
    assert!(house.hear(1, r#"{"id":"x","method":"ping","params":[]}"#).is_none());
    assert!(
        matches!(house.hear(1, pong.expose()), Some(ClientEffect::Done(done, Ok(Answered::Pong))) if done == id)
    );
    assert!(house.hear(1, pong.expose()).is_none());
}

#[test]
fn errors_reach_the_caller_neutralised() {
    let mut house = House::new();
    let (id, _) = house.ask(Ask::Ping);
    let json = serde_json::json!({"id": id, "result": "", "error": "no\u{202e} permission"}).to_string();
    let error = done(house.hear(1, &json)).unwrap_err();
    assert_eq!(error, ClientError::Remote("no\u{202e} permission".into()));
    let fault = Fault::from(error);
    assert_eq!(
        (fault.code(), fault.message()),
        (ErrorCode::Peer, "the signer answered: no\\u{202e} permission")
    );
}

#[test]
fn calls_end_in_time() {
    let mut house = House::new();
    let (id, _) = house.ask(Ask::Ping);
    assert!(house.client.tick(at(NOW + 29)).is_empty());
    let effects = house.client.tick(at(NOW + 30));
    assert!(matches!(&effects[..], [ClientEffect::Done(late, Err(ClientError::TimedOut))] if *late == id));
    assert!(house.client.tick(at(NOW + 31)).is_empty());
    assert!(house.hear(1, Reply::pong(id).to_json().expose()).is_none());
}

#[test]
fn an_address_is_opened_once_and_only_over_https() {
    let mut house = House::new();
    let challenge = |id: &CallId, address: &str| {
        serde_json::json!({"id": id, "result": "auth_url", "error": address}).to_string()
    };
    let (id, _) = house.ask(Ask::Ping);
    let json = challenge(&id, "https://bunker.example/approve?x=1");
    let Some(ClientEffect::OpenAddress(asked, address)) = house.hear(1, &json) else { panic!() };
    assert_eq!((&asked, address.as_str()), (&id, "https://bunker.example/approve?x=1"));
    assert!(house.hear(1, &json).is_none());
    // There is more time now, and the answer comes under the same id.
    assert!(house.client.tick(at(NOW + 299)).is_empty());
    assert!(matches!(done(house.hear(1, Reply::pong(id).to_json().expose())), Ok(Answered::Pong)));

    for address in
        ["http://bunker.example", "javascript:alert(1)", "https://me:pw@bunker.example", "x", "file:///"]
    {
        let (id, _) = house.ask(Ask::Ping);
        assert!(bad_answer(done(house.hear(1, &challenge(&id, address)))), "{address}");
    }
}

#[test]
fn calls_are_bounded() {
    let mut house = House::new();
    for number in 0..1_024_u32 {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        house.client.call(Ask::Ping, &Random { id, nonce: [1; 32], aux_rand: [0; 32] }, at(NOW)).unwrap();
    }
    let random = Random { id: [255; 16], nonce: [1; 32], aux_rand: [0; 32] };
    let error = house.client.call(Ask::Ping, &random, at(NOW)).unwrap_err();
    assert_eq!(error, ClientError::TooManyCalls);
    assert_eq!(house.client.tick(at(NOW + 60)).len(), 1_024);
}

fn answer_to(uri: &NostrConnectUri, signer: u8, result: &str) -> Event {
    let id = CallId::from_random(&[1; 16]);
    let json = Reply::success(id, SecretText::new(result.to_owned())).to_json();
    let seal = Seal {
        to: *uri.client(),
        scheme: Scheme::Nip44,
        created_at: at(NOW),
        nonce: [signer; 32],
        aux_rand: [0; 32],
    };
    envelope::seal(&key(signer), json.expose(), &seal).unwrap()
}

fn not_yet(paired: Paired) -> Pairing {
    match paired {
        Paired::NotYet(pairing) => pairing,
        Paired::Done(client) => panic!("{client:?}"),
    }
}

#[test]
fn only_who_knows_the_secret_is_paired() {
    let (permissions, metadata) = (Permissions::default(), ClientMetadata::default());
    let uri = NostrConnectUri::new(public(2), vec![relay()], &secret(), permissions, metadata).unwrap();
    let mut pairing = Pairing::new(&uri, key(2));
    for wrong in ["ack", "", "hush", &secret().expose()[1..]] {
        pairing = not_yet(pairing.receive(&answer_to(&uri, 6, wrong)));
    }
    let mut forged = answer_to(&uri, 5, secret().expose());
    forged.created_at = nostr::Timestamp::from_secs(NOW + 1);
    pairing = not_yet(pairing.receive(&forged));
    let paired = pairing.receive(&answer_to(&uri, 5, secret().expose()));
    let Paired::Done(client) = paired else { panic!() };
    assert_eq!((client.remote(), client.public_key()), (&public(5), &public(2)));
}

#[test]
fn nobody_is_paired_where_there_is_no_secret() {
    let text = format!("nostrconnect://{}?relay={}", public(2).to_hex(), relay());
    let uri = NostrConnectUri::parse_secretless(&text).unwrap();
    let mut pairing = Pairing::new(&uri, key(2));
    for answer in ["ack", "", "hush"] {
        pairing = not_yet(pairing.receive(&answer_to(&uri, 6, answer)));
    }
}

#[test]
fn debug_is_silent() {
    let house = House::new();
    let (permissions, metadata) = (Permissions::default(), ClientMetadata::default());
    let uri = NostrConnectUri::new(public(2), vec![relay()], &secret(), permissions, metadata).unwrap();
    let shown = format!("{:?} {:?}", house.client, Pairing::new(&uri, key(2)));
    assert!(!shown.contains(secret().expose()), "{shown}");
    let _: &PublicKey = house.client.remote();
}
