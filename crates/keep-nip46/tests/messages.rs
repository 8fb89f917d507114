//! Requests as deployed clients send them, and what else may come in.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{json, public};
use keep_nip46::MessageError;
use keep_nip46::message::{BadCall, Call, Method, Outcome, Reply};
use keep_types::{ErrorCode, EventTemplate, Fault, Scheme};
use proptest::prelude::*;
use serde_json::{Value, json};

const SECRET: &str = "0s8j2djs";
const WISH: &str = "sign_event:1,nip44_encrypt";
const METADATA: &str = r#"{"name":"A client","url":"https://c.example","image":"https://c.example/i.png"}"#;

fn parse(request: &Value) -> Call {
    Call::parse(&request.to_string()).unwrap_or_else(|bad| panic!("{request}: {}", bad.error))
}

fn bad(request: &str) -> BadCall {
    Call::parse(request).unwrap_err()
}

/// What stands for one parameter in the table: every value it may have, and nothing if it may be missing.
fn values(param: &str) -> Vec<Option<String>> {
    if let Some(param) = param.strip_suffix(" (only when present)") {
        return values(param).into_iter().chain([None]).collect();
    }
    if param.starts_with('{') {
        return vec![Some(METADATA.to_owned())];
    }
    let value = |word: &str| match word {
        "$RS" => public(1).to_hex(),
        "$USER" => public(2).to_hex(),
        "$SECRET" | "token" => SECRET.to_owned(),
        "perms" | "perms csv" => WISH.to_owned(),
        "''" | "empty string" | "" => String::new(),
        other => panic!("a word that this test does not know: {other}"),
    };
    param.split(" or ").map(|word| Some(value(word))).collect()
}

/// Every list of parameters that the table's list stands for.
fn lists(params: &Value) -> Vec<Vec<String>> {
    let mut lists = vec![vec![]];
    for param in params.as_array().unwrap() {
        let values = values(param.as_str().unwrap());
        lists = lists
            .iter()
            .flat_map(|list| {
                values.iter().map(move |value| list.iter().cloned().chain(value.clone()).collect())
            })
            .collect();
    }
    lists
}

fn clients() -> Vec<Value> {
    json("client-signer-matrix.json")["clients"].as_array().unwrap().clone()
}

#[test]
fn every_client_can_connect() {
    let mut shapes = 0;
    for client in clients() {
        let all = lists(&client["connect_params"]);
        let with_metadata = client.get("connect_params_with_metadata").map(lists).unwrap_or_default();
        for params in all.iter().chain(&with_metadata) {
            shapes += 1;
            let call = parse(&json!({"id": "x", "method": "connect", "params": params}));
            let Method::Connect(connect) = call.method else { panic!("{client}") };
            let has_secret = params.get(1).is_some_and(|secret| secret == SECRET);
            let secret = connect.secret.as_ref().map(|secret| secret.expose());
            assert_eq!(secret, has_secret.then_some(SECRET), "{params:?}");
            let wish = params.get(2).map_or("", String::as_str);
            assert_eq!(connect.permissions.to_string(), wish);
            assert_eq!(connect.metadata.name.is_some(), params.len() == 4);
            assert_eq!(connect.remote.is_some(), !params[0].is_empty());
        }
    }
    assert!(shapes >= 15, "{shapes}");
}

#[test]
fn every_client_accepts_our_connect_answers() {
    let id = || Call::parse(r#"{"id":"x","method":"ping"}"#).unwrap().id;
    let Outcome::Success(ack) = Reply::ack(id()).outcome else { panic!() };
    for client in clients() {
        let accepted = client["bunker_connect_result_accepted"].as_str().unwrap();
        assert!(
            accepted.contains(&format!("\"{}\"", ack.expose())) || accepted.starts_with("any"),
            "{accepted}"
        );
        if let Some(accepted) = client["nostrconnect_result_accepted"].as_str() {
            assert!(accepted.contains("the secret"), "{accepted}");
        }
    }
}

#[test]
fn every_client_can_have_events_signed() {
    let template = json!({"kind": 1, "content": "hi", "tags": [["t", "x"]], "created_at": 1_700_000_000});
    let unsigned = EventTemplate::from_json(&template.to_string()).unwrap().into_unsigned(public(2)).unwrap();
    let mut with_author = template.clone();
    with_author["pubkey"] = public(2).to_hex().into();
    let mut with_id = with_author.clone();
    with_id["id"] = unsigned.id.unwrap().to_hex().into();
    for client in clients() {
        let Some(sent) = client["sign_event_params"].as_str() else { continue };
        let events =
            if sent.starts_with("template") { vec![&template] } else { vec![&with_author, &with_id] };
        for event in events {
            let call = parse(&json!({"id": "x", "method": "sign_event", "params": [event.to_string()]}));
            let Method::SignEvent(asked) = call.method else { panic!() };
            assert_eq!(asked.into_unsigned(public(2)).unwrap(), unsigned);
        }
    }
    // Not as text, but as the object itself.
    let call = parse(&json!({"id": "x", "method": "sign_event", "params": [with_id]}));
    assert!(matches!(call.method, Method::SignEvent(_)));
}

#[test]
fn every_method_of_the_text_is_read() {
    let methods = &json("client-signer-matrix.json")["spec"]["methods"];
    for method in methods.as_object().unwrap().keys() {
        let params = match method.as_str() {
            "sign_event" => json!([r#"{"kind":1,"content":"","tags":[],"created_at":1}"#]),
            name if name.starts_with("nip") => json!([public(3).to_hex(), "text"]),
            _ => json!([]),
        };
        let call = parse(&json!({"id": "x", "method": method, "params": params}));
        assert_eq!(call.method.name(), method);
        assert!(!matches!(call.method, Method::Unknown(_)), "{method}");
    }
    let call = parse(&json!({"id": 1, "method": "nip04_decrypt", "params": [public(3).to_hex(), "a?iv=b"]}));
    let Method::Decrypt { scheme: Scheme::Nip04, peer, ciphertext } = call.method else { panic!() };
    assert_eq!((peer, ciphertext.as_str()), (public(3), "a?iv=b"));
}

#[test]
fn ids_and_params_of_every_shape() {
    for id in [json!("abc123-7"), json!(""), json!("4294967295"), json!(7), json!("\"\u{0}ž")] {
        let call = parse(&json!({"id": id, "method": "ping", "params": []}));
        assert_eq!(serde_json::to_value(&call.id).unwrap(), id);
        let reply: Value = serde_json::from_str(Reply::pong(call.id).to_json().expose()).unwrap();
        assert_eq!(reply, json!({"id": id, "result": "pong"}));
    }
    for request in [
        r#"{"id":"1","method":"ping"}"#,
        r#"{"id":"1","method":"ping","params":null}"#,
        r#"{"id":"1","method":"ping","params":[null,1,{"a":[]},true,"x","y","z","u","v","w"],"more":{}}"#,
    ] {
        assert!(matches!(Call::parse(request).unwrap().method, Method::Ping), "{request}");
    }
    let call = parse(&json!({"id": "1", "method": "connect", "params": [null, null, null, {"name": "x"}]}));
    let Method::Connect(connect) = call.method else { panic!() };
    assert!(connect.secret.is_none() && connect.metadata.name.is_some_and(|name| name.as_str() == "x"));
}

#[test]
fn what_cannot_be_understood_is_still_answered() {
    let peer = public(3).to_hex();
    for (request, code, part) in [
        (json!({"id": "q", "params": []}), ErrorCode::InvalidInput, "no method"),
        (json!({"id": "q", "method": 7}), ErrorCode::InvalidInput, "no method"),
        (json!({"id": "q", "method": "ping", "params": {}}), ErrorCode::InvalidInput, "not a list"),
        (json!({"id": "q", "method": "ping", "params": "x"}), ErrorCode::InvalidInput, "not a list"),
        (json!({"id": "q", "method": "sign_event"}), ErrorCode::InvalidInput, "needs parameter 1"),
        (
            json!({"id": "q", "method": "sign_event", "params": ["{}"]}),
            ErrorCode::InvalidEvent,
            "missing field",
        ),
        (
            json!({"id": "q", "method": "nip44_encrypt", "params": ["x", "y"]}),
            ErrorCode::InvalidInput,
            "public key",
        ),
        (
            json!({"id": "q", "method": "nip44_decrypt", "params": [peer]}),
            ErrorCode::InvalidInput,
            "parameter 2",
        ),
    ] {
        let BadCall { id, error } = bad(&request.to_string());
        assert_eq!(id.unwrap().to_string(), "q");
        let fault = Fault::from(error);
        assert_eq!(fault.code(), code);
        assert!(fault.message().contains(part), "{fault}");
    }
    // One field twice: which would count?
    let twice = bad(r#"{"id":"q","method":"ping","method":"logout"}"#);
    assert_eq!((twice.id.unwrap().to_string().as_str(), twice.error), ("q", MessageError::Json));
    let unknown = Call::parse(r#"{"id":"q","method":"nip44v3_encrypt\u202e","params":[]}"#).unwrap();
    assert_eq!(unknown.method.name(), "nip44v3_encrypt\\u{202e}");
}

#[test]
fn what_nobody_could_match_is_not_answered() {
    for request in [
        "",
        "x",
        "[]",
        r#"["q","ping",[]]"#,
        "7",
        r#"{"method":"ping"}"#,
        r#"{"id":{},"method":"ping"}"#,
        r#"{"id":null}"#,
    ] {
        assert!(bad(request).id.is_none(), "{request}");
    }
    let long = json!({"id": "x".repeat(257), "method": "ping"});
    assert!(bad(&long.to_string()).id.is_none());
    // The answer of another signer with the same key must not be answered, or the two never stop.
    for answer in [r#"{"id":"q","result":"ack"}"#, r#"{"id":"q","result":"","error":"no"}"#] {
        let BadCall { id, error } = bad(answer);
        assert_eq!((id, error), (None, MessageError::NotACall));
    }
}

#[test]
fn the_digest_knows_a_request_again() {
    let digest = |params: Value| parse(&json!({"id": "1", "method": "connect", "params": params})).digest;
    assert_eq!(digest(json!(["a", "b"])), digest(json!(["a", "b"])));
    for other in [json!(["ab"]), json!(["a", "b", ""]), json!(["a", null]), json!(["a"]), json!(["b", "a"])] {
        assert_ne!(digest(json!(["a", "b"])), digest(other));
    }
    assert_ne!(digest(json!([1])), digest(json!(["1"])));
    let ping = parse(&json!({"id": "1", "method": "ping"}));
    assert_ne!(ping.digest, parse(&json!({"id": "1", "method": "logout"})).digest);
    assert_eq!(ping.digest, parse(&json!({"id": "2", "method": "ping", "params": []})).digest);
}

#[test]
fn debug_shows_no_parameter() {
    let peer = public(3).to_hex();
    let call = parse(&json!({"id": "1", "method": "nip44_encrypt", "params": [peer, "hush"]}));
    assert!(!format!("{call:?}").contains("hush"));
    let call = parse(&json!({"id": "1", "method": "connect", "params": ["", "hush"]}));
    let Method::Connect(connect) = &call.method else { panic!() };
    assert!(!format!("{call:?} {connect:?}").contains("hush"));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,300}", json in "[\\[\\]{}\",:a-z0-9\\\\. nulle-]{0,200}") {
        for text in [&text, &json] {
            if let Ok(call) = Call::parse(text) {
                prop_assert!(!call.method.name().is_empty() || matches!(call.method, Method::Unknown(_)));
            }
            let _ = Reply::parse(text);
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow(depth in 1_usize..5_000) {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let _ = Call::parse(&nested);
        let _ = Call::parse(&format!(r#"{{"id":"1","method":"ping","params":{nested}}}"#));
        let _ = Reply::parse(&format!(r#"{{"id":"1","result":{nested}}}"#));
    }

    /// What a client of ours writes, a bunker of ours reads.
    #[test]
    fn calls_round_trip(id in "\\PC{0,40}", text in any::<String>(), kind: u16) {
        let request = json!({"id": id, "method": "nip44_encrypt", "params": [public(3).to_hex(), text]});
        let call = parse(&request);
        let Method::Encrypt { plaintext, .. } = call.method else { panic!() };
        prop_assert_eq!(plaintext.expose(), &text);
        prop_assert_eq!(call.id.to_string(), id.as_str());
        let event = json!({"kind": kind, "content": text, "tags": [[text]], "created_at": 5});
        let call = parse(&json!({"id": "1", "method": "sign_event", "params": [event.to_string()]}));
        let Method::SignEvent(template) = call.method else { panic!() };
        let unsigned = template.into_unsigned(public(2)).unwrap();
        prop_assert_eq!((unsigned.kind.as_u16(), &unsigned.content), (kind, &text));
    }
}
