//! The pool against relays that break every rule.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::time::Duration;

use common::*;
use futures_util::SinkExt;
use keep_net::{Filter, NetError, Outcome, PoolOptions, RelayState, Relays, Transport};
use nostr::{JsonUtil, Keys};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

/// The REQ that the pool sends: its name.
async fn request(server: &mut Raw) -> String {
    let request = server.hear().await;
    assert_eq!(request[0], "REQ");
    request[1].as_str().unwrap().to_owned()
}

fn deliver(name: &str, event: &nostr::Event) -> String {
    format!("[\"EVENT\",\"{name}\",{}]", event.as_json())
}

fn is_failed(state: &RelayState) -> bool {
    matches!(state, RelayState::Failed { .. })
}

#[tokio::test]
async fn garbage_is_counted_and_the_good_event_still_comes() {
    let (server, keys) = (Server::start().await, Keys::generate());
    let pool = pool_with(quick(), &[&server.url]);
    let inbox = pool.subscribe(inbox_of(&keys.public_key()), &Relays::All);
    let mut relay = server.accept().await;
    let name = request(&mut relay).await;
    let good = note(&keys, &keys.public_key(), "good");
    let unwanted = signed(&keys, 1, "x", "another kind");
    let forged = deliver(&name, &good).replace("good", "forged");
    let garbage = [
        "".to_owned(),
        "garbage".to_owned(),
        "[".repeat(5000),
        "[\"EVENT\"]".to_owned(),
        format!("[\"EVENT\",\"{name}\",{{}}]"),
        format!("[\"EVENT\",\"{name}\",{}]", good.as_json().replace(&good.id.to_hex(), "zz")),
        "[\"OK\",\"zz\",true,\"\"]".to_owned(),
        "[\"OK\",1]".to_owned(),
        "[\"AUTH\",{}]".to_owned(),
        "[\"NOTICE\",5]".to_owned(),
    ];
    for text in &garbage {
        relay.say(text.clone()).await;
    }
    relay.0.send(Message::Binary(vec![0, 159, 146].into())).await.unwrap();
    relay.0.send(Message::Ping(vec![1].into())).await.unwrap();
    for odd in ["[\"EOSE\",\"unknown\"]", "[\"CLOSED\",\"unknown\",\"x\"]", "[\"NEW\",1]", "[\"AUTH\",\"c\"]"]
    {
        relay.say(odd).await;
    }
    relay.say(deliver("unknown", &good)).await;
    relay.say(deliver(&name, &unwanted)).await;
    relay.say(forged).await;
    relay.say(deliver(&name, &good)).await;
    let first = next(&inbox).await;
    assert!(first.event.verify().is_err(), "forged: to be found out by the receiver");
    assert_eq!(content(&inbox).await, "good", "the forgery with the same id and signature did not hide it");
    assert_eq!(pool.status()[0].malformed, garbage.len() as u64);
}

#[tokio::test]
async fn endless_garbage_ends_the_connection_and_another_is_made() {
    let server = Server::start().await;
    let pool = pool_with(quick(), &[&server.url]);
    let mut relay = server.accept().await;
    for _ in 0..1001 {
        relay.0.feed(Message::text("garbage")).await.unwrap();
    }
    let _ = relay.0.flush().await;
    assert!(relay.is_ended().await);
    server.accept().await;
    assert_eq!(pool.status()[0].malformed, 1001);
}

#[tokio::test]
async fn oversized_messages_and_broken_frames_end_the_connection_only() {
    let (server, keys) = (Server::start().await, Keys::generate());
    let pool = pool_with(PoolOptions { max_message: 2000, ..quick() }, &[&server.url]);
    let inbox = pool.subscribe(inbox_of(&keys.public_key()), &Relays::All);
    let mut relay = server.accept().await;
    relay.say("x".repeat(3000)).await;
    assert!(relay.is_ended().await || relay.is_ended().await);
    for frame in [
        &[0x81, 0x02, 0xff, 0xfe][..], // text that is not UTF-8
        &[0xff, 0xff, 0xff, 0xff],     // reserved bits, masked
        &[0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // 2^64 bytes
        &[0x83, 0x00],                 // reserved opcode
        &[0x89, 0x7e, 0x01, 0x00],     // control frame too long
        &[0x80, 0x00],                 // continuation of nothing
    ] {
        let mut relay = server.accept().await;
        relay.0.get_mut().write_all(frame).await.unwrap();
        let mut rest = Vec::new();
        let end = tokio::time::timeout(LONG, relay.0.get_mut().read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "{frame:?}");
    }
    let mut relay = server.accept().await;
    let name = request(&mut relay).await;
    relay.say(deliver(&name, &note(&keys, &keys.public_key(), "good"))).await;
    assert_eq!(content(&inbox).await, "good");
}

#[tokio::test]
async fn what_is_no_relay_is_named() {
    for (answer, reason) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404"),
        ("HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1:1\r\nContent-Length: 0\r\n\r\n", "HTTP status 301"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", ""),
        ("", "connection"),
    ] {
        let server = Server::start().await;
        let pool = pool_with(quick(), &[&server.url]);
        let mut stream = server.tcp().await;
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        until(&pool, is_failed).await;
        let state = pool.status().remove(0).state.to_string();
        assert!(state.contains(reason), "{answer:?}: {state}");
        assert!(!state.contains("os error"), "{state}");
    }
}

#[tokio::test]
async fn half_open_and_dead_connections_are_noticed() {
    let (server, keys) = (Server::start().await, Keys::generate());
    let pool = pool_with(quick(), &[&server.url]);
    let inbox = pool.subscribe(inbox_of(&keys.public_key()), &Relays::All);
    let _mute = server.tcp().await;
    let error = inbox.subscribed().await.unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
    // Shakes hands, and is never heard of again: not even its websocket answers pings, since nobody reads.
    let dead = server.accept().await;
    until(&pool, |state| *state == RelayState::Connected).await;
    until(&pool, is_failed).await;
    assert!(pool.status()[0].state.to_string().contains("no sign of life"));
    drop(dead);
    let mut relay = server.accept().await;
    let name = request(&mut relay).await;
    relay.say(deliver(&name, &note(&keys, &keys.public_key(), "alive"))).await;
    assert_eq!(content(&inbox).await, "alive");
}

#[tokio::test]
async fn pings_keep_a_quiet_connection() {
    let server = Server::start().await;
    let pool = pool_with(quick(), &[&server.url]);
    let mut relay = server.accept().await;
    // Only reads, which answers pings, for several times the limit.
    let quiet = tokio::time::timeout(Duration::from_millis(2000), relay.hear()).await;
    assert!(quiet.is_err());
    assert_eq!(pool.status()[0].connections, 1);
    assert_eq!(pool.status()[0].state, RelayState::Connected);
}

#[tokio::test]
async fn a_relay_that_takes_nothing_is_left() {
    let (server, keys) = (Server::start().await, Keys::generate());
    let pool = pool_with(PoolOptions { ping_after: LONG, ..quick() }, &[&server.url]);
    let stuck = server.accept().await;
    let big = |i: u32| note(&keys, &keys.public_key(), &format!("{i}{}", "x".repeat(60_000)));
    let publications: Vec<_> = (0..300).map(|i| pool.publish(&big(i), &Relays::All)).collect();
    until(&pool, is_failed).await;
    assert!(pool.status()[0].state.to_string().contains("does not take"));
    drop(stuck);
    for publication in publications {
        assert!(!publication.reports().await.is_empty());
    }
}

#[tokio::test]
async fn no_eose_and_no_ok_are_survived() {
    let (server, keys) = (Server::start().await, Keys::generate());
    let pool = pool_with(PoolOptions { ping_after: LONG, ..quick() }, &[&server.url]);
    let inbox = pool.subscribe(inbox_of(&keys.public_key()), &Relays::All);
    let mut relay = server.accept().await;
    let name = request(&mut relay).await;
    assert_eq!(
        inbox.subscribed().await.unwrap(),
        std::slice::from_ref(&server.url),
        "believed after a while"
    );
    relay.say(deliver(&name, &note(&keys, &keys.public_key(), "x"))).await;
    assert!(!next(&inbox).await.stored);
    let event = note(&keys, &keys.public_key(), "y");
    let publication = pool.publish(&event, &Relays::All);
    assert_eq!(relay.hear().await[0], "EVENT");
    assert_eq!(publication.reports().await[0].outcome, Outcome::NoAnswer);
    assert_eq!(publication.accepted().await.unwrap_err(), NetError::TimedOut);
    // A late answer harms nobody.
    relay.say(format!("[\"OK\",\"{}\",true,\"\"]", event.id)).await;
    let publication = pool.publish(&event, &Relays::All);
    relay.hear().await;
    relay.say(format!("[\"OK\",\"{}\",true,\"\"]", event.id)).await;
    assert_eq!(publication.accepted().await.unwrap(), server.url);
}

#[tokio::test]
async fn refusals_are_reported_with_neutral_words() {
    let (server, keys) = (Server::start().await, Keys::generate());
    let pool = pool_with(quick(), &[&server.url]);
    let inbox = pool.subscribe(inbox_of(&keys.public_key()), &Relays::All);
    let mut relay = server.accept().await;
    let name = request(&mut relay).await;
    relay.say(format!("[\"CLOSED\",\"{name}\",\"blocked: \\u001b[2J\"]")).await;
    let error = inbox.subscribed().await.unwrap_err().to_string();
    assert!(error.contains("blocked: \\u{1b}[2J"), "{error}");
    let event = note(&keys, &keys.public_key(), "x");
    let publication = pool.publish(&event, &Relays::All);
    relay.hear().await;
    relay.say(format!("[\"OK\",\"{}\",false,\"pow: too easy\"]", event.id)).await;
    assert!(matches!(publication.accepted().await.unwrap_err(), NetError::Refused { .. }));
    let publication = pool.publish(&event, &Relays::All);
    relay.hear().await;
    relay.say(format!("[\"OK\",\"{}\",false,\"duplicate: have it\"]", event.id)).await;
    assert!(publication.accepted().await.is_ok(), "a relay that has it has accepted it");
}

#[tokio::test]
async fn events_in_flight_are_sent_again_over_the_next_connection() {
    let (server, keys) = (Server::start().await, Keys::generate());
    let pool = pool_with(PoolOptions { publish_timeout: LONG, ..quick() }, &[&server.url]);
    let mut relay = server.accept().await;
    let publications: Vec<_> = (0..3)
        .map(|i| pool.publish(&note(&keys, &keys.public_key(), &i.to_string()), &Relays::All))
        .collect();
    let first = relay.hear().await;
    relay.say(format!("[\"OK\",{},true,\"\"]", first[1]["id"])).await;
    relay.hear().await;
    assert!(publications[0].accepted().await.is_ok());
    drop(relay);
    let mut relay = server.accept().await;
    for content in ["1", "2"] {
        let again = relay.hear().await;
        assert_eq!(again[1]["content"], content);
        relay.say(format!("[\"OK\",{},true,\"\"]", again[1]["id"])).await;
    }
    for publication in publications {
        assert!(publication.accepted().await.is_ok());
    }
}

#[tokio::test]
async fn after_a_gap_only_live_requests_ask_for_it() {
    let (server, keys) = (Server::start().await, Keys::generate());
    let pool = pool_with(quick(), &[&server.url]);
    let inbox = pool.subscribe(vec![Filter::new().limit(0)], &Relays::All);
    let mut relay = server.accept().await;
    let first = relay.hear().await;
    assert_eq!(first[2], serde_json::json!({"limit": 0}));
    drop(relay);
    let mut relay = server.accept().await;
    let second = relay.hear().await;
    assert_eq!(second[2], serde_json::json!({"limit": 0}), "never live, so there is no gap");
    relay.say(format!("[\"EOSE\",{}]", second[1])).await;
    inbox.subscribed().await.unwrap();
    drop(relay);
    let mut relay = server.accept().await;
    let third = relay.hear().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let since = third[2]["since"].as_u64().unwrap();
    assert!(third[2]["limit"].is_null() && (now - 130..=now - 115).contains(&since), "{third}");
    assert_ne!(first[1], third[1], "names tell nothing");
    drop(keys);
}

#[tokio::test]
async fn a_slow_relay_is_waited_for() {
    let (server, keys) = (Server::start().await, Keys::generate());
    let pool = pool_with(PoolOptions { publish_timeout: LONG, ..PoolOptions::default() }, &[&server.url]);
    let inbox = pool.subscribe(inbox_of(&keys.public_key()), &Relays::All);
    let event = note(&keys, &keys.public_key(), "slow");
    let publication = pool.publish(&event, &Relays::All);
    let mut relay = server.accept().await;
    // The event was there first, but order does not matter.
    let mut name = String::new();
    for _ in 0..2 {
        let message = relay.hear().await;
        if message[0] == "REQ" {
            name = message[1].as_str().unwrap().to_owned();
        }
    }
    // One byte at a time.
    let text = format!("[\"EVENT\",\"{name}\",{}]", event.as_json());
    let mut frame = vec![0x81, 0x7e];
    frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    frame.extend(text.as_bytes());
    for byte in frame {
        relay.0.get_mut().write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(content(&inbox).await, "slow");
    tokio::time::sleep(Duration::from_millis(300)).await;
    relay.say(format!("[\"OK\",\"{}\",true,\"\"]", event.id)).await;
    assert!(publication.accepted().await.is_ok());
}
