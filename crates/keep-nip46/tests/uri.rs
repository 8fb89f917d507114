//! Connection URIs: the cases of the table, what other software demands of ours, arbitrary input.
#![allow(clippy::unwrap_used)]

mod common;

use common::{json, public};
use keep_nip46::{
    BunkerUri, ClientMetadata, ConnectSecret, NostrConnectUri, Permissions, RelayUrl, UriError,
};
use keep_types::{ErrorCode, Fault};
use proptest::prelude::*;
use serde_json::Value;

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

fn addresses(relays: &[RelayUrl]) -> Vec<&str> {
    relays.iter().map(RelayUrl::as_str).collect()
}

#[test]
fn bunker_cases() {
    for case in json("uri-cases.json")["bunker"].as_array().unwrap() {
        let parsed = BunkerUri::parse(case["uri"].as_str().unwrap());
        if let Some(error) = case["error"].as_str() {
            let found = parsed.unwrap_err();
            assert!(found.to_string().contains(error), "{found}");
            assert_eq!(Fault::from(found).code(), ErrorCode::InvalidUri);
            continue;
        }
        let uri = parsed.unwrap();
        assert_eq!(addresses(uri.relays()), strings(&case["relays"]));
        assert_eq!(uri.secret(), case["secret"].as_str());
        let again = BunkerUri::parse(&uri.to_string()).unwrap();
        assert_eq!(
            (again.remote(), again.relays(), again.secret()),
            (uri.remote(), uri.relays(), uri.secret())
        );
    }
}

#[test]
fn nostrconnect_cases() {
    for case in json("uri-cases.json")["nostrconnect"].as_array().unwrap() {
        let parsed = NostrConnectUri::parse(case["uri"].as_str().unwrap());
        if let Some(error) = case["error"].as_str() {
            let found = parsed.unwrap_err().to_string();
            // "secret is required", "relay is required"
            assert!(
                found.contains(error.split(' ').next().unwrap()) && found.contains("required"),
                "{found}"
            );
            continue;
        }
        let uri = parsed.unwrap();
        if let Some(client) = case["client"].as_str() {
            assert_eq!(uri.client().to_hex(), client);
        }
        if !case["relays"].is_null() {
            assert_eq!(addresses(uri.relays()), strings(&case["relays"]));
        }
        if let Some(secret) = case["secret"].as_str() {
            assert_eq!(uri.secret(), Some(secret));
        }
        if !case["perms"].is_null() {
            let found: Vec<String> = uri.permissions().iter().map(ToString::to_string).collect();
            assert_eq!(found, strings(&case["perms"]));
        }
        let name = uri.metadata().name.as_ref().map(|name| name.as_str().to_owned());
        assert_eq!(name.as_deref(), case["name"].as_str());
        let again = NostrConnectUri::parse(&uri.to_string()).unwrap();
        assert_eq!(
            (again.client(), again.relays(), again.secret()),
            (uri.client(), uri.relays(), uri.secret())
        );
        assert_eq!((again.permissions(), again.metadata()), (uri.permissions(), uri.metadata()));
    }
}

/// nostr-tools: `^bunker://([0-9a-f]{64})\??([?/\w:.=&%-]*)$`
fn nostr_tools_reads(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("bunker://") else { return false };
    let (key, query) = rest.split_at(64);
    key.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && query.bytes().all(|b| b.is_ascii_alphanumeric() || b"_?/:.=&%-".contains(&b))
}

fn percent_decode(text: &str) -> String {
    let mut decoded = String::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
            decoded.push(char::from(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()));
        } else {
            decoded.push(char::from(byte));
        }
    }
    decoded
}

/// Amber: the whole query is decoded first, and then split at each `&`.
fn amber_reads(uri: &str) -> Vec<(String, String)> {
    let query = percent_decode(uri.split_once('?').unwrap().1);
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn our_bunker_uris_suit_every_client() {
    let secret = ConnectSecret::from_random(&[0xfb; 24]);
    let relays =
        ["wss://relay.example", "ws://127.0.0.1:7777", "ws://[::1]:80/in-box_1", "wss://r.example/?k=v"];
    let relays: Vec<RelayUrl> = relays.iter().map(|relay| RelayUrl::parse(relay).unwrap()).collect();
    let uri = BunkerUri::new(public(1), relays.clone(), Some(&secret)).unwrap();
    let text = uri.to_string();
    assert!(nostr_tools_reads(&text), "{text}");
    let mut expected: Vec<_> =
        relays.iter().map(|relay| ("relay".to_owned(), relay.as_str().to_owned())).collect();
    expected.push(("secret".to_owned(), secret.expose().to_owned()));
    assert_eq!(amber_reads(&text), expected);
    assert_eq!(BunkerUri::parse(&text).unwrap().relays(), relays);

    for unsafe_relay in ["wss://r.example/?a=1&b=2", "wss://r.example/a%20b", "wss://r.example/a+b"] {
        let relay = RelayUrl::parse(unsafe_relay).unwrap();
        let error = BunkerUri::new(public(1), vec![relay.clone()], None).unwrap_err();
        assert_eq!(error, UriError::UnsafeRelay(relay));
    }
}

#[test]
fn small_faults_are_forgiven() {
    let key = public(1).to_hex();
    for text in [
        format!(" bunker://{key}?relay=wss://r.example\n"),
        format!("BUNKER://{}?relay=wss://r.example", key.to_uppercase()),
        format!("bunker://{key}/?relay=wss://r.example#x"),
        format!("bunker://{key}?relay=&relay=wss://r.example&relay=wss://r.example/&unknown=1&secret="),
    ] {
        let uri = BunkerUri::parse(&text).unwrap();
        assert_eq!(uri.to_string(), format!("bunker://{key}?relay=wss%3A%2F%2Fr.example"), "{text}");
    }
}

#[test]
fn what_does_not_fit_is_named_without_the_secret() {
    let key = public(1).to_hex();
    let error = |text: &str| BunkerUri::parse(text).unwrap_err();
    let names = |text: &str, part: &str| assert!(error(text).to_string().contains(part), "{}", error(text));
    names("nostrconnect://abc?secret=hush", "not with \"nostrconnect://\"");
    names("hush-hush-hush-hush-hush-hush", "not with");
    names(&format!("bunker://{}?relay=wss://r", "f".repeat(64)), "64 hex digits");
    names(&format!("bunker://{}?relay=wss://r", &key[..60]), "64 hex digits");
    names("bunker://npub1qqqqqq@relay.example", "64 hex digits");
    names(&format!("bunker://{key}?relay=https://r.example&secret=hush"), "not with https://");
    assert!(!error(&format!("bunker://{key}?relay=https://r&secret=hush")).to_string().contains("hush"));
    let many: String = (0..17).map(|n| format!("&relay=wss://r{n}.example")).collect();
    assert_eq!(error(&format!("bunker://{key}?{many}")), UriError::TooManyRelays);
    let long = format!("bunker://{key}?{}", "x".repeat(9_000));
    assert_eq!(error(&long), UriError::TooLong(long.len()));
}

#[test]
fn every_fault_of_an_address_says_what_to_do() {
    for error in [UriError::NoRelay, UriError::NoSecret, UriError::TooManyRelays, UriError::TooLong(9_000)] {
        assert!(!keep_types::Fault::from(error.clone()).hint().is_empty(), "{error}");
    }
}

#[test]
fn a_client_may_be_read_without_its_secret_if_that_is_said() {
    let start = format!("nostrconnect://{}?relay=wss://r.example", public(1).to_hex());
    assert_eq!(NostrConnectUri::parse(&start).unwrap_err(), UriError::NoSecret);
    let uri = NostrConnectUri::parse_secretless(&start).unwrap();
    assert_eq!((uri.secret(), uri.to_string().contains("secret")), (None, false));
    let uri = NostrConnectUri::parse_secretless(&format!("{start}&secret=hush")).unwrap();
    assert_eq!(uri.secret(), Some("hush"));
}

#[test]
fn metadata_may_hold_what_would_begin_a_fragment() {
    let start = format!("nostrconnect://{}", public(1).to_hex());
    let uri = format!("{start}?metadata={{\"name\":\"C# tool\"}}&relay=wss://r.example&secret=hush");
    let uri = NostrConnectUri::parse(&uri).unwrap();
    assert_eq!(uri.metadata().name.as_ref().unwrap().as_str(), "C# tool");
    assert_eq!(uri.secret(), Some("hush"));
    for metadata in ["name=x", "metadata=%7B%22name%22%3A%22x%22%7D", "metadata={\"name\":\"x#\"}"] {
        let uri = format!("{start}?{metadata}&relay=wss://r.example&secret=hush#x");
        assert_eq!(NostrConnectUri::parse(&uri).unwrap().secret(), Some("hush"), "{uri}");
    }
}

#[test]
fn debug_hides_the_secret() {
    let key = public(1).to_hex();
    let bunker = BunkerUri::parse(&format!("bunker://{key}?relay=wss://r.example&secret=hush")).unwrap();
    let client =
        NostrConnectUri::parse(&format!("nostrconnect://{key}?relay=wss://r.example&secret=hush")).unwrap();
    for shown in [format!("{bunker:?}"), format!("{client:?}")] {
        assert!(!shown.contains("hush") && shown.contains(&key), "{shown}");
    }
}

#[test]
fn our_nostrconnect_uri_comes_back() {
    let secret = ConnectSecret::from_random(&[1; 24]);
    let relay = RelayUrl::parse("wss://r.example/?a=1&b=2").unwrap();
    let wish = Permissions::parse("sign_event:1,nip44_encrypt").unwrap();
    let metadata = ClientMetadata::new(Some("Žluťoučký & syn"), Some("https://c.example/?x=1#y"), None);
    let uri = NostrConnectUri::new(public(1), vec![relay.clone()], &secret, wish.clone(), metadata.clone())
        .unwrap();
    let again = NostrConnectUri::parse(&uri.to_string()).unwrap();
    assert_eq!(
        (again.client(), again.relays(), again.secret()),
        (&public(1), &[relay][..], Some(secret.expose()))
    );
    assert_eq!((again.permissions(), again.metadata()), (&wish, &metadata));
    let none = NostrConnectUri::new(public(1), vec![], &secret, wish, metadata);
    assert_eq!(none.unwrap_err(), UriError::NoRelay);
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}", query in "[a-z=&%?#:/+.0-9A-F\u{e9}]{0,200}") {
        let key = public(1).to_hex();
        for scheme in ["bunker://", "nostrconnect://", ""] {
            for text in [format!("{scheme}{text}"), format!("{scheme}{key}?{query}"), format!("{scheme}{key}{text}")] {
                let _ = BunkerUri::parse(&text);
                let _ = NostrConnectUri::parse_secretless(&text);
                let _ = RelayUrl::parse(&text);
            }
        }
    }

    #[test]
    fn whatever_is_read_is_written_so_that_it_reads_the_same(secret in "[ -~]{1,9}\\PC{0,50}", path in "[a-zA-Z0-9?=&%+/._-]{0,30}") {
        let key = public(1).to_hex();
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("relay", &format!("wss://r.example/{path}"))
            .append_pair("secret", &secret)
            .finish();
        if let Ok(uri) = BunkerUri::parse(&format!("bunker://{key}?{query}")) {
            prop_assert_eq!(uri.secret(), Some(secret.as_str()));
            let again = BunkerUri::parse(&uri.to_string()).unwrap();
            prop_assert_eq!(again.secret(), uri.secret());
            prop_assert_eq!(again.relays(), uri.relays());
            prop_assert!(nostr_tools_reads(&uri.to_string()), "{}", uri);
        }
    }
}
