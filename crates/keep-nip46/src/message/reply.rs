//! An answer.

use keep_types::{ErrorCode, Event, Fault, PublicKey, SecretText, event_json};
use serde::Deserialize;

use super::loose::{Loose, from_object};
use super::{CallId, MessageError};
use crate::RelayUrl;
use crate::json::JsonWriter;

/// The longest error text, in characters.
const MAX_ERROR: usize = 400;

/// What an answer says.
#[derive(Debug)]
pub enum Outcome {
    /// The result.
    Success(SecretText),
    /// What went wrong.
    Failure(String),
    /// The person has to open this address first; the real answer comes later, under the same id.
    Challenge(String),
}

/// An answer: `{"id", "result"}`, or `{"id", "result": "", "error"}`.
///
/// A success never has an empty or null result: some clients wait forever on those.
#[derive(Debug)]
pub struct Reply {
    /// The id of the request.
    pub id: CallId,
    /// What it says.
    pub outcome: Outcome,
}

impl Reply {
    /// A success with any result. Two results clients cannot receive, and so become errors: an empty text, on which
    /// some wait forever, and `auth_url`, which they take for a challenge. A decrypted text, which whoever sent it
    /// chose, may be either.
    pub fn success(id: CallId, result: SecretText) -> Self {
        let obstacle = match result.expose() {
            "" => "the result is an empty text",
            AUTH_URL => "the result is the word for a challenge",
            _ => return Self { id, outcome: Outcome::Success(result) },
        };
        Self::failure(id, &Fault::new(ErrorCode::InvalidPayload, obstacle))
    }

    /// A failure, in the words of [`error_text`].
    pub fn failure(id: CallId, fault: &Fault) -> Self {
        Self { id, outcome: Outcome::Failure(error_text(fault)) }
    }

    /// The person has to open `address` first; the answer comes later under the same id.
    pub const fn challenge(id: CallId, address: String) -> Self {
        Self { id, outcome: Outcome::Challenge(address) }
    }

    /// `ack`: for `connect` on a `bunker://` URI (two large clients accept nothing else) and for `logout`.
    pub fn ack(id: CallId) -> Self {
        Self::plain(id, "ack")
    }

    /// `pong`: for `ping`.
    pub fn pong(id: CallId) -> Self {
        Self::plain(id, "pong")
    }

    /// For `get_public_key`: lower-case hex.
    pub fn public_key(id: CallId, key: &PublicKey) -> Self {
        Self::plain(id, &key.to_hex())
    }

    /// For `sign_event`: the JSON of the whole event.
    pub fn event(id: CallId, event: &Event) -> Self {
        Self::success(id, SecretText::new(event_json("", event, "")))
    }

    /// For `switch_relays` without a change: the text `null`, because a JSON null would make clients wait forever.
    pub fn relays_unchanged(id: CallId) -> Self {
        Self::plain(id, "null")
    }

    /// For `switch_relays`: the new relays, as JSON in a text.
    pub fn relays(id: CallId, relays: &[RelayUrl]) -> Self {
        let list: Vec<&str> = relays.iter().map(RelayUrl::as_str).collect();
        Self::plain(id, &serde_json::Value::from(list).to_string())
    }

    fn plain(id: CallId, result: &str) -> Self {
        Self::success(id, SecretText::new(result.to_owned()))
    }

    /// The JSON of the answer.
    pub fn to_json(&self) -> SecretText {
        let (result, error) = match &self.outcome {
            Outcome::Success(result) => (result.expose(), None),
            Outcome::Failure(error) => ("", Some(error)),
            Outcome::Challenge(address) => (AUTH_URL, Some(address)),
        };
        let mut json = JsonWriter::with_capacity(64 + result.len() + result.len() / 4);
        self.id.write_to(json.raw("{\"id\":"));
        json.raw(",\"result\":").text(result);
        if let Some(error) = error {
            json.raw(",\"error\":").text(error);
        }
        json.raw("}");
        json.finish()
    }

    /// Reads an answer, for clients of ours. An error that is null or empty is none; a result that is not text counts
    /// as its JSON form, and so does a null or missing one.
    ///
    /// # Errors
    /// When it is not a JSON object, or has no id.
    pub fn parse(json: &str) -> Result<Self, MessageError> {
        let wire: Wire = from_object(json).ok_or(MessageError::Json)?;
        let id = CallId::from_loose(&wire.id).ok_or(MessageError::NoId)?;
        let result = wire.result.into_text().unwrap_or_else(|| SecretText::new("null".to_owned()));
        let error = wire.error.into_text().filter(|error| !error.expose().is_empty());
        let outcome = match error.map(|error| error.expose().to_owned()) {
            None => Outcome::Success(result),
            Some(address) if result.expose() == AUTH_URL => Outcome::Challenge(address),
            Some(error) => Outcome::Failure(error),
        };
        Ok(Self { id, outcome })
    }
}

/// The result of a challenge.
const AUTH_URL: &str = "auth_url";

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    id: Loose,
    #[serde(default)]
    result: Loose,
    #[serde(default)]
    error: Loose,
}

/// The words of a failure on the wire: the stable code first, then the message, as in
/// `refused_by_policy: kind 1 is not granted`.
pub fn error_text(fault: &Fault) -> String {
    let text = format!("{}: {}", fault.code(), fault.message());
    match text.char_indices().nth(MAX_ERROR) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> CallId {
        CallId::from_text("\"7\"").unwrap()
    }

    fn relay(address: &str) -> RelayUrl {
        RelayUrl::parse(address).unwrap()
    }

    /// Golden answers: every client that Keep knows accepts exactly these.
    #[test]
    fn answers_are_what_clients_need() {
        let fault = Fault::new(ErrorCode::RefusedByPolicy, "kind 1 is not granted");
        let key = PublicKey::from_byte_array([0xab; 32]);
        for (reply, json) in [
            (Reply::ack(id()), r#"{"id":"7","result":"ack"}"#),
            (Reply::pong(id()), r#"{"id":"7","result":"pong"}"#),
            (Reply::relays_unchanged(id()), r#"{"id":"7","result":"null"}"#),
            (
                Reply::relays(id(), &[relay("wss://a.example"), relay("ws://b.example:7777")]),
                r#"{"id":"7","result":"[\"wss://a.example\",\"ws://b.example:7777\"]"}"#,
            ),
            (
                Reply::failure(id(), &fault),
                r#"{"id":"7","result":"","error":"refused_by_policy: kind 1 is not granted"}"#,
            ),
            (Reply::public_key(id(), &key), &format!(r#"{{"id":"7","result":"{}"}}"#, "ab".repeat(32))),
            (
                Reply::success(
                    CallId::from_text("12").unwrap(),
                    SecretText::new("a\"b\\\n\u{1}ž".to_owned()),
                ),
                "{\"id\":12,\"result\":\"a\\\"b\\\\\\n\\u0001ž\"}",
            ),
            (
                Reply::success(id(), SecretText::new(String::new())),
                r#"{"id":"7","result":"","error":"invalid_payload: the result is an empty text"}"#,
            ),
            (
                Reply::success(id(), SecretText::new("auth_url".to_owned())),
                r#"{"id":"7","result":"","error":"invalid_payload: the result is the word for a challenge"}"#,
            ),
        ] {
            assert_eq!(reply.to_json().expose(), json);
        }
    }

    #[test]
    fn answers_of_other_signers_are_read() {
        let outcome = |json: &str| Reply::parse(json).map(|reply| reply.outcome);
        let failure = |json: &str| matches!(outcome(json), Ok(Outcome::Failure(text)) if text == "no");
        assert!(failure(r#"{"id":"1","result":"","error":"no"}"#));
        assert!(failure(r#"{"id":"1","result":"error","error":"no"}"#));
        assert!(failure(r#"{"id":"1","error":"no"}"#));
        let success = |json: &str, text: &str| match outcome(json) {
            Ok(Outcome::Success(result)) => result.expose() == text,
            Ok(_) | Err(_) => false,
        };
        assert!(success(r#"{"id":"1","result":"ack","error":null}"#, "ack"));
        assert!(success(r#"{"id":"1","result":"ack","error":""}"#, "ack"));
        assert!(success(r#"{"id":1,"result":null}"#, "null"));
        assert!(success(r#"{"id":1,"result":["wss://a"]}"#, r#"["wss://a"]"#));
        let challenge = outcome(r#"{"id":"1","result":"auth_url","error":"https://b.example/x"}"#);
        assert!(matches!(challenge, Ok(Outcome::Challenge(url)) if url == "https://b.example/x"));
        assert_eq!(outcome("[]").unwrap_err(), MessageError::Json);
        assert_eq!(outcome(r#"{"result":"ack"}"#).unwrap_err(), MessageError::NoId);
    }

    #[test]
    fn error_texts_start_with_the_code_and_end() {
        let fault = Fault::new(ErrorCode::NotFound, "ž".repeat(1000));
        let text = error_text(&fault);
        assert!(text.starts_with("not_found: ž") && text.ends_with('…'));
        assert_eq!(text.chars().count(), MAX_ERROR + 1);
    }
}
