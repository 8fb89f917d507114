//! The messages of NIP-01 and NIP-42, as JSON arrays.

use std::fmt;
use std::marker::PhantomData;

use keep_types::{Event, event_json};
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{EventError, Filter, RawEvent};

/// What a relay says to a client.
#[derive(Debug)]
pub(crate) enum FromRelay {
    Event { subscription: String, event: RawEvent },
    Ok { id: [u8; 32], accepted: bool, reason: String },
    Eose { subscription: String },
    Closed { subscription: String, reason: String },
    Notice { text: String },
    Auth { challenge: String },
    Unknown,
}

/// What a client says to a relay.
#[derive(Debug)]
pub(crate) enum FromClient<'a> {
    /// A new event; its JSON as received, so that it can be forwarded as it came.
    Event {
        event: RawEvent,
        json: &'a str,
    },
    Req {
        subscription: String,
        filters: Vec<Filter>,
    },
    Close {
        subscription: String,
    },
    Auth {
        event: RawEvent,
    },
    Unknown {
        name: String,
    },
}

impl FromRelay {
    /// Reads a message of at most `limit` bytes.
    pub fn parse(text: &str, limit: usize) -> Result<Self, EventError> {
        parse(text, limit)
    }
}

impl<'a> FromClient<'a> {
    /// Reads a message of at most `limit` bytes.
    pub fn parse(text: &'a str, limit: usize) -> Result<Self, EventError> {
        parse(text, limit)
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str, limit: usize) -> Result<T, EventError> {
    if text.len() > limit {
        return Err(EventError::TooLarge { limit });
    }
    serde_json::from_str(text).map_err(|e| EventError::Malformed(e.to_string()))
}

/// Messages that are read from the elements of a JSON array whose first is their name.
trait Elements<'de>: Sized {
    fn read<A: SeqAccess<'de>>(name: &str, rest: &mut Rest<A>) -> Result<Self, A::Error>;
}

/// The elements after the name.
struct Rest<A>(A);

impl<'de, A: SeqAccess<'de>> Rest<A> {
    fn next<T: Deserialize<'de>>(&mut self) -> Result<T, A::Error> {
        self.0.next_element()?.ok_or_else(|| A::Error::custom("message ends too early"))
    }

    fn next_or_default<T: Deserialize<'de> + Default>(&mut self) -> Result<T, A::Error> {
        Ok(self.0.next_element()?.unwrap_or_default())
    }

    fn next_event(&mut self) -> Result<(RawEvent, &'de str), A::Error> {
        let json = self.next::<&'de RawValue>()?.get();
        let event = RawEvent::from_json(json, usize::MAX).map_err(A::Error::custom)?;
        Ok((event, json))
    }
}

struct Message<T>(PhantomData<T>);

impl<'de, T: Elements<'de>> Visitor<'de> for Message<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message as a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        let name: String = seq.next_element()?.ok_or_else(|| A::Error::custom("empty message"))?;
        let mut rest = Rest(seq);
        let message = T::read(&name, &mut rest)?;
        while rest.0.next_element::<IgnoredAny>()?.is_some() {}
        Ok(message)
    }
}

macro_rules! read_as_array {
    ($($life:lifetime)?, $name:ty) => {
        impl<'de $(: $life, $life)?> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_seq(Message(PhantomData))
            }
        }
    };
}

read_as_array!(, FromRelay);
read_as_array!('a, FromClient<'a>);

impl<'de> Elements<'de> for FromRelay {
    fn read<A: SeqAccess<'de>>(name: &str, rest: &mut Rest<A>) -> Result<Self, A::Error> {
        Ok(match name {
            "EVENT" => Self::Event { subscription: rest.next()?, event: rest.next_event()?.0 },
            "OK" => Self::Ok {
                id: rest.next::<crate::hex_field::Hex<32>>()?.0,
                accepted: rest.next()?,
                reason: rest.next_or_default()?,
            },
            "EOSE" => Self::Eose { subscription: rest.next()? },
            "CLOSED" => Self::Closed { subscription: rest.next()?, reason: rest.next_or_default()? },
            "NOTICE" => Self::Notice { text: rest.next()? },
            "AUTH" => Self::Auth { challenge: rest.next()? },
            _ => Self::Unknown,
        })
    }
}

impl<'de: 'a, 'a> Elements<'de> for FromClient<'a> {
    fn read<A: SeqAccess<'de>>(name: &str, rest: &mut Rest<A>) -> Result<Self, A::Error> {
        Ok(match name {
            "EVENT" => {
                let (event, json) = rest.next_event()?;
                Self::Event { event, json }
            }
            "REQ" => {
                let subscription = rest.next()?;
                let mut filters = vec![rest.next()?];
                while let Some(filter) = rest.0.next_element()? {
                    filters.push(filter);
                }
                Self::Req { subscription, filters }
            }
            "CLOSE" => Self::Close { subscription: rest.next()? },
            "AUTH" => Self::Auth { event: rest.next_event()?.0 },
            other => Self::Unknown { name: other.to_owned() },
        })
    }
}

/// `["EVENT",<event>]` (client to relay).
pub(crate) fn publish(event: &Event) -> String {
    event_json("[\"EVENT\",", event, "]")
}

/// `["EVENT",<subscription>,<event>]` (relay to client), from the event's JSON.
pub(crate) fn forward(subscription: &str, json: &str) -> String {
    let name = quoted(subscription);
    let mut text = String::with_capacity(json.len() + name.len() + 12);
    text.push_str("[\"EVENT\",");
    text.push_str(&name);
    text.push(',');
    text.push_str(json);
    text.push(']');
    text
}

/// `["REQ",<subscription>,<filter>…]`.
pub(crate) fn request(subscription: &str, filters: &[Filter]) -> String {
    let mut text = format!("[\"REQ\",{}", quoted(subscription));
    for filter in filters {
        text.push(',');
        text.push_str(&serde_json::to_string(filter).unwrap_or_else(|_| "{\"ids\":[]}".to_owned()));
    }
    text.push(']');
    text
}

/// `["<name>",<text>]`: CLOSE, EOSE, NOTICE and AUTH with a challenge.
pub(crate) fn short(name: &str, text: &str) -> String {
    format!("[\"{name}\",{}]", quoted(text))
}

/// `["AUTH",<event>]`, from the event's JSON.
pub(crate) fn authenticate(json: &str) -> String {
    format!("[\"AUTH\",{json}]")
}

/// `["OK",<id>,<accepted>,<reason>]`.
pub(crate) fn ok(id: &str, accepted: bool, reason: &str) -> String {
    format!("[\"OK\",{},{accepted},{}]", quoted(id), quoted(reason))
}

/// `["CLOSED",<subscription>,<reason>]`.
pub(crate) fn closed(subscription: &str, reason: &str) -> String {
    format!("[\"CLOSED\",{},{}]", quoted(subscription), quoted(reason))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use nostr::{EventBuilder, JsonUtil, Keys, Kind};

    use super::*;

    fn event() -> Event {
        EventBuilder::new(Kind::from(1), "x").sign_with_keys(&Keys::generate()).unwrap()
    }

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let event = event();
        let (json, text) = (event.as_json(), publish(&event));
        let FromClient::Event { json: received, .. } = FromClient::parse(&text, 4096).unwrap() else {
            panic!()
        };
        assert_eq!(received, json);
        let FromRelay::Event { subscription, event } =
            FromRelay::parse(&forward("a\"b", &json), 4096).unwrap()
        else {
            panic!()
        };
        assert_eq!(subscription, "a\"b");
        assert!(event.verify().is_ok());
        let filters = [Filter::new().limit(1), Filter::new()];
        let text = request("s", &filters);
        let FromClient::Req { filters: read, .. } = FromClient::parse(&text, 4096).unwrap() else { panic!() };
        assert_eq!(read, filters);
        let text = ok(&"ab".repeat(32), false, "auth-required: \"x\"");
        assert!(matches!(FromRelay::parse(&text, 4096).unwrap(),
            FromRelay::Ok { id: [0xab, ..], accepted: false, reason } if reason == "auth-required: \"x\""));
        let text = authenticate(&json);
        assert!(matches!(FromClient::parse(&text, 4096).unwrap(), FromClient::Auth { .. }));
        assert!(matches!(FromRelay::parse(&short("AUTH", "c"), 99).unwrap(), FromRelay::Auth { .. }));
        assert!(matches!(FromRelay::parse(&closed("s", "r"), 99).unwrap(), FromRelay::Closed { .. }));
    }

    #[test]
    fn what_relays_and_clients_vary_is_accepted() {
        let json = event().as_json();
        let spaced = format!("[ \"EVENT\" ,\n {json} , \"extra\", {{\"more\":1}} ]");
        assert!(matches!(FromClient::parse(&spaced, 4096).unwrap(), FromClient::Event { .. }));
        let bare_ok = format!("[\"OK\",\"{}\",true]", "00".repeat(32));
        assert!(matches!(FromRelay::parse(&bare_ok, 99).unwrap(), FromRelay::Ok { accepted: true, .. }));
        assert!(matches!(FromRelay::parse(r#"["CLOSED","s"]"#, 99).unwrap(), FromRelay::Closed { .. }));
        assert!(matches!(FromRelay::parse(r#"["COUNT","s",{}]"#, 99).unwrap(), FromRelay::Unknown));
        assert!(matches!(FromClient::parse(r#"["COUNT","s",{}]"#, 99).unwrap(), FromClient::Unknown { .. }));
    }

    #[test]
    fn malformed_messages_are_errors() {
        for bad in [
            "",
            "{}",
            "[]",
            "[1]",
            "[\"EVENT\"]",
            "[\"EVENT\",\"s\"]",
            "[\"EVENT\",\"s\",[]]",
            "[\"OK\",\"zz\",true]",
            "[\"OK\",1]",
            "[\"EOSE\"]",
            "[\"AUTH\",{}]",
            "[\"NOTICE\",\"\\ud800\"]",
            "[\"EOSE\",\"s\"]x",
            &"[".repeat(100_000),
        ] {
            assert!(FromRelay::parse(bad, 1 << 20).is_err(), "{bad}");
        }
        for bad in [
            "[\"REQ\"]",
            "[\"REQ\",\"s\"]",
            "[\"REQ\",\"s\",1]",
            "[\"EVENT\",{}]",
            "[\"CLOSE\"]",
            "[\"AUTH\",\"c\"]",
        ] {
            assert!(FromClient::parse(bad, 1 << 20).is_err(), "{bad}");
        }
        assert_eq!(FromRelay::parse("[\"EOSE\",\"s\"]", 5).unwrap_err(), EventError::TooLarge { limit: 5 });
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*", inner in ".*") {
            let _ = FromRelay::parse(&text, 1 << 16);
            let _ = FromClient::parse(&text, 1 << 16);
            for name in ["EVENT", "OK", "EOSE", "CLOSED", "NOTICE", "AUTH", "REQ"] {
                let text = format!("[\"{name}\",{inner}]");
                let _ = FromRelay::parse(&text, 1 << 16);
                let _ = FromClient::parse(&text, 1 << 16);
            }
        }
    }
}
