//! Authentication to relays (NIP-42), as the pool does it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use futures_util::future::BoxFuture;
use keep_net::{
    AuthChallenge, AuthSigner, Filter, NetError, PoolOptions, RelayOptions, RelayState, Relays, Transport,
};
use keep_types::{Clock, Event, Kind, SystemClock};
use nostr::Keys;

/// Transport keys that may grow in number while the pool runs.
#[derive(Clone, Default)]
struct Ring {
    keys: Arc<Mutex<Vec<Keys>>>,
    asked: Arc<AtomicU32>,
}

impl AuthSigner for Ring {
    fn answer(&self, challenge: AuthChallenge) -> BoxFuture<'static, Vec<Event>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let keys = self.keys.lock().unwrap().clone();
        Box::pin(async move {
            // A vault takes its time.
            tokio::time::sleep(Duration::from_millis(5)).await;
            keys.iter()
                .map(|k| challenge.answer(k.public_key(), SystemClock.now()).sign_with_keys(k).unwrap())
                .collect()
        })
    }
}

fn ring(count: usize) -> Ring {
    let ring = Ring::default();
    ring.keys.lock().unwrap().extend((0..count).map(|_| Keys::generate()));
    ring
}

fn with(ring: &Ring) -> PoolOptions {
    PoolOptions { auth: Some(Arc::new(ring.clone())), ping_after: LONG, ..quick() }
}

#[tokio::test]
async fn a_relay_that_requires_it_serves_after_it() {
    let relay = relay_with(RelayOptions { require_auth: true, ..RelayOptions::default() }).await;
    let ring = ring(2);
    let pool = pool_with(with(&ring), &[relay.url()]);
    let [a, b] = <[Keys; 2]>::try_from(ring.keys.lock().unwrap().clone()).unwrap();
    // Both are sent before the relay has accepted anybody, so both are refused first and repeated.
    let inbox = pool.subscribe(inbox_of(&a.public_key()), &Relays::All);
    let publication = pool.publish(&note(&b, &a.public_key(), "early"), &Relays::All);
    inbox.subscribed().await.unwrap();
    publication.accepted().await.unwrap();
    pool.publish(&note(&b, &a.public_key(), "later"), &Relays::All).accepted().await.unwrap();
    while content(&inbox).await != "later" {}
    until(&pool, |state| *state == RelayState::Connected).await;
    assert!(ring.asked.load(Ordering::Relaxed) < 10);
}

#[tokio::test]
async fn without_a_signer_the_relay_is_named_as_asking() {
    let relay = relay_with(RelayOptions { require_auth: true, ..RelayOptions::default() }).await;
    for options in [quick(), with(&ring(0))] {
        let keys = Keys::generate();
        let pool = pool_with(options, &[relay.url()]);
        let inbox = pool.subscribe(inbox_of(&keys.public_key()), &Relays::All);
        let error = inbox.subscribed().await.unwrap_err();
        assert!(error.to_string().contains("auth-required"), "{error}");
        let error =
            pool.publish(&note(&keys, &keys.public_key(), "x"), &Relays::All).accepted().await.unwrap_err();
        assert!(matches!(error, NetError::Refused { .. }), "{error}");
        until(&pool, |state| *state == RelayState::AuthRequired).await;
    }
}

/// What a hand-played relay hears as AUTH: the author and the challenge, after checking that the answer is right.
fn check_auth(message: &serde_json::Value, server: &Server) -> (String, String, String) {
    assert_eq!(message[0], "AUTH", "{message}");
    let event: Event = serde_json::from_value(message[1].clone()).unwrap();
    event.verify().unwrap();
    assert_eq!(event.kind, Kind::from(22242));
    let tag = |name: &str| {
        let tag = event.tags.iter().find(|tag| tag.as_slice()[0] == name).unwrap();
        tag.as_slice()[1].clone()
    };
    assert_eq!(tag("relay"), server.url.as_str());
    (event.id.to_hex(), event.pubkey.to_hex(), tag("challenge"))
}

#[tokio::test]
async fn new_keys_are_introduced_when_subscriptions_change() {
    let (server, ring) = (Server::start().await, ring(1));
    let pool = pool_with(with(&ring), &[&server.url]);
    let mut relay = server.accept().await;
    relay.say("[\"AUTH\",\"one\"]").await;
    let (id, author, challenge) = check_auth(&relay.hear().await, &server);
    assert_eq!((author, challenge.as_str()), (ring.keys.lock().unwrap()[0].public_key().to_hex(), "one"));
    relay.say(format!("[\"OK\",\"{id}\",true,\"\"]")).await;

    let second = Keys::generate();
    ring.keys.lock().unwrap().push(second.clone());
    let inbox = pool.subscribe(inbox_of(&second.public_key()), &Relays::All);
    let request = relay.hear().await;
    let (id, author, _) = check_auth(&relay.hear().await, &server);
    assert_eq!(author, second.public_key().to_hex(), "only the new key");
    relay.say(format!("[\"CLOSED\",{},\"auth-required: who are you?\"]", request[1])).await;
    relay.say(format!("[\"OK\",\"{id}\",true,\"\"]")).await;
    let again = relay.hear().await;
    assert_eq!((&again[0], &again[2]), (&request[0], &request[2]));
    relay.say(format!("[\"EOSE\",{}]", again[1])).await;
    inbox.subscribed().await.unwrap();

    // A new challenge is answered by all keys.
    relay.say("[\"AUTH\",\"two\"]").await;
    for _ in 0..2 {
        assert_eq!(check_auth(&relay.hear().await, &server).2, "two");
    }
}

#[tokio::test]
async fn a_challenge_that_comes_only_after_the_refusal_is_enough() {
    let (server, ring) = (Server::start().await, ring(1));
    let pool = pool_with(with(&ring), &[&server.url]);
    let keys = Keys::generate();
    let inbox = pool.subscribe(inbox_of(&keys.public_key()), &Relays::All);
    let publication = pool.publish(&note(&keys, &keys.public_key(), "x"), &Relays::All);
    let mut relay = server.accept().await;
    for _ in 0..2 {
        let message = relay.hear().await;
        if message[0] == "REQ" {
            relay.say(format!("[\"CLOSED\",{},\"auth-required: first\"]", message[1])).await;
        } else {
            relay.say(format!("[\"OK\",{},false,\"auth-required: first\"]", message[1]["id"])).await;
        }
    }
    relay.say("[\"AUTH\",\"now\"]").await;
    let (id, ..) = check_auth(&relay.hear().await, &server);
    relay.say(format!("[\"OK\",\"{id}\",true,\"\"]")).await;
    for _ in 0..2 {
        let message = relay.hear().await;
        if message[0] == "REQ" {
            relay.say(format!("[\"EOSE\",{}]", message[1])).await;
        } else {
            relay.say(format!("[\"OK\",{},true,\"\"]", message[1]["id"])).await;
        }
    }
    publication.accepted().await.unwrap();
    until(&pool, |state| *state == RelayState::Connected).await;
    inbox.subscribed().await.unwrap();
}

#[tokio::test]
async fn a_refused_or_never_confirmed_authentication_ends_in_an_answer() {
    let (server, ring) = (Server::start().await, ring(1));
    let pool = pool_with(with(&ring), &[&server.url]);
    let inbox = pool.subscribe(vec![Filter::new()], &Relays::All);
    let mut relay = server.accept().await;
    relay.say("[\"AUTH\",\"c\"]").await;
    let (mut request, mut answer) = (relay.hear().await, relay.hear().await);
    if request[0] == "AUTH" {
        std::mem::swap(&mut request, &mut answer);
    }
    relay.say(format!("[\"CLOSED\",{},\"auth-required: x\"]", request[1])).await;
    relay.say(format!("[\"OK\",{},false,\"restricted: not on the list\"]", answer[1]["id"])).await;
    let error = inbox.subscribed().await.unwrap_err();
    assert!(error.to_string().contains("restricted: not on the list"), "{error}");
    until(&pool, |state| *state == RelayState::AuthRequired).await;
}

#[tokio::test]
async fn floods_of_challenges_are_bounded() {
    let (server, ring) = (Server::start().await, ring(1));
    let pool = pool_with(with(&ring), &[&server.url]);
    let mut relay = server.accept().await;
    relay.say(format!("[\"AUTH\",\"{}\"]", "x".repeat(5000))).await;
    for i in 0..2000 {
        relay.say(format!("[\"AUTH\",\"{i}\"]")).await;
    }
    let keys = Keys::generate();
    let publication = pool.publish(&note(&keys, &keys.public_key(), "still here"), &Relays::All);
    let mut answers = 0;
    loop {
        let message = relay.hear().await;
        if message[0] == "EVENT" {
            relay.say(format!("[\"OK\",{},true,\"\"]", message[1]["id"])).await;
            break;
        }
        answers += 1;
    }
    publication.accepted().await.unwrap();
    assert!(answers <= 64 && ring.asked.load(Ordering::Relaxed) <= 65);
}
