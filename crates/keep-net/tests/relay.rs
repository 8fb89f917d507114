//! The embedded relay, spoken to by hand (NIP-01, NIP-11, NIP-42).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::time::Duration;

use common::*;
use keep_net::{InboxLimits, RelayOptions, Relays, Transport};
use keep_types::{Kind, Tag, Timestamp};
use nostr::{EventBuilder, JsonUtil, Keys};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn publish(event: &nostr::Event) -> String {
    format!("[\"EVENT\",{}]", event.as_json())
}

#[tokio::test]
async fn stored_events_come_newest_first_then_eose_then_live_ones() {
    let (relay, keys) = (relay().await, Keys::generate());
    let (mut writer, mut reader) = (Raw::connect(relay.url()).await, Raw::connect(relay.url()).await);
    let at = |secs: u64| {
        EventBuilder::new(Kind::from(1), secs.to_string())
            .custom_created_at(nostr::Timestamp::from_secs(secs))
            .sign_with_keys(&keys)
            .unwrap()
    };
    for secs in [2, 1, 3] {
        let event = at(secs);
        assert_eq!(writer.ask(publish(&event)).await, json!(["OK", event.id.to_hex(), true, ""]));
    }
    let again = writer.ask(publish(&at(1))).await;
    assert_eq!((&again[2], again[3].as_str().unwrap().starts_with("duplicate:")), (&json!(true), true));
    reader.say(r#"["REQ","s",{"kinds":[1],"limit":2}]"#).await;
    assert_eq!(reader.hear().await[2]["content"], "3");
    assert_eq!(reader.hear().await[2]["content"], "2");
    assert_eq!(reader.hear().await, json!(["EOSE", "s"]));
    writer.ask(publish(&at(4))).await;
    let live = reader.hear().await;
    assert_eq!((&live[1], &live[2]["content"]), (&json!("s"), &json!("4")));
    reader.say(r#"["CLOSE","s"]"#).await;
    assert_eq!(reader.ask(r#"["REQ","t",{"ids":[]}]"#).await, json!(["EOSE", "t"]));
    writer.ask(publish(&at(5))).await;
    assert_eq!(
        reader.ask(r#"["REQ","t",{"limit":0}]"#).await,
        json!(["EOSE", "t"]),
        "nothing came for s or t"
    );
}

#[tokio::test]
async fn filters_select() {
    let (relay, alice, bob) = (relay().await, Keys::generate(), Keys::generate());
    let mut client = Raw::connect(relay.url()).await;
    let event = EventBuilder::new(Kind::from(7), "x")
        .tags([Tag::parse(["p", &bob.public_key().to_hex()]).unwrap(), Tag::parse(["t", "a"]).unwrap()])
        .custom_created_at(nostr::Timestamp::from_secs(100))
        .sign_with_keys(&alice)
        .unwrap();
    client.ask(publish(&event)).await;
    let (id, author) = (event.id.to_hex(), alice.public_key().to_hex());
    for (filter, found) in [
        (json!({"ids": [id]}), true),
        (json!({"ids": ["00".repeat(32)]}), false),
        (json!({"authors": [author], "kinds": [7]}), true),
        (json!({"authors": [bob.public_key().to_hex()]}), false),
        (json!({"kinds": [1, 7], "#p": [bob.public_key().to_hex()], "#t": ["a", "b"]}), true),
        (json!({"#t": ["b"]}), false),
        (json!({"since": 100, "until": 100}), true),
        (json!({"since": 101}), false),
        (json!({"until": 99}), false),
        (json!({"search": "ignored"}), true),
    ] {
        let answer = client.ask(json!(["REQ", "s", filter]).to_string()).await;
        assert_eq!(answer[0] == "EVENT", found, "{filter}");
        if found {
            assert_eq!(answer[2], serde_json::from_str::<serde_json::Value>(&event.as_json()).unwrap());
            assert_eq!(client.hear().await, json!(["EOSE", "s"]));
        }
    }
}

#[tokio::test]
async fn ephemeral_events_are_forwarded_as_received_and_not_stored() {
    let (relay, keys) = (relay().await, Keys::generate());
    let (mut writer, mut reader) = (Raw::connect(relay.url()).await, Raw::connect(relay.url()).await);
    reader.ask(r#"["REQ","s",{"kinds":[24133]},{"kinds":[24133]}]"#).await;
    let event = note(&keys, &keys.public_key(), "secret");
    let spaced = event.as_json().replace("\"kind\":", "\"extra\": [1] , \"kind\": ");
    for _ in 0..2 {
        assert_eq!(writer.ask(format!("[\"EVENT\" , {spaced} ]")).await[2], true);
        let forwarded = reader.hear().await;
        assert_eq!((&forwarded[1], &forwarded[2]["extra"]), (&json!("s"), &json!([1])));
    }
    assert_eq!(reader.ask(r#"["REQ","t",{"kinds":[24133]}]"#).await, json!(["EOSE", "t"]));
}

#[tokio::test]
async fn invalid_events_are_refused_and_never_forwarded() {
    let (relay, keys) = (relay().await, Keys::generate());
    let (mut writer, mut reader) = (Raw::connect(relay.url()).await, Raw::connect(relay.url()).await);
    reader.ask(r#"["REQ","s",{}]"#).await;
    let event = note(&keys, &keys.public_key(), "text");
    let other = note(&keys, &keys.public_key(), "other");
    for (bad, reason) in [
        (event.as_json().replace("text", "TEXT"), "id is not the hash"),
        (event.as_json().replace(&event.sig.to_string(), &other.sig.to_string()), "signature is wrong"),
        (event.as_json().replace(&event.pubkey.to_hex(), &"ff".repeat(32)), "id is not the hash"),
    ] {
        let answer = writer.ask(format!("[\"EVENT\",{bad}]")).await;
        assert_eq!((&answer[0], &answer[2]), (&json!("OK"), &json!(false)));
        assert!(answer[3].as_str().unwrap().contains(reason), "{answer}");
    }
    writer.ask(publish(&event)).await;
    assert_eq!(reader.hear().await[2]["content"], "text", "the first that is forwarded is the valid one");
}

#[tokio::test]
async fn a_stored_event_with_another_signature_is_refused() {
    let (relay, keys) = (relay().await, Keys::generate());
    let mut client = Raw::connect(relay.url()).await;
    let event = signed(&keys, 1, "x", "text");
    client.ask(publish(&event)).await;
    let forged = event.as_json().replace(&event.sig.to_string(), &"00".repeat(64));
    assert_eq!(client.ask(format!("[\"EVENT\",{forged}]")).await[2], false);
}

#[tokio::test]
async fn nonsense_is_answered_and_survived() {
    let relay = relay().await;
    let mut client = Raw::connect(relay.url()).await;
    for nonsense in
        ["", "x", "{}", "[]", "[\"EVENT\"]", "[\"EVENT\",{}]", "[\"REQ\"]", "[\"WHAT\",1]", "[[[[["]
    {
        assert_eq!(client.ask(nonsense).await[0], "NOTICE", "{nonsense}");
    }
    let long = json!(["REQ", "n".repeat(65), {}]).to_string();
    assert_eq!(client.ask(long).await[0], "CLOSED");
    assert_eq!(client.ask(r#"["REQ","",{}]"#).await[0], "CLOSED");
    assert_eq!(client.ask(r#"["REQ","s",{"limit":0}]"#).await[0], "EOSE");
}

#[tokio::test]
async fn limits_hold() {
    let options = RelayOptions {
        max_message: 4096,
        max_subscriptions: 2,
        max_filters: 2,
        max_filter_values: 3,
        max_connections: 3,
        events_per_minute: Some(2),
        ..RelayOptions::default()
    };
    let (relay, keys) = (relay_with(options).await, Keys::generate());
    let mut client = Raw::connect(relay.url()).await;
    assert_eq!(client.ask(r#"["REQ","a",{"kinds":[1,2,3,4]}]"#).await[0], "CLOSED");
    assert_eq!(client.ask(r#"["REQ","a",{},{},{}]"#).await[0], "CLOSED");
    for name in ["a", "b", "a"] {
        assert_eq!(client.ask(format!(r#"["REQ","{name}",{{}}]"#)).await[0], "EOSE");
    }
    assert_eq!(client.ask(r#"["REQ","c",{}]"#).await[0], "CLOSED");
    let mut writer = Raw::connect(relay.url()).await;
    for i in 0..3 {
        let answer = writer.ask(publish(&note(&keys, &keys.public_key(), &i.to_string()))).await;
        assert_eq!(answer[2], i < 2);
    }
    let mut third = Raw::connect(relay.url()).await;
    third.say("x".repeat(5000)).await;
    assert!(third.is_ended().await, "a message over the limit ends the connection");
    let _third = Raw::connect(relay.url()).await;
    let stream = TcpStream::connect(relay.address()).await.unwrap();
    assert!(tokio_tungstenite::client_async(relay.url().as_str(), stream).await.is_err(), "no place left");
}

#[tokio::test]
async fn others_get_a_description() {
    let relay = relay().await;
    let ask = |request: &'static str| async move {
        let mut stream = TcpStream::connect(relay.address()).await.unwrap();
        // In two pieces, as networks do.
        let (a, b) = request.split_at(10);
        stream.write_all(a.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(b.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer, relay)
    };
    let (answer, relay) = ask("GET / HTTP/1.1\r\nHost: x\r\nAccept: application/nostr+json\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("Access-Control-Allow-Origin: *"));
    let document: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(document["supported_nips"], json!([1, 11, 42]));
    let mut stream = TcpStream::connect(relay.address()).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"));
    let mut stream = TcpStream::connect(relay.address()).await.unwrap();
    stream.write_all("A".repeat(20_000).as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

#[tokio::test]
async fn required_authentication_gates_everything() {
    let options = RelayOptions { require_auth: true, ..RelayOptions::default() };
    let (relay, keys) = (relay_with(options).await, Keys::generate());
    let mut client = Raw::connect(relay.url()).await;
    let hello = client.hear().await;
    assert_eq!(hello[0], "AUTH");
    let event = note(&keys, &keys.public_key(), "x");
    let refused = client.ask(publish(&event)).await;
    assert!(refused[2] == false && refused[3].as_str().unwrap().starts_with("auth-required:"));
    let refused = client.ask(r#"["REQ","s",{}]"#).await;
    assert!(refused[0] == "CLOSED" && refused[2].as_str().unwrap().starts_with("auth-required:"));

    let answer = |relay: &str, challenge: &str, keys: &Keys| {
        let tags = [Tag::parse(["relay", relay]).unwrap(), Tag::parse(["challenge", challenge]).unwrap()];
        let event = EventBuilder::new(Kind::from(22242), "").tags(tags).sign_with_keys(keys).unwrap();
        format!("[\"AUTH\",{}]", event.as_json())
    };
    let challenge = hello[1].as_str().unwrap();
    assert_eq!(client.ask(answer(relay.url().as_str(), "wrong", &keys)).await[2], false);
    assert_eq!(client.ask(answer("wss://elsewhere.example", challenge, &keys)).await[2], false);
    assert_eq!(client.ask(answer(relay.url().as_str(), challenge, &keys)).await[2], true);
    assert_eq!(client.ask(answer(relay.url().as_str(), challenge, &Keys::generate())).await[2], true);
    assert_eq!(client.ask(r#"["REQ","s",{"limit":0}]"#).await[0], "EOSE");
    client.say(publish(&event)).await;
    assert_eq!([client.hear().await[0].clone(), client.hear().await[0].clone()], ["OK", "EVENT"]);
}

#[tokio::test]
async fn subscribers_in_the_process_need_no_second_verification() {
    let (relay, keys) = (relay().await, Keys::generate());
    let local = relay.local(InboxLimits::default());
    let inbox = local.subscribe(inbox_of(&keys.public_key()), &Relays::All);
    assert_eq!(inbox.subscribed().await.unwrap(), [relay.url().clone()]);
    let mut client = Raw::connect(relay.url()).await;
    client.ask(r#"["REQ","s",{"limit":0}]"#).await;
    client.ask(publish(&signed(&keys, 1, "x", "not for the inbox"))).await;
    client.hear().await;
    let event = note(&keys, &keys.public_key(), "request");
    client.ask(publish(&event)).await;
    assert_eq!(client.hear().await[2]["content"], "request");
    assert_eq!(next(&inbox).await.event.verify().unwrap(), event);

    let answer = note(&keys, &keys.public_key(), "answer");
    assert_eq!(local.publish(&answer, &Relays::All).accepted().await.unwrap(), *relay.url());
    assert_eq!(client.hear().await[2]["content"], "answer");
    assert_eq!(content(&inbox).await, "answer");
    let elsewhere: keep_net::RelayUrl = "ws://elsewhere.example".parse().unwrap();
    assert!(local.publish(&answer, &elsewhere.into()).accepted().await.is_err());

    inbox.update(vec![keep_net::Filter::new().kinds([Kind::from(1)]).since(Timestamp::ZERO)]);
    assert_eq!(content(&inbox).await, "not for the inbox");
    relay.shutdown().await;
    assert_eq!(inbox.recv().await, None);
    assert!(local.publish(&answer, &Relays::All).accepted().await.is_err());
}

#[tokio::test]
async fn shutdown_is_graceful_and_frees_the_port() {
    let relay = relay().await;
    let address = relay.address();
    let mut client = Raw::connect(relay.url()).await;
    relay.shutdown().await;
    assert!(client.is_ended().await);
    assert!(TcpStream::connect(address).await.is_err());
    let again = keep_net::EmbeddedRelay::bind(address, RelayOptions::default()).await.unwrap();
    assert_eq!(again.address(), address);
    let taken = keep_net::EmbeddedRelay::bind(address, RelayOptions::default()).await.unwrap_err();
    assert!(matches!(taken, keep_net::NetError::Bind { .. }));
}

#[tokio::test]
async fn dead_and_stuck_clients_are_left() {
    let options = RelayOptions {
        ping_after: Duration::from_millis(100),
        pong_timeout: Duration::from_millis(200),
        handshake_timeout: Duration::from_millis(200),
        max_connections: 1,
        ..RelayOptions::default()
    };
    let relay = relay_with(options).await;
    // Says nothing at all.
    let _silent = TcpStream::connect(relay.address()).await.unwrap();
    // Says hello, then never reads nor writes.
    let dead = Raw::wait_for_place(relay.url()).await;
    let mut alive = Raw::wait_for_place(relay.url()).await;
    for _ in 0..10 {
        // Reading answers the pings.
        let _ = tokio::time::timeout(Duration::from_millis(60), futures_util::StreamExt::next(&mut alive.0))
            .await;
    }
    assert_eq!(alive.ask(r#"["REQ","s",{"limit":0}]"#).await[0], "EOSE");
    drop(dead);
}
